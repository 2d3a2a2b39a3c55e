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

static void
read_field(struct response *r, struct fields *n, const struct head_field *f)
{
	switch (f->id) {
	case NAME_CONTENT_LENGTH:
		n->n_lengths++;
		n->bad_length |= !head_number(f->value, &r->length);
		break;
	case NAME_TRANSFER_ENCODING:
		n->n_codings++;
		n->is_chunked = head_is(f->value, "chunked");
		break;
	case NAME_KEEP_ALIVE:
		read_hint(r, f->value);
		break;
	case NAME_UPGRADE:
		r->upgrade = f->value;
		break;
	default:
		break;
	}
}

static const char *
judge_fields(
    const struct response *r, const struct fields *n, enum response_to to)
{
	if (n->n_lengths > 1 || n->bad_length)
		return "a malformed Content-Length";
	if (n->n_codings > 0 && n->n_lengths > 0)
		return "both Transfer-Encoding and Content-Length";
	if (n->n_codings > 0 && r->minor == 0)
		return "Transfer-Encoding in HTTP/1.0";
	if (n->n_codings > 1 || (n->n_codings == 1 && !n->is_chunked))
		return "a transfer coding that is not just chunked";
	if (r->status != 101)
		return NULL;
	return to != RESPONSE_TO_UPGRADE  ? "a 101 that nobody asked for"
	    : r->upgrade.size == 0	  ? "a 101 without Upgrade"
	    : n->n_lengths + n->n_codings ? "a 101 with a body"
					  : NULL;
}

static enum framing
framing_of(
    const struct response *r, const struct fields *n, enum response_to to)
{
	if (r->status == 101)
		return FRAMING_TUNNEL;
	if (to == RESPONSE_TO_HEAD || r->status < 200 || r->status == 204 ||
	    r->status == 304)
		return FRAMING_NONE;
	if (n->n_codings > 0)
		return FRAMING_CHUNKED;
	if (n->n_lengths == 0)
		return FRAMING_CLOSE;
	return r->length > 0 ? FRAMING_LENGTH : FRAMING_NONE;
}

const char *
response_read(
    struct response *r, const char *head, size_t size, enum response_to to)
{
	struct fields n = { 0 };
	struct head_field f;
	const char *why;
	struct span line;
	size_t at;

	*r = (struct response){ .hops.drops = HEAD_DROPS };
	why = head_start_line(head, size, &line);
	if (why != NULL)
		return why;
	if (!read_line(r, line))
		return "a malformed status line";
	/* RFC 9110 8.6: these have none. */
	if (r->status < 200 || r->status == 204)
		r->hops.drops |= 1u << NAME_CONTENT_LENGTH;
	at = r->fields_at = line.size + 2;
	while (head_next(head, size, &at, &f, &why) == HEAD_FIELD) {
		read_field(r, &n, &f);
		if (!head_note_hop(&r->hops, head, &f))
			return "too many Connection options";
	}
	if (why == NULL)
		why = judge_fields(r, &n, to);
	r->framing = framing_of(r, &n, to);
	r->announces_close =
	    r->hops.close || (r->minor == 0 && !r->hops.keep_alive);
	return why;
}

static bool
write_connection(const struct response *r, enum response_connection connection,
    struct buffer *out)
{
	if (r->framing == FRAMING_TUNNEL)
		return buffer_add(out, "Connection: upgrade\r\nUpgrade: ") &&
		    buffer_append(out, r->upgrade.bytes, r->upgrade.size) &&
		    buffer_add(out, "\r\n");
	if (connection == RESPONSE_CLOSE)
		return buffer_add(out, "Connection: close\r\n");
	return connection != RESPONSE_KEEP_ALIVE ||
	    buffer_add(out, "Connection: keep-alive\r\n");
}

/* RFC 9209: a response that no error kept from coming, and how it came. */
static bool
write_status(const struct response_extras *extras, struct buffer *out)
{
	return buffer_print(out,
	    "Proxy-Status: closerace; details=\"attempt %u: %s\"\r\n",
	    extras->attempt, extras->again);
}

bool
response_write(const struct response *r, const char *head, size_t size,
    const struct response_extras *extras, struct buffer *out)
{
	const char *via = r->minor == 0 ? "Via: 1.0 closerace\r\n\r\n"
					: "Via: 1.1 closerace\r\n\r\n";

	return buffer_add(out, "HTTP/1.1") &&
	    buffer_append(out, r->line.bytes + 8, r->line.size - 8) &&
	    buffer_add(out, "\r\n") &&
	    head_forward(head, size, r->fields_at, &r->hops, out) &&
	    (!extras->chunked ||
		buffer_add(out, "Transfer-Encoding: chunked\r\n")) &&
	    write_connection(r, extras->connection, out) &&
	    (extras->again == NULL || write_status(extras, out)) &&
	    buffer_add(out, via);
}
