/* head.c - see head.h. */
#include "proxy/head.h"

#include <string.h>

size_t
head_end(const char *bytes, size_t size)
{
	const char *found = memmem(bytes, size, "\r\n\r\n", 4);

	return found == NULL ? 0 : (size_t)(found - bytes) + 4;
}

/* RFC 9110 5.6.2: a letter, a digit, one of !#$%&'*+-.^_`|~ */
static bool
is_token_char(unsigned char c)
{
	static const uint64_t set[4] = { 0x03ff6cfa00000000,
		0x57ffffffc7fffffe };

	return (set[c / 64] >> c % 64 & 1) != 0;
}

/* RFC 9110 5.5 */
static bool
is_text_char(unsigned char c)
{
	return (c >= ' ' || c == '\t') && c != 0x7f;
}

/* Is none of eight bytes below the space, and none 0x7f?  Every byte of every
 * head comes by here.  A byte is below n, or 0, where taking n, or 1, away from
 * it borrows; those with the high bit set do not count. */
static bool
are_printable(const char *bytes)
{
	const uint64_t each = UINT64_MAX / 255;
	uint64_t x, low, del;

	memcpy(&x, bytes, sizeof x);
	low = (x - each * ' ') & ~x;
	x ^= each * 0x7f;
	del = (x - each) & ~x;
	return ((low | del) & each * 0x80) == 0;
}

static bool
is_text(const char *bytes, size_t size)
{
	size_t i = 0;

	while (i < size) {
		if (size - i >= 8 && are_printable(bytes + i))
			i += 8;
		else if (is_text_char((unsigned char)bytes[i]))
			i++;
		else
			return false;
	}
	return true;
}

/* One line from at, without its CRLF.  Returns: false where there is no CRLF,
 * or a bare CR or LF stands before it. */
static bool
line_at(const char *head, size_t size, size_t at, size_t *line_size)
{
	const char *lf = memchr(head + at, '\n', size - at);

	if (lf == NULL || lf == head + at || lf[-1] != '\r')
		return false;
	*line_size = (size_t)(lf - (head + at)) - 1;
	return true;
}

static const char *
check_field(const char *line, size_t size)
{
	size_t n = 0;

	if (line[0] == ' ' || line[0] == '\t')
		return "a folded field line";
	while (n < size && is_token_char((unsigned char)line[n]))
		n++;
	if (n == 0 || n == size || line[n] != ':')
		return "a malformed field name";
	return NULL;
}

const char *
head_check(const char *head, size_t size)
{
	const char *why;
	size_t at = 0, n;
	bool first = true;

	for (;;) {
		if (!line_at(head, size, at, &n))
			return "a line that does not end in CRLF";
		if (n == 0 && !first)
			break;
		if (!is_text(head + at, n))
			return "a control character in the head";
		if (!first && (why = check_field(head + at, n)) != NULL)
			return why;
		first = false;
		at += n + 2;
	}
	return at + 2 == size ? NULL : "an empty line inside the head";
}

struct span
head_start_line(const char *head, size_t size)
{
	size_t n = 0;

	if (!line_at(head, size, 0, &n))
		return (struct span){ head, 0 };
	return (struct span){ head, n };
}

static struct span
trim(const char *begin, const char *end)
{
	while (begin < end && (*begin == ' ' || *begin == '\t'))
		begin++;
	while (begin < end && (end[-1] == ' ' || end[-1] == '\t'))
		end--;
	return (struct span){ begin, (size_t)(end - begin) };
}

bool
head_next(const char *head, size_t size, size_t *at, struct head_field *f)
{
	const char *line, *colon;
	size_t n;

	if (*at == 0)
		*at = head_start_line(head, size).size + 2;
	if (*at >= size || !line_at(head, size, *at, &n) || n == 0)
		return false;
	line = head + *at;
	colon = memchr(line, ':', n);
	if (colon == NULL)
		return false;
	f->line = (struct span){ line, n + 2 };
	f->name = (struct span){ line, (size_t)(colon - line) };
	f->value = trim(colon + 1, line + n);
	*at += n + 2;
	return true;
}

bool
head_next_token(struct span list, size_t *at, struct span *token)
{
	while (*at < list.size) {
		const char *begin = list.bytes + *at;
		const char *comma = memchr(begin, ',', list.size - *at);
		const char *end = comma ? comma : list.bytes + list.size;

		*at = (size_t)(end - list.bytes) + 1;
		*token = trim(begin, end);
		if (token->size > 0)
			return true;
	}
	return false;
}

bool
head_number(struct span s, uint64_t *number)
{
	uint64_t n = 0;

	if (s.size == 0 || s.size > 18)
		return false;
	for (size_t i = 0; i < s.size; i++) {
		if (s.bytes[i] < '0' || s.bytes[i] > '9')
			return false;
		n = n * 10 + (uint64_t)(s.bytes[i] - '0');
	}
	*number = n;
	return true;
}

bool
head_add_hops(struct head_hops *hops, struct span value)
{
	struct span token;
	size_t at = 0;

	while (head_next_token(value, &at, &token)) {
		if (head_is(token, "close"))
			hops->close = true;
		else if (head_is(token, "keep-alive"))
			hops->keep_alive = true;
		else if (hops->n == HEAD_HOPS_MAX)
			return false;
		else
			hops->listed[hops->n++] = token;
	}
	return true;
}

bool
head_is_hop(const struct head_hops *hops, struct span name)
{
	if (head_is(name, "connection") || head_is(name, "keep-alive") ||
	    head_is(name, "proxy-connection") || head_is(name, "te") ||
	    head_is(name, "trailer") || head_is(name, "transfer-encoding") ||
	    head_is(name, "upgrade"))
		return true;
	if (head_is(name, "host") || head_is(name, "content-length"))
		return false;
	for (size_t i = 0; i < hops->n; i++)
		if (hops->listed[i].size == name.size &&
		    strncasecmp(hops->listed[i].bytes, name.bytes, name.size) ==
			0)
			return true;
	return false;
}

bool
head_forward(const char *head, size_t size, const struct head_hops *hops,
    const char *without, struct buffer *out)
{
	struct head_field f;
	const char *begin = NULL, *end = NULL; /* lines that go in one piece */
	size_t at = 0;

	while (head_next(head, size, &at, &f)) {
		if (head_is_hop(hops, f.name) ||
		    (without != NULL && head_is(f.name, without)))
			continue;
		if (f.line.bytes != end) {
			if (!buffer_append(out, begin, (size_t)(end - begin)))
				return false;
			begin = f.line.bytes;
		}
		end = f.line.bytes + f.line.size;
	}
	return buffer_append(out, begin, (size_t)(end - begin));
}
