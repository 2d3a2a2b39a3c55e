/* strict.c - see strict.h.
 *
 * Each check is one sentence of RFC 9112 or 9110; where the RFC leaves a
 * choice to who reads, the verdict is MAY.
 */
#include "strict.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>

enum { HOPS_MAX = 32 }; /* options of Connection that must be taken */

/* The worse verdict stays; MORE is decided last. */
static void
doubt(struct strict_message *m, const char *why)
{
	if (m->verdict == STRICT_GOOD) {
		m->verdict = STRICT_MAY;
		m->why = why;
	}
}

static bool
is_digit(char c)
{
	return c >= '0' && c <= '9';
}

static bool
bad(struct strict_message *m, const char *why)
{
	m->verdict = STRICT_BAD;
	m->why = why;
	return false;
}

/* A head whose fields nobody may walk over. */
static bool
bad_head(struct strict_message *m, const char *why)
{
	m->fields.size = 0;
	return bad(m, why);
}

/* ----------------------------------------------------------------- texts ---- */

static bool
is_token_char(char c)
{
	return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') ||
	    (c >= 'A' && c <= 'Z') ||
	    (c != '\0' && strchr("!#$%&'*+-.^_`|~", c) != NULL);
}

static bool
is_token(struct strict_text t)
{
	for (size_t i = 0; i < t.size; i++)
		if (!is_token_char(t.bytes[i]))
			return false;
	return t.size > 0;
}

static bool
is_control(char c)
{
	return ((unsigned char)c < ' ' && c != '\t') || c == 0x7f;
}

static struct strict_text
trim(struct strict_text t)
{
	while (t.size > 0 && (*t.bytes == ' ' || *t.bytes == '\t')) {
		t.bytes++;
		t.size--;
	}
	while (t.size > 0 &&
	    (t.bytes[t.size - 1] == ' ' || t.bytes[t.size - 1] == '\t'))
		t.size--;
	return t;
}

bool
strict_is(struct strict_text t, const char *word)
{
	return t.size == strlen(word) &&
	    strncasecmp(t.bytes, word, t.size) == 0;
}

bool
strict_is_head(const struct strict_message *m)
{
	return m->method.size == 4 && memcmp(m->method.bytes, "HEAD", 4) == 0;
}

static bool
same_word(struct strict_text a, struct strict_text b)
{
	return a.size == b.size && strncasecmp(a.bytes, b.bytes, a.size) == 0;
}

/* The next item of a comma-separated list, empty ones too. */
static bool
next_item(struct strict_text list, size_t *at, struct strict_text *item)
{
	const char *begin = list.bytes + *at, *comma;
	size_t left;

	if (*at > list.size)
		return false;
	left = list.size - *at;
	comma = left > 0 ? memchr(begin, ',', left) : NULL;
	item->bytes = begin;
	item->size = comma != NULL ? (size_t)(comma - begin) : left;
	*at += item->size + 1;
	*item = trim(*item);
	return true;
}

bool
strict_next(const struct strict_message *m, size_t *at, struct strict_field *f)
{
	const char *line = m->fields.bytes + *at, *end, *colon;

	if (*at >= m->fields.size)
		return false;
	end = memmem(line, m->fields.size - *at, "\r\n", 2);
	colon = memchr(line, ':', (size_t)(end - line));
	f->name = (struct strict_text){ line, (size_t)(colon - line) };
	f->value =
	    trim((struct strict_text){ colon + 1, (size_t)(end - colon) - 1 });
	*at += (size_t)(end - line) + 2;
	return true;
}

unsigned
strict_count(const struct strict_message *m, const char *name)
{
	struct strict_field f;
	unsigned n = 0;
	size_t at = 0;

	while (strict_next(m, &at, &f))
		n += strict_is(f.name, name);
	return n;
}

struct strict_text
strict_value(const struct strict_message *m, const char *name)
{
	struct strict_field f;
	size_t at = 0;

	while (strict_next(m, &at, &f))
		if (strict_is(f.name, name))
			return f.value;
	return (struct strict_text){ NULL, 0 };
}

