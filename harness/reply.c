/* reply.c - see reply.h.
 *
 *   HEAD --empty line--> BODY_LENGTH | CHUNK_SIZE | BODY_CLOSE | complete
 *   CHUNK_SIZE --> CHUNK_DATA --> CHUNK_END --> CHUNK_SIZE ... TRAILER
 *
 * A 1xx head is counted and dropped, and HEAD begins again; behind a 101 there are
 * only bytes.
 */
#include "harness/reply.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "backend/ledger.h"

enum phase {
	HEAD,
	BODY_LENGTH,
	BODY_CLOSE,
	CHUNK_SIZE,
	CHUNK_DATA,
	CHUNK_END,
	TRAILER
};

#define HEAD_MAX 65536

void
reply_init(struct reply *r, bool to_head)
{
	bytes_free(&r->head);
	bytes_free(&r->body);
	memset(r, 0, sizeof *r);
	r->to_head = to_head;
	r->body_hash = LEDGER_HASH_INIT;
}

void
reply_free(struct reply *r)
{
	bytes_free(&r->head);
	bytes_free(&r->body);
}

const char *
reply_header(
    const char *head, size_t head_size, const char *name, size_t *value_size)
{
	const char *end = head + head_size, *line = head, *next;
	size_t n = strlen(name);

	for (; line < end; line = next) {
		const char *value, *stop = memchr(line, '\n', end - line);

		if (stop == NULL)
			return NULL;
		next = stop + 1;
		if ((size_t)(stop - line) <= n || line[n] != ':' ||
		    strncasecmp(line, name, n) != 0)
			continue;
		value = line + n + 1;
		while (value < stop && (*value == ' ' || *value == '\t'))
			value++;
		while (stop > value && (unsigned char)stop[-1] <= ' ')
			stop--;
		*value_size = stop - value;
		return value;
	}
	return NULL;
}

/* Is the item that token, blanks around it apart? */
static bool
is_token(const char *item, size_t size, const char *token, size_t n)
{
	while (size > 0 && (*item == ' ' || *item == '\t')) {
		item++;
		size--;
	}
	while (size > 0 && (item[size - 1] == ' ' || item[size - 1] == '\t'))
		size--;
	return size == n && strncasecmp(item, token, n) == 0;
}

/* Is the token in the list that the header holds (RFC 9110 5.6.1)?  A header
 * that comes twice continues its list. */
static bool
header_has(const struct reply *r, const char *name, const char *token)
{
	const char *head = r->head.p, *end = head + r->head.size, *v, *item;
	size_t size, n = strlen(token), length;

	while ((v = reply_header(head, end - head, name, &size)) != NULL) {
		for (item = v; item <= v + size; item += length + 1) {
			const char *comma = memchr(item, ',', v + size - item);

			length = (comma != NULL ? comma : v + size) - item;
			if (is_token(item, length, token, n))
				return true;
		}
		head = v + size;
	}
	return false;
}

/* Digits alone: no sign, no blank, no prefix.  Returns: how many there are; 0
 * where there is none, or no number holds them. */
static size_t
read_number(const char *text, size_t size, unsigned base, uint64_t *number)
{
	static const char digits[] = "0123456789abcdef";
	size_t i;

	*number = 0;
	for (i = 0; i < size; i++) {
		const char *d =
		    memchr(digits, tolower((unsigned char)text[i]), base);

		if (d == NULL)
			break;
		if (*number > (UINT64_MAX - 15) / base)
			return 0;
		*number = *number * base + (uint64_t)(d - digits);
	}
	return i;
}

/* Its length, where all that it says of it is one number, or the same one
 * again.  Returns: false where it is not. */
static bool
read_length(struct reply *r, const char *v, size_t size)
{
	const char *end = r->head.p + r->head.size;
	uint64_t again;

	if (size == 0 || read_number(v, size, 10, &r->left) != size)
		return false;
	while ((v = reply_header(v + size, end - (v + size), "Content-Length",
		    &size)) != NULL)
		if (size == 0 || read_number(v, size, 10, &again) != size ||
		    again != r->left)
			return false;
	return true;
}

/* RFC 9112 6.3: what ends the body of this final response. */
static void
choose_body(struct reply *r)
{
	size_t size;
	const char *v;

	if (r->to_head || r->status == 204 || r->status == 304) {
		r->state = REPLY_COMPLETE;
	} else if (header_has(r, "Transfer-Encoding", "chunked")) {
		r->phase = CHUNK_SIZE;
	} else if ((v = reply_header(r->head.p, r->head.size, "Content-Length",
			&size)) != NULL) {
		r->phase = BODY_LENGTH;
		if (!read_length(r, v, size))
			r->state = REPLY_INVALID;
		else if (r->left == 0)
			r->state = REPLY_COMPLETE;
	} else {
		r->until_close = r->close = true;
		r->phase = BODY_CLOSE;
	}
}

