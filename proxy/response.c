/* response.c - see response.h. */
#include "proxy/response.h"

#include <string.h>

#include "proxy/date.h"

#define STATUS_AT 9 /* behind "HTTP/1.1 " */

struct fields { /* what is counted while reading */
	unsigned n_lengths, n_codings, n_upgrades;
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

/* HTTP/1.x SP 3DIGIT [SP reason] */
static bool
read_line(struct response *r, struct span line)
{
	const char *s = line.bytes;

	if (line.size < STATUS_AT + 3 ||
	    !head_is_version((struct span){ s, 8 }) || s[5] != '1' ||
	    s[8] != ' ')
		return false;
	if (s[9] < '1' || s[9] > '9' || !head_is_digit(s[10]) ||
	    !head_is_digit(s[11]))
		return false;
	if (line.size > STATUS_AT + 3 && s[STATUS_AT + 3] != ' ')
		return false;
	r->said_minor = s[7];
	r->minor = r->said_minor != '0'; /* RFC 9110 6.2 */
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
	case NAME_DATE:
		r->has_date = true;
		break;
	case NAME_KEEP_ALIVE:
		read_hint(r, f->value);
		break;
	case NAME_UPGRADE:
		n->n_upgrades++;
		r->upgrade = f->value;
		break;
	default:
		break;
	}
}

static bool
lists(struct span list, struct span wanted)
{
	struct span token;
	size_t at = 0;

	while (head_next_token(list, &at, &token))
		if (token.size == wanted.size &&
		    strncasecmp(token.bytes, wanted.bytes, token.size) == 0)
			return true;
	return false;
}

/* RFC 9110 7.8: a server must not switch to what was not asked for. */
static const char *
judge_switch(const struct response *r, const struct fields *n,
    const struct response_to *to)
{
	struct span token;
	size_t at = 0, n_tokens = 0;

	if (to->upgrade.size == 0)
		return "a 101 that nobody asked for";
	if (n->n_lengths + n->n_codings > 0)
		return "a 101 with a body";
	if (n->n_upgrades > 1)
		return "a 101 with several Upgrade fields";
	for (; head_next_token(r->upgrade, &at, &token); n_tokens++)
		if (!lists(to->upgrade, token))
			return "a 101 to a protocol that nobody asked for";
	return n_tokens == 0 ? "a 101 without Upgrade" : NULL;
}

static const char *
judge_fields(const struct response *r, const struct fields *n,
    const struct response_to *to)
{
	if (n->n_lengths > 1 || n->bad_length)
		return "a malformed Content-Length";
	if (n->n_codings > 0 && n->n_lengths > 0)
		return "both Transfer-Encoding and Content-Length";
	if (n->n_codings > 0 && r->minor == 0)
		return "Transfer-Encoding in HTTP/1.0";
	if (n->n_codings > 1 || (n->n_codings == 1 && !n->is_chunked))
		return "a transfer coding that is not just chunked";
	return r->status == 101 ? judge_switch(r, n, to) : NULL;
}

static enum framing
framing_of(const struct response *r, const struct fields *n,
    const struct response_to *to)
{
	if (r->status == 101)
		return FRAMING_TUNNEL;
	if (to->head || r->status < 200 || r->status == 204 || r->status == 304)
		return FRAMING_NONE;
	if (n->n_codings > 0)
		return FRAMING_CHUNKED;
	if (n->n_lengths == 0)
		return FRAMING_CLOSE;
	return r->length > 0 ? FRAMING_LENGTH : FRAMING_NONE;
}

const char *
response_read(struct response *r, const char *head, size_t size,
    const struct response_to *to)
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
	r->has_date = r->has_date && head_goes_on(&r->hops, NAME_DATE);
	r->odd = (r->status < 200 || r->status == 204) &&
	    n.n_lengths + n.n_codings > 0;
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

static bool
write_date(int64_t seconds, struct buffer *out)
{
	char date[DATE_SIZE];

	date_write(date, seconds);
	return buffer_print(out, "Date: %s\r\n", date);
}

bool
response_write(const struct response *r, const char *head, size_t size,
    const struct response_extras *extras, struct buffer *out)
{
	return buffer_add(out, "HTTP/1.1") &&
	    buffer_append(out, r->line.bytes + 8, r->line.size - 8) &&
	    buffer_add(out, "\r\n") &&
	    head_forward(head, size, r->fields_at, &r->hops, out) &&
	    (!extras->chunked ||
		buffer_add(out, "Transfer-Encoding: chunked\r\n")) &&
	    write_connection(r, extras->connection, out) &&
	    (extras->date_s == 0 || write_date(extras->date_s, out)) &&
	    (extras->again == NULL || write_status(extras, out)) &&
	    head_write_via(r->said_minor, out);
}