bool
strict_lists(
    const struct strict_message *m, const char *name, struct strict_text word)
{
	struct strict_field f;
	struct strict_text item;
	size_t at = 0;

	while (strict_next(m, &at, &f)) {
		size_t in = 0;

		if (!strict_is(f.name, name))
			continue;
		while (next_item(f.value, &in, &item))
			if (same_word(item, word))
				return true;
	}
	return false;
}

static bool
says(const struct strict_message *m, const char *option)
{
	return strict_lists(
	    m, "connection", (struct strict_text){ option, strlen(option) });
}

bool
strict_is_hop(const struct strict_message *m, struct strict_text name)
{
	static const char *const hops[] = { "connection", "keep-alive",
		"proxy-connection", "te", "transfer-encoding", "upgrade" };

	for (size_t i = 0; i < sizeof hops / sizeof *hops; i++)
		if (strict_is(name, hops[i]))
			return true;
	/* Without these the message would mean something else. */
	if (strict_is(name, "host") || strict_is(name, "content-length"))
		return false;
	return name.size > 0 && strict_lists(m, "connection", name);
}

/* ------------------------------------------------------------------ head ---- */

/* RFC 9112 5: a name, directly followed by a colon; no folding (5.2). */
static bool
check_field(struct strict_message *m, struct strict_text line)
{
	const char *colon = memchr(line.bytes, ':', line.size);
	struct strict_text name = { line.bytes, 0 };

	if (colon == NULL)
		return bad(m, "a field line without a colon");
	name.size = (size_t)(colon - line.bytes);
	if (!is_token(name))
		return bad(m, "a field name that is no token");
	return true;
}

/* RFC 9112 2.2: CRLF ends a line, and neither stands alone. */
static bool
check_lines(struct strict_message *m, struct strict_text lines)
{
	const char *end;

	while (lines.size > 0) {
		struct strict_text line = { lines.bytes, 0 };

		end = memmem(lines.bytes, lines.size, "\r\n", 2);
		line.size = (size_t)(end - lines.bytes);
		for (size_t i = 0; i < line.size; i++)
			if (is_control(line.bytes[i]))
				return bad_head(m, "a control character");
		if (!check_field(m, line))
			return bad_head(m, m->why);
		lines.bytes += line.size + 2;
		lines.size -= line.size + 2;
	}
	return true;
}

/* Returns: true where the head is whole and well-formed. */
static bool
read_head(
    struct strict_message *m, const char *bytes, size_t size, size_t head_bytes)
{
	const char *end = size == 0 ? NULL : memmem(bytes, size, "\r\n\r\n", 4);
	const char *line_end;

	if (end == NULL) {
		m->verdict = STRICT_MORE;
		/* What no end could make right; a limit, above all. */
		return size > head_bytes ? bad(m, "a head without an end")
					 : false;
	}
	line_end = memmem(bytes, size, "\r\n", 2);
	m->head_size = (size_t)(end - bytes) + 4;
	m->line = (struct strict_text){ bytes, (size_t)(line_end - bytes) };
	m->fields =
	    (struct strict_text){ line_end + 2, (size_t)(end - line_end) };
	if (m->head_size > head_bytes)
		return bad_head(m, "a head that is too long");
	for (size_t i = 0; i < m->line.size; i++)
		if (is_control(m->line.bytes[i]))
			return bad_head(m, "a control character");
	return check_lines(m, m->fields);
}

/* ------------------------------------------------------------------ body ---- */

static void
keep(struct strict_message *m, const char *bytes, size_t size)
{
	if (size == 0)
		return;
	m->body = realloc(m->body, m->body_size + size);
	if (m->body == NULL)
		abort();
	memcpy(m->body + m->body_size, bytes, size);
	m->body_size += size;
}

static bool
more(struct strict_message *m)
{
	m->verdict = STRICT_MORE;
	return false;
}

/* A line of the chunked coding from at.  Returns: false where it is not whole
 * (MORE) or has a control character (BAD). */
static bool
chunk_line(struct strict_message *m, struct strict_text all, size_t at,
    struct strict_text *line)
{
	for (size_t i = at; i < all.size; i++) {
		if (all.bytes[i] == '\r' && i + 1 == all.size)
			return more(m);
		if (all.bytes[i] == '\r' && all.bytes[i + 1] == '\n') {
			*line = (struct strict_text){ all.bytes + at, i - at };
			return true;
		}
		if (is_control(all.bytes[i]))
			return bad(m, "a control character in a chunk");
	}
	return more(m);
}

