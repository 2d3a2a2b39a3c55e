/* head.c - see head.h. */
#include "proxy/head.h"

#include <endian.h>
#include <string.h>

size_t
head_end(const char *bytes, size_t size)
{
	const char *end = bytes + size, *at = bytes;

	while ((at = memchr(at, '\n', (size_t)(end - at))) != NULL) {
		at++;
		if (end - at >= 2 && at[0] == '\r' && at[1] == '\n' &&
		    at - bytes >= 2 && at[-2] == '\r')
			return (size_t)(at - bytes) + 2;
	}
	return 0;
}

/* --------------------------------------------------------------- lines ---- */

/* RFC 9110 5.6.2: a letter, a digit, one of !#$%&'*+-.^_`|~ */
/* clang-format off */
static const unsigned char token_chars[256] = {
#define X(c) [c] = 1,
	X('!') X('#') X('$') X('%') X('&') X('\'') X('*') X('+') X('-') X('.')
	X('^') X('_') X('`') X('|') X('~')
	X('0') X('1') X('2') X('3') X('4') X('5') X('6') X('7') X('8') X('9')
	X('A') X('B') X('C') X('D') X('E') X('F') X('G') X('H') X('I') X('J')
	X('K') X('L') X('M') X('N') X('O') X('P') X('Q') X('R') X('S') X('T')
	X('U') X('V') X('W') X('X') X('Y') X('Z')
	X('a') X('b') X('c') X('d') X('e') X('f') X('g') X('h') X('i') X('j')
	X('k') X('l') X('m') X('n') X('o') X('p') X('q') X('r') X('s') X('t')
	X('u') X('v') X('w') X('x') X('y') X('z')
#undef X
};
/* clang-format on */

/* How many token characters are in front? */
static size_t
token_size(const char *bytes, size_t size)
{
	size_t n = 0;

	while (n < size && token_chars[(unsigned char)bytes[n]])
		n++;
	return n;
}

bool
head_is_token(struct span s)
{
	return s.size > 0 && token_size(s.bytes, s.size) == s.size;
}

bool
head_is_version(struct span s)
{
	return s.size == 8 && memcmp(s.bytes, "HTTP/", 5) == 0 &&
	    head_is_digit(s.bytes[5]) && s.bytes[6] == '.' &&
	    head_is_digit(s.bytes[7]);
}

bool
head_write_via(char said_minor, struct buffer *out)
{
	char via[] = "Via: 1.x closerace\r\n\r\n";

	via[7] = said_minor;
	return buffer_append(out, via, sizeof via - 1);
}

/* RFC 9110 5.5 */
static bool
is_text_char(unsigned char c)
{
	return (c >= ' ' || c == '\t') && c != 0x7f;
}

/* How many of eight bytes stand in front of the first one that is below the
 * space or 0x7f?  Every byte of every head comes by here.  A byte is below n,
 * or 0, where taking n, or 1, away from it borrows; those with the high bit set
 * do not count.  A borrow may put the mark on bytes behind the first one, too. */
static unsigned
printable_of_eight(const char *bytes)
{
	const uint64_t each = UINT64_MAX / 255;
	uint64_t x, low, del, marks;

	memcpy(&x, bytes, sizeof x);
	x = le64toh(x);
	low = (x - each * ' ') & ~x;
	x ^= each * 0x7f;
	del = (x - each) & ~x;
	marks = (low | del) & each * 0x80;
	return marks == 0 ? 8 : (unsigned)__builtin_ctzll(marks) / 8;
}

/* One line from at on, without its CRLF.
 * Returns: NULL, or what is wrong; bytes that the line lacks are wrong, too. */
static const char *
line_at(const char *head, size_t size, size_t at, size_t *line_size)
{
	size_t i = at;

	while (size - i >= 8) {
		unsigned n = printable_of_eight(head + i);

		i += n;
		if (n < 8 && head[i] != '\t')
			break;
		i += n < 8;
	}
	while (i < size && is_text_char((unsigned char)head[i]))
		i++;
	*line_size = i - at;
	if (size - i >= 2 && head[i] == '\r' && head[i + 1] == '\n')
		return NULL;
	if (i == size || head[i] == '\r' || head[i] == '\n')
		return "a line that does not end in CRLF";
	return "a control character in the head";
}

/* Where the field's name ends.  Returns: NULL, or what is wrong. */
static const char *
name_at(const char *line, size_t size, size_t *name_size)
{
	size_t n = token_size(line, size);

	*name_size = n;
	if (n > 0 && n < size && line[n] == ':')
		return NULL;
	return size > 0 && (line[0] == ' ' || line[0] == '\t')
	    ? "a folded field line"
	    : "a malformed field name";
}

const char *
head_check(const char *bytes, size_t size, size_t *at)
{
	const char *lf, *why;
	size_t n, name_size;

	while ((lf = memchr(bytes + *at, '\n', size - *at)) != NULL) {
		why = line_at(bytes, (size_t)(lf - bytes) + 1, *at, &n);
		if (why == NULL && *at > 0)
			why = name_at(bytes + *at, n, &name_size);
		if (why != NULL)
			return why;
		*at += n + 2;
	}
	return NULL;
}

const char *
head_start_line(const char *head, size_t size, struct span *line)
{
	line->bytes = head;
	return line_at(head, size, 0, &line->size);
}

/* -------------------------------------------------------------- fields ---- */