static void
head_done(struct reply *r)
{
	size_t size;
	const char *v;
	uint64_t status;
	bool old;

	if (r->head.size < 12 || strncmp(r->head.p, "HTTP/1.", 7) != 0 ||
	    r->head.p[8] != ' ' ||
	    read_number(r->head.p + 9, r->head.size - 9, 10, &status) != 3 ||
	    status < 100) {
		r->state = REPLY_INVALID;
		return;
	}
	r->status = (int)status;
	if (r->status < 200 && r->status != 101) {
		r->n_interim++;
		r->status = 0;
		r->head.size = 0;
		return;
	}
	old = r->head.p[7] == '0';
	r->close = header_has(r, "Connection", "close") ||
	    (old && !header_has(r, "Connection", "keep-alive"));
	v = reply_header(r->head.p, r->head.size, LEDGER_MARK_HEADER, &size);
	if (v != NULL)
		r->mark = strtoul(v, NULL, 10);
	choose_body(r);
}

/* Take a line's bytes.  Returns: bytes taken; *done when its end was seen. */
static size_t
take_line(struct reply *r, const char *bytes, size_t size, bool *done)
{
	const char *end = memchr(bytes, '\n', size);
	size_t n = end != NULL ? (size_t)(end - bytes) + 1 : size;

	for (size_t i = 0; i < n; i++)
		if (r->line_size < sizeof r->line - 1 && bytes[i] != '\r' &&
		    bytes[i] != '\n')
			r->line[r->line_size++] = bytes[i];
	r->line[r->line_size] = '\0';
	*done = end != NULL;
	return n;
}

static size_t
feed_head(struct reply *r, const char *bytes, size_t size)
{
	const char *end = memchr(bytes, '\n', size);
	size_t n = end != NULL ? (size_t)(end - bytes) + 1 : size;
	size_t begin = r->head.size;

	if (r->head.size + n > HEAD_MAX || !bytes_append(&r->head, bytes, n)) {
		r->state = REPLY_INVALID;
		return n;
	}
	if (end == NULL)
		return n;
	/* An empty line: this line is it, or it was begun by a CR. */
	if (n == 1 && begin > 0 &&
	    (r->head.p[begin - 1] == '\n' ||
		(begin > 1 && r->head.p[begin - 1] == '\r' &&
		    r->head.p[begin - 2] == '\n')))
		head_done(r);
	else if (n == 2 && bytes[0] == '\r' && begin > 0 &&
	    r->head.p[begin - 1] == '\n')
		head_done(r);
	return n;
}

static size_t
feed_body(struct reply *r, const char *bytes, size_t size)
{
	if (r->phase != BODY_CLOSE && size > r->left)
		size = r->left;
	r->body_hash = ledger_hash(r->body_hash, bytes, size);
	if (!bytes_append(&r->body, bytes, size)) {
		r->state = REPLY_INVALID;
		return size;
	}
	if (r->phase == BODY_CLOSE)
		return size;
	r->left -= size;
	if (r->left == 0 && r->phase == BODY_LENGTH)
		r->state = REPLY_COMPLETE;
	else if (r->left == 0)
		r->phase = CHUNK_END;
	return size;
}

/* A whole line of the chunked coding stands in r->line; behind a size only an
 * extension may follow (RFC 9112 7.1.1). */
static void
chunk_line(struct reply *r)
{
	const char *rest;
	size_t n;

	if (r->phase == CHUNK_END) {
		r->phase = CHUNK_SIZE;
		if (r->line_size > 0)
			r->state = REPLY_INVALID;
	} else if (r->phase == CHUNK_SIZE) {
		n = read_number(r->line, r->line_size, 16, &r->left);
		rest = r->line + n + strspn(r->line + n, " \t");
		if (n == 0 || (*rest != '\0' && *rest != ';'))
			r->state = REPLY_INVALID;
		r->phase = r->left > 0 ? CHUNK_DATA : TRAILER;
	} else if (r->line_size == 0) {
		r->state = REPLY_COMPLETE;
	}
	r->line_size = 0;
}

size_t
reply_feed(struct reply *r, const char *bytes, size_t size)
{
	size_t used = 0;

	while (used < size && r->state == REPLY_READING) {
		const char *p = bytes + used;
		size_t left = size - used;
		bool done;

		switch ((enum phase)r->phase) {
		case HEAD:
			used += feed_head(r, p, left);
			break;
		case BODY_LENGTH:
		case BODY_CLOSE:
		case CHUNK_DATA:
			used += feed_body(r, p, left);
			break;
		case CHUNK_SIZE:
		case CHUNK_END:
		case TRAILER:
			used += take_line(r, p, left, &done);
			if (done)
				chunk_line(r);
			break;
		}
	}
	return used;
}

void
reply_end(struct reply *r, bool orderly)
{
	if (r->state == REPLY_READING && r->phase == BODY_CLOSE && orderly)
		r->state = REPLY_COMPLETE;
}

bool
reply_begun(const struct reply *r)
{
	return r->status != 0 || r->head.size > 0;
}