/* ;name, ;name=token or ;name="text": what nobody can misread. */
static bool
is_plain_extension(struct strict_text t)
{
	struct strict_text name, value;
	const char *equals;

	if (t.size < 2 || *t.bytes != ';')
		return false;
	name = (struct strict_text){ t.bytes + 1, t.size - 1 };
	equals = memchr(name.bytes, '=', name.size);
	if (equals == NULL)
		return is_token(name);
	value = (struct strict_text){ equals + 1,
		name.size - (size_t)(equals - name.bytes) - 1 };
	name.size = (size_t)(equals - name.bytes);
	return is_token(name) && is_token(value);
}

/* RFC 9112 7.1: hexadecimal digits, then perhaps extensions. */
static bool
chunk_size(struct strict_message *m, struct strict_text line, uint64_t *size)
{
	static const char digits[] = "0123456789abcdef";
	size_t i;

	*size = 0;
	for (i = 0; i < line.size; i++) {
		int c = line.bytes[i] | (line.bytes[i] >= 'A' ? 0x20 : 0);
		const char *d = memchr(digits, c, 16);

		if (d == NULL)
			break;
		if (*size >> 60 != 0)
			return bad(m, "a chunk size beyond all numbers");
		*size = *size << 4 | (uint64_t)(d - digits);
	}
	if (i == 0)
		return bad(m, "a chunk without a size");
	if (i > 16)
		doubt(m, "a chunk size with many zeros");
	if (i == line.size)
		return true;
	if (line.bytes[i] != ';' && line.bytes[i] != ' ' &&
	    line.bytes[i] != '\t')
		return bad(m, "a chunk size that is no number");
	line = (struct strict_text){ line.bytes + i, line.size - i };
	if (!is_plain_extension(line))
		doubt(m, "a chunk extension that is not plain");
	if (*trim(line).bytes != ';' || trim(line).size == 0)
		return bad(m, "blanks behind a chunk size");
	return true;
}

static bool
is_framing(struct strict_text line)
{
	const char *colon = memchr(line.bytes, ':', line.size);

	line.size = (size_t)(colon - line.bytes);
	return strict_is(line, "transfer-encoding") ||
	    strict_is(line, "content-length") || strict_is(line, "host") ||
	    strict_is(line, "connection");
}

static bool
read_trailers(struct strict_message *m, struct strict_text all, size_t at)
{
	struct strict_text line;
	size_t begin = at;

	for (;;) {
		if (!chunk_line(m, all, at, &line))
			return false;
		at += line.size + 2;
		if (line.size == 0)
			break;
		/* RFC 9112 5.2; it is dropped with the trailer. */
		if (at - line.size - 2 > begin &&
		    (*line.bytes == ' ' || *line.bytes == '\t')) {
			doubt(m, "a folded trailer");
			continue;
		}
		if (!check_field(m, line))
			return false;
		/* RFC 9110 6.5.1: it has no meaning here, or is an attack. */
		if (is_framing(line)) {
			m->reframes = true;
			doubt(m, "a trailer that would change the framing");
		}
	}
	if (at - begin > 200)
		doubt(m, "long trailers");
	m->size = at;
	return true;
}

static bool
read_chunks(struct strict_message *m, struct strict_text all)
{
	size_t at = m->head_size;
	struct strict_text line;
	uint64_t size;

	for (;;) {
		if (!chunk_line(m, all, at, &line) ||
		    !chunk_size(m, line, &size))
			return false;
		if (line.size > 100)
			doubt(m, "a long chunk extension");
		at += line.size + 2;
		if (size == 0)
			return read_trailers(m, all, at);
		if (all.size - at <= size) {
			keep(m, all.bytes + at, all.size - at);
			return more(m);
		}
		keep(m, all.bytes + at, (size_t)size);
		at += (size_t)size;
		if (all.bytes[at] != '\r' ||
		    (all.size - at > 1 && all.bytes[at + 1] != '\n'))
			return bad(m, "a chunk longer than its size");
		if (all.size - at < 2)
			return more(m);
		at += 2;
	}
}

