/* response.c - see response.h. */
#include "proxy/response.h"

#include <string.h>

#define STATUS_AT 9 /* behind "HTTP/1.1 " */

struct fields { /* what is counted while reading */
	unsigned n_lengths, n_codings;
	bool bad_length, is_chunked;
};

enum response_kind
response_kind(const char *bytes, size_t size)
{
	if (size > 0 && memcmp(bytes, "HTTP/1.", size < 7 ? size : 7) != 0)
		return RESPONSE_FINAL;
	if (size <= STATUS_AT)
		return RESPONSE_UNKNOWN;
	return bytes[STATUS_AT] == '1' ? RESPONSE_INTERIM : RESPONSE_FINAL;
}

static bool
is_digit(char c)
{
	return c >= '0' && c <= '9';
}

/* HTTP/1.x SP 3DIGIT [SP reason] */
static bool
read_line(struct response *r, struct span line)
{
	const char *s = line.bytes;

	if (line.size < STATUS_AT + 3 || memcmp(s, "HTTP/1.", 7) != 0 ||
	    (s[7] != '0' && s[7] != '1') || s[8] != ' ')
		return false;
	if (s[9] < '1' || s[9] > '9' || !is_digit(s[10]) || !is_digit(s[11]))
		return false;
	if (line.size > STATUS_AT + 3 && s[STATUS_AT + 3] != ' ')
		return false;
	r->minor = s[7] - '0';
	r->status = (s[9] - '0') * 100 + (s[10] - '0') * 10 + (s[11] - '0');
	r->line = line;
	return true;
}

/* Keep-Alive: timeout=5, max=100 */
static void
read_hint(struct response *r, struct span value)
{
	struct span token;
	size_t at = 0;
	uint64_t n;

	while (head_next_token(value, &at, &token)) {
		const char *equals = memchr(token.bytes, '=', token.size);
		struct span name, number;

		if (equals == NULL)
			continue;
		name = (struct span){ token.bytes,
			(size_t)(equals - token.bytes) };
		number =
		    (struct span){ equals + 1, token.size - name.size - 1 };
		if (!head_number(number, &n))
			continue;
		if (head_is(name, "timeout")) {
			r->has_hint = true;
			r->hint_ms = n > 1000000 ? 1000000000 : (int)n * 1000;
		} else if (head_is(name, "max")) {
			r->has_max = true;
			r->max = n > 1000000 ? 1000000 : (unsigned)n;
		}
	}
}

static bool
read_field(struct response *r, struct fields *n, const struct head_field *f)
{
	if (head_is(f->name, "connection"))
		return head_add_hops(&r->hops, f->value);
	if (head_is(f->name, "content-length")) {
		n->n_lengths++;
		if (!head_number(f->value, &r->length))
			n->bad_length = true;
	} else if (head_is(f->name, "transfer-encoding")) {
		n->n_codings++;
		n->is_chunked = head_is(f->value, "chunked");
	} else if (head_is(f->name, "keep-alive")) {
		read_hint(r, f->value);
	}
	return true;
}

static const char *
judge_fields(struct response *r, const struct fields *n)
{
	if (n->n_lengths > 1 || n->bad_length)
		return "a malformed Content-Length";
	if (n->n_codings > 0 && n->n_lengths > 0)
		return "both Transfer-Encoding and Content-Length";
	if (n->n_codings > 0 && r->minor == 0)
		return "Transfer-Encoding in HTTP/1.0";
	if (n->n_codings > 1 || (n->n_codings == 1 && !n->is_chunked))
		return "a transfer coding that is not just chunked";
	/* Upgrade was never asked for. */
	return r->status == 101 ? "a 101 that nobody asked for" : NULL;
}

const char *
response_read(
    struct response *r, const char *head, size_t size, bool answers_head)
{
	struct fields n = { 0 };
	struct head_field f;
	size_t at = 0;
	const char *why = head_check(head, size);

	*r = (struct response){ 0 };
	if (why != NULL)
		return why;
	if (!read_line(r, head_start_line(head, size)))
		return "a malformed status line";
	while (head_next(head, size, &at, &f))
		if (!read_field(r, &n, &f))
			return "too many Connection options";
	why = judge_fields(r, &n);
	if (why != NULL)
		return why;

	if (answers_head || r->status < 200 || r->status == 204 ||
	    r->status == 304)
		r->framing = FRAMING_NONE;
	else if (n.n_codings > 0)
		r->framing = FRAMING_CHUNKED;
	else
		r->framing = n.n_lengths > 0 ? FRAMING_LENGTH : FRAMING_CLOSE;
	r->announces_close =
	    r->hops.close || (r->minor == 0 && !r->hops.keep_alive);
	return NULL;
}

bool
response_write(const struct response *r, const char *head, size_t size,
    bool chunked, enum response_connection connection, struct buffer *out)
{
	const char *via = r->minor == 0 ? "Via: 1.0 closerace\r\n\r\n"
					: "Via: 1.1 closerace\r\n\r\n";
	const char *says = connection == RESPONSE_CLOSE
	    ? "Connection: close\r\n"
	    : connection == RESPONSE_KEEP_ALIVE ? "Connection: keep-alive\r\n"
						: "";

	return buffer_add(out, "HTTP/1.1") &&
	    buffer_append(out, r->line.bytes + 8, r->line.size - 8) &&
	    buffer_add(out, "\r\n") &&
	    head_forward(head, size, &r->hops, NULL, out) &&
	    (!chunked || buffer_add(out, "Transfer-Encoding: chunked\r\n")) &&
	    buffer_add(out, says) && buffer_add(out, via);
}
