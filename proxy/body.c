/* body.c - see body.h.
 *
 *   SIZE ─> DIGITS ─> EXTENSION ─> SIZE_LF ─> DATA ─> DATA_CR ─> DATA_LF ─> SIZE
 *              └───────────────────^  └─ 0 ─> TRAILER ─> done
 */
#include "proxy/body.h"

void
body_begin(struct body *b, enum framing framing, uint64_t length,
    body_content_fn *content, void *arg)
{
	b->framing = framing;
	b->done = framing == FRAMING_NONE;
	b->left = length;
	b->content = content;
	b->arg = arg;
	b->why = NULL;
	b->chunk = CHUNK_SIZE;
	b->n_lines = 0;
	buffer_truncate(&b->trailer, 0);
}

static bool
bad(struct body *b, const char *why)
{
	b->why = why;
	return false;
}

/* Hand over content.  *size: what there is, and how much was taken. */
static bool
take_content(struct body *b, const char *bytes, size_t *size)
{
	if (*size > b->left)
		*size = (size_t)b->left;
	if (!b->content(b->arg, bytes, *size))
		return bad(b, "out of memory");
	b->left -= *size;
	return true;
}

static int
hex_digit(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	c |= 0x20;
	return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* A byte of the line in front of a chunk (RFC 9112 7.1): hexadecimal digits,
 * extensions that nobody here wants, CRLF.  White space is nowhere. */
static bool
take_size(struct body *b, char c)
{
	int digit = hex_digit(c);

	if (b->chunk == CHUNK_SIZE) {
		b->left = 0;
		b->n_line = 0;
		if (digit < 0)
			return bad(b, "a chunk size that is none");
	}
	/* Zeros without end would be a size without end. */
	if (c != '\r' && ++b->n_line > BODY_CHUNK_LINE_MAX)
		return bad(b, "a chunk's first line that is too long");
	if (b->chunk != CHUNK_EXTENSION && digit >= 0) {
		if (b->left >> 56 != 0)
			return bad(b, "a chunk that is too long");
		b->left = b->left * 16 + (unsigned)digit;
		b->chunk = CHUNK_DIGITS;
		return true;
	}
	if (c == '\r') {
		b->chunk = CHUNK_SIZE_LF;
		return true;
	}
	if (b->chunk == CHUNK_DIGITS && c != ';')
		return bad(b, "a chunk size that is none");
	if (((unsigned char)c < ' ' && c != '\t') || c == 0x7f)
		return bad(b, "a control character in a chunk's extension");
	b->chunk = CHUNK_EXTENSION;
	return true;
}

/* Could half a line still become a good one?  What cannot need not be waited
 * for. */
static bool
may_be_line(const char *line, size_t size)
{
	for (size_t i = 0; i < size; i++) {
		unsigned char c = (unsigned char)line[i];

		if ((c < ' ' && c != '\t' && (c != '\r' || i + 1 < size)) ||
		    c == 0x7f)
			return false;
	}
	return true;
}

/* Bytes of the trailer section, up to the end of a line.  *size: what there is,
 * and how much was taken. */
static bool
take_trailer(struct body *b, const char *bytes, size_t *size)
{
	const char *lf = memchr(bytes, '\n', *size), *why;
	struct head_field f;
	const char *all;
	size_t n;

	if (lf != NULL)
		*size = (size_t)(lf - bytes) + 1;
	if (buffer_size(&b->trailer) + *size > BODY_TRAILER_MAX)
		return bad(b, "a trailer section that is too long");
	if (!buffer_append(&b->trailer, bytes, *size))
		return bad(b, "out of memory");
	all = buffer_bytes(&b->trailer);
	n = buffer_size(&b->trailer);
	if (lf == NULL)
		return may_be_line(all + b->n_lines, n - b->n_lines) ||
		    bad(b, "a control character in the trailer section");
	if (n - b->n_lines == 2 && all[b->n_lines] == '\r') {
		buffer_truncate(&b->trailer, b->n_lines);
		b->done = true;
		return true;
	}
	if (head_next(all, n, &b->n_lines, &f, &why) != HEAD_FIELD)
		return bad(b, why);
	return true;
}

/* Returns: false where it is bad.  *size: what there is, and how much was
 * taken, which is at least one byte. */
static bool
take_chunked(struct body *b, const char *bytes, size_t *size)
{
	switch (b->chunk) {
	case CHUNK_DATA:
		if (!take_content(b, bytes, size))
			return false;
		if (b->left == 0)
			b->chunk = CHUNK_DATA_CR;
		return true;
	case CHUNK_TRAILER:
		return take_trailer(b, bytes, size);
	default:
		break;
	}
	*size = 1;
	switch (b->chunk) {
	case CHUNK_SIZE_LF:
		b->chunk = b->left > 0 ? CHUNK_DATA : CHUNK_TRAILER;
		return *bytes == '\n' || bad(b, "a line without CRLF");
	case CHUNK_DATA_CR:
		b->chunk = CHUNK_DATA_LF;
		return *bytes == '\r' || bad(b, "a chunk without its CRLF");
	case CHUNK_DATA_LF:
		b->chunk = CHUNK_SIZE;
		return *bytes == '\n' || bad(b, "a chunk without its CRLF");
	default:
		return take_size(b, *bytes);
	}
}

enum body_result
body_feed(struct body *b, const char *bytes, size_t size, size_t *used)
{
	size_t n;

	*used = 0;
	while (!b->done && *used < size) {
		n = size - *used;
		if (b->framing == FRAMING_CHUNKED) {
			if (!take_chunked(b, bytes + *used, &n))
				return BODY_BAD;
		} else {
			if (b->framing != FRAMING_LENGTH)
				b->left = n;
			if (!take_content(b, bytes + *used, &n))
				return BODY_BAD;
			b->done = b->framing == FRAMING_LENGTH && b->left == 0;
		}
		*used += n;
	}
	return b->done ? BODY_DONE : BODY_MORE;
}

static bool
may_trail(const struct head_field *f)
{
	static const char *const never[] = { "content-encoding",
		"content-range", "content-type", "set-cookie",
		"proxy-authorization", "www-authenticate", "cache-control",
		"age", "expires", "location", "retry-after", "vary", "range",
		"if-match", "if-none-match", "if-modified-since",
		"if-unmodified-since", "if-range" };

	if (f->id != NAME_OTHER)
		return false;
	for (size_t i = 0; i < sizeof never / sizeof *never; i++)
		if (head_is(f->name, never[i]))
			return false;
	return true;
}

bool
body_end_chunks(const struct body *b, struct buffer *out)
{
	const char *bytes = buffer_bytes(&b->trailer), *why;
	size_t size = buffer_size(&b->trailer), at = 0;
	struct head_field f;

	if (!buffer_add(out, "0\r\n"))
		return false;
	while (b->framing == FRAMING_CHUNKED && at < size &&
	    head_next(bytes, size, &at, &f, &why) == HEAD_FIELD)
		if (may_trail(&f) &&
		    !buffer_append(out, f.line.bytes, f.line.size))
			return false;
	return buffer_add(out, "\r\n");
}