/* RFC 9110 8.6: a decimal number and nothing else; once. */
static bool
read_length(struct strict_message *m, uint64_t *length)
{
	struct strict_text item;
	struct strict_field f;
	size_t at = 0, in, n = 0;
	uint64_t value;

	while (strict_next(m, &at, &f)) {
		if (!strict_is(f.name, "content-length"))
			continue;
		for (in = 0; next_item(f.value, &in, &item); n++) {
			value = 0;
			for (size_t i = 0; i < item.size; i++) {
				if (item.bytes[i] < '0' || item.bytes[i] > '9')
					return bad(m,
					    "a Content-Length that "
					    "is no number");
				if (value > UINT64_MAX / 10 - 1)
					return bad(m,
					    "a Content-Length "
					    "beyond all numbers");
				value = value * 10 +
				    (uint64_t)(item.bytes[i] - '0');
			}
			if (item.size == 0)
				return bad(m, "an empty Content-Length");
			if (item.size > 18)
				doubt(m, "a very long Content-Length");
			if (n > 0 && value != *length)
				return bad(m, "two Content-Lengths");
			*length = value;
		}
	}
	if (n > 1)
		doubt(m, "the same Content-Length twice");
	return true;
}

/* RFC 9112 6.1, 6.3.  none: what kind of message has no body whatever its
 * fields say; otherwise: what it has without any of them. */
static bool
read_body(struct strict_message *m, struct strict_text all, bool none,
    enum strict_framing otherwise, bool ended)
{
	unsigned n_codings = strict_count(m, "transfer-encoding");
	bool has_length = strict_count(m, "content-length") > 0;
	uint64_t length = 0;

	if (!read_length(m, &length))
		return false;
	if (n_codings > 0 && has_length)
		return bad(m, "Transfer-Encoding and Content-Length");
	if (n_codings > 0 && m->minor == 0)
		return bad(m, "Transfer-Encoding in HTTP/1.0");
	if (n_codings > 0 &&
	    (n_codings > 1 ||
		!strict_is(strict_value(m, "transfer-encoding"), "chunked")))
		return bad(m, "a transfer coding that is not just chunked");
	m->head_good = true;
	m->size = m->head_size;
	if (none)
		return true;
	m->framing = n_codings > 0 ? STRICT_CHUNKED
	    : has_length	   ? STRICT_LENGTH
				   : otherwise;
	if (m->framing == STRICT_CHUNKED)
		return read_chunks(m, all);
	if (m->framing == STRICT_CLOSE) {
		m->last = true;
		length = ended ? all.size - m->head_size : UINT64_MAX;
	}
	if (all.size - m->head_size < length) {
		keep(m, all.bytes + m->head_size, all.size - m->head_size);
		return more(m);
	}
	keep(m, all.bytes + m->head_size, (size_t)length);
	m->size += (size_t)length;
	return true;
}

/* --------------------------------------------------------------- requests ---- */

/* RFC 9112 3: single blanks, and no others. */
static bool
read_request_line(struct strict_message *m)
{
	static const char *const known[] = { "GET", "HEAD", "POST", "PUT",
		"DELETE", "OPTIONS", "TRACE", "PATCH" };
	const char *end = m->line.bytes + m->line.size, *a, *b;
	struct strict_text version;
	bool is_known = false;

	a = memchr(m->line.bytes, ' ', m->line.size);
	b = a == NULL ? NULL : memchr(a + 1, ' ', (size_t)(end - a - 1));
	if (b == NULL)
		return bad(m, "a request line without three parts");
	m->method =
	    (struct strict_text){ m->line.bytes, (size_t)(a - m->line.bytes) };
	m->target = (struct strict_text){ a + 1, (size_t)(b - a - 1) };
	version = (struct strict_text){ b + 1, (size_t)(end - b - 1) };
	if (!is_token(m->method) || m->target.size == 0)
		return bad(m, "a request line without method or target");
	if (version.size != 8 || memcmp(version.bytes, "HTTP/1.", 7) != 0 ||
	    !is_digit(version.bytes[7]))
		return bad(m, "not HTTP/1");
	m->minor = version.bytes[7] != '0'; /* RFC 9110 6.2 */
	if (m->method.size == 7 && memcmp(m->method.bytes, "CONNECT", 7) == 0)
		return bad(m, "CONNECT");
	for (size_t i = 0; i < sizeof known / sizeof *known; i++)
		is_known |= m->method.size == strlen(known[i]) &&
		    memcmp(m->method.bytes, known[i], m->method.size) == 0;
	if (!is_known)
		doubt(m, "a method of its own");
	return true;
}