static enum head_name
identify(struct span name)
{
	switch (name.size) {
	case 2:
		return head_is(name, "te") ? NAME_TE : NAME_OTHER;
	case 4:
		return head_is(name, "host") ? NAME_HOST
		    : head_is(name, "date")  ? NAME_DATE
					     : NAME_OTHER;
	case 6:
		return head_is(name, "cookie") ? NAME_COOKIE
		    : head_is(name, "expect")  ? NAME_EXPECT
					       : NAME_OTHER;
	case 7:
		return head_is(name, "upgrade") ? NAME_UPGRADE
		    : head_is(name, "trailer")	? NAME_TRAILER
						: NAME_OTHER;
	case 10:
		return head_is(name, "connection") ? NAME_CONNECTION
		    : head_is(name, "keep-alive")  ? NAME_KEEP_ALIVE
						   : NAME_OTHER;
	case 12:
		return head_is(name, "max-forwards") ? NAME_MAX_FORWARDS
						     : NAME_OTHER;
	case 13:
		return head_is(name, "authorization") ? NAME_AUTHORIZATION
						      : NAME_OTHER;
	case 14:
		return head_is(name, "content-length") ? NAME_CONTENT_LENGTH
						       : NAME_OTHER;
	case 15:
		return head_is(name, "idempotency-key") ? NAME_IDEMPOTENCY_KEY
							: NAME_OTHER;
	case 16:
		return head_is(name, "proxy-connection") ? NAME_PROXY_CONNECTION
							 : NAME_OTHER;
	case 17:
		return head_is(name, "transfer-encoding")
		    ? NAME_TRANSFER_ENCODING
		    : NAME_OTHER;
	default:
		return NAME_OTHER;
	}
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

enum head_step
head_next(const char *head, size_t size, size_t *at, struct head_field *f,
    const char **why)
{
	const char *line = head + *at;
	size_t n, name_size;

	*why = line_at(head, size, *at, &n);
	if (*why != NULL)
		return HEAD_BAD;
	if (n == 0) {
		if (*at + 2 == size)
			return HEAD_END;
		*why = "an empty line inside the head";
		return HEAD_BAD;
	}
	*why = name_at(line, n, &name_size);
	if (*why != NULL)
		return HEAD_BAD;
	f->line = (struct span){ line, n + 2 };
	f->name = (struct span){ line, name_size };
	f->value = trim(line + name_size + 1, line + n);
	f->id = identify(f->name);
	*at += n + 2;
	return HEAD_FIELD;
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
		if (!head_is_digit(s.bytes[i]))
			return false;
		n = n * 10 + (uint64_t)(s.bytes[i] - '0');
	}
	*number = n;
	return true;
}

/* ---------------------------------------------------------------- hops ---- */

static struct head_part
part_of(const char *head, struct span s)
{
	return (
	    struct head_part){ (unsigned)(s.bytes - head), (unsigned)s.size };
}

static bool
add_listed(struct head_hops *hops, const char *head, struct span value)
{
	struct span token;
	size_t at = 0;

	while (head_next_token(value, &at, &token)) {
		if (head_is(token, "close"))
			hops->close = true;
		else if (head_is(token, "keep-alive"))
			hops->keep_alive = true;
		else if (head_is(token, "upgrade"))
			hops->upgrade = true;
		else if (hops->n_listed == HEAD_LISTED_MAX)
			return false;
		else {
			hops->known |= 1u << identify(token);
			hops->listed[hops->n_listed++] = part_of(head, token);
		}
	}
	return true;
}

bool
head_note_hop(
    struct head_hops *hops, const char *head, const struct head_field *f)
{
	if ((hops->drops >> f->id & 1) == 0)
		return true;
	if (hops->n_lines < HEAD_LINES_MAX)
		hops->lines[hops->n_lines] = part_of(head, f->line);
	hops->n_lines++;
	return f->id != NAME_CONNECTION || add_listed(hops, head, f->value);
}

static bool
is_listed(const struct head_hops *hops, const char *head, struct span name)
{
	for (unsigned i = 0; i < hops->n_listed; i++)
		if (hops->listed[i].size == name.size &&
		    strncasecmp(
			head + hops->listed[i].at, name.bytes, name.size) == 0)
			return true;
	return false;
}

bool
head_goes_on(const struct head_hops *hops, enum head_name id)
{
	if (hops->drops >> id & 1)
		return false;
	return id == NAME_HOST || id == NAME_CONTENT_LENGTH ||
	    (hops->known >> id & 1) == 0;
}

static bool
goes_on(
    const struct head_hops *hops, const char *head, const struct head_field *f)
{
	return f->id == NAME_OTHER ? !is_listed(hops, head, f->name)
				   : head_goes_on(hops, f->id);
}

/* Field by field, where Connection lists more than this knows by name. */
static bool
forward_each(const char *head, size_t size, size_t at,
    const struct head_hops *hops, struct buffer *out)
{
	struct head_field f;
	const char *why;

	while (head_next(head, size, &at, &f, &why) == HEAD_FIELD)
		if (goes_on(hops, head, &f) &&
		    !buffer_append(out, f.line.bytes, f.line.size))
			return false;
	return true;
}

bool
head_forward(const char *head, size_t size, size_t begin,
    const struct head_hops *hops, struct buffer *out)
{
	if (hops->n_listed > 0 || hops->n_lines > HEAD_LINES_MAX)
		return forward_each(head, size, begin, hops, out);
	/* What stands between the lines that do not go on. */
	for (unsigned i = 0; i < hops->n_lines; i++) {
		size_t end = hops->lines[i].at;

		if (!buffer_append(out, head + begin, end - begin))
			return false;
		begin = end + hops->lines[i].size;
	}
	return buffer_append(out, head + begin, size - 2 - begin);
}