/* RFC 9110 4.2, 7.2: what surely is no host and port. */
static bool
is_authority(struct strict_text t)
{
	for (size_t i = 0; i < t.size; i++)
		if (strchr(" \t,/?#@\\", t.bytes[i]) != NULL)
			return false;
	return true;
}

/* RFC 9112 3.2.2: http://authority/path?query */
static bool
split_absolute(struct strict_message *m)
{
	const char *end = m->target.bytes + m->target.size;
	const char *at = memmem(m->target.bytes, m->target.size, "://", 3);
	struct strict_text scheme = { m->target.bytes, 0 };

	if (at == NULL)
		return bad(m, "a target that is no path");
	scheme.size = (size_t)(at - m->target.bytes);
	if (!strict_is(scheme, "http") && !strict_is(scheme, "https"))
		return bad(m, "a target of another scheme");
	m->authority.bytes = at += 3;
	while (at < end && *at != '/' && *at != '?')
		at++;
	m->authority.size = (size_t)(at - m->authority.bytes);
	if (m->authority.size == 0 || !is_authority(m->authority))
		return bad(m, "a target of nobody");
	m->path = (struct strict_text){ at, (size_t)(end - at) };
	if (m->path.size == 0 && strict_is(m->method, "OPTIONS"))
		m->path = (struct strict_text){ "*", 1 };
	doubt(m, "an absolute target");
	return true;
}

/* RFC 9112 3.2.1 to 3.2.4; RFC 3986 for the characters: those that are only
 * odd do not change where the request ends. */
static bool
read_target(struct strict_message *m)
{
	static const char plain[] = "abcdefghijklmnopqrstuvwxyz"
				    "ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"
				    "-._~!$&'()*+,;=:@/?%";

	for (size_t i = 0; i < m->target.size; i++) {
		unsigned char c = (unsigned char)m->target.bytes[i];

		if (c <= ' ' || c >= 0x7f)
			return bad(m, "a target that is not visible");
		if (strchr(plain, c) == NULL)
			doubt(m, "an odd character in the target");
	}
	m->path = m->target;
	if (*m->target.bytes != '/' &&
	    !(m->target.size == 1 && *m->target.bytes == '*' &&
		m->method.size == 7 &&
		memcmp(m->method.bytes, "OPTIONS", 7) == 0) &&
	    !split_absolute(m))
		return false;
	if (m->path.size > 0 && *m->path.bytes == '/') {
		m->path.bytes++;
		m->path.size--;
	}
	return true;
}

/* RFC 9112 3.2 */
static bool
check_host(struct strict_message *m)
{
	static const char plain[] = "abcdefghijklmnopqrstuvwxyz"
				    "ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-._~";
	struct strict_text host = strict_value(m, "host");
	unsigned n = strict_count(m, "host");
	size_t i = 0;

	if (n > 1)
		return bad(m, "several Hosts");
	if (n == 0)
		return m->minor == 0 || bad(m, "no Host");
	for (; i < host.size && host.bytes[i] != '\0'; i++)
		if (strchr(plain, host.bytes[i]) == NULL)
			break;
	if (i == 0 || i < host.size)
		doubt(m, "a Host that is no plain name");
	return is_authority(host) || bad(m, "a Host that is none");
}

static bool
is_method(const struct strict_message *m, const char *word)
{
	return m->method.size == strlen(word) &&
	    memcmp(m->method.bytes, word, m->method.size) == 0;
}

bool
strict_is_counted(const struct strict_message *m)
{
	return (is_method(m, "OPTIONS") || is_method(m, "TRACE")) &&
	    strict_count(m, "max-forwards") > 0;
}

bool
strict_is_used_up(const struct strict_message *m)
{
	struct strict_text t = strict_value(m, "max-forwards");

	for (size_t i = 0; i < t.size; i++)
		if (t.bytes[i] != '0')
			return !is_digit(t.bytes[i]);
	return true;
}

static void
check_options(struct strict_message *m)
{
	struct strict_text item;
	struct strict_field f;
	size_t at = 0, in, n = 0;

	while (strict_next(m, &at, &f)) {
		if (strict_is(f.name, "expect") &&
		    !strict_is(f.value, "100-continue"))
			doubt(m, "an unknown expectation");
		if (strict_is(f.name, "upgrade"))
			doubt(m, "Upgrade");
		if (!strict_is(f.name, "connection"))
			continue;
		for (in = 0; next_item(f.value, &in, &item); n++)
			;
	}
	if (strict_is_counted(m))
		doubt(m, "Max-Forwards");
	if (n > HOPS_MAX)
		doubt(m, "many Connection options");
}

/* Whoever sent a malformed head still knows whether it was a HEAD. */
static void
note_method(struct strict_message *m)
{
	const char *blank =
	    m->line.size == 0 ? NULL : memchr(m->line.bytes, ' ', m->line.size);

	if (blank != NULL)
		m->method = (struct strict_text){ m->line.bytes,
			(size_t)(blank - m->line.bytes) };
}

void
strict_request(
    struct strict_message *m, const char *bytes, size_t size, size_t head_bytes)
{
	*m = (struct strict_message){ .verdict = STRICT_GOOD };
	if (!read_head(m, bytes, size, head_bytes)) {
		note_method(m);
		return;
	}
	if (!read_request_line(m) || !read_target(m) || !check_host(m))
		return;
	check_options(m);
	m->last = says(m, "close") || (m->minor == 0 && !says(m, "keep-alive"));
	read_body(
	    m, (struct strict_text){ bytes, size }, false, STRICT_NONE, false);
}

/* -------------------------------------------------------------- responses ---- */

/* RFC 9112 4 */
static bool
read_status_line(struct strict_message *m)
{
	const char *s = m->line.bytes;

	if (m->line.size < 12 || memcmp(s, "HTTP/1.", 7) != 0 ||
	    !is_digit(s[7]) || s[8] != ' ')
		return bad(m, "a status line that is none");
	if (!is_digit(s[9]) || !is_digit(s[10]) || !is_digit(s[11]) ||
	    s[9] == '0' || (m->line.size > 12 && s[12] != ' '))
		return bad(m, "a status that is none");
	m->minor = s[7] != '0'; /* RFC 9110 6.2 */
	m->status = (s[9] - '0') * 100 + (s[10] - '0') * 10 + (s[11] - '0');
	if (m->line.size == 12)
		doubt(m, "no blank behind the status");
	if (s[9] > '5')
		doubt(m, "a status of no class");
	return m->status != 101 || bad(m, "a 101 that nobody asked for");
}

void
strict_response(struct strict_message *m, const char *bytes, size_t size,
    bool to_head, bool ended, size_t head_bytes)
{
	size_t n_empty = 0;

	*m = (struct strict_message){ .verdict = STRICT_GOOD };
	while (n_empty < size &&
	    (bytes[n_empty] == '\r' || bytes[n_empty] == '\n'))
		n_empty++;
	/* Empty lines in front of it say nothing yet. */
	if (n_empty == size ||
	    memmem(bytes + n_empty, size - n_empty, "\r\n\r\n", 4) == NULL) {
		m->verdict = size > head_bytes ? STRICT_BAD : STRICT_MORE;
		m->why = "a head without an end";
		return;
	}
	if (!read_head(m, bytes, size, head_bytes) || !read_status_line(m))
		return;
	check_options(m);
	m->last = says(m, "close") || (m->minor == 0 && !says(m, "keep-alive"));
	read_body(m, (struct strict_text){ bytes, size },
	    to_head || m->status < 200 || m->status == 204 || m->status == 304,
	    STRICT_CLOSE, ended);
}

void
strict_free(struct strict_message *m)
{
	free(m->body);
	m->body = NULL;
}
