/* buffer.h - bytes that are appended at one end and consumed at the other.
 *
 * All zero is an empty buffer that owns nothing.  Emptied buffers keep their
 * memory, so that one that has found its size allocates no more.
 */
#ifndef PROXY_BUFFER_H
#define PROXY_BUFFER_H

#include <assert.h>
#include <stdbool.h>
#include <stddef.h>
#include <string.h>

struct buffer {
	char *bytes;
	size_t begin, end, capacity;
};

/* The contents.  Valid until the next call that adds. */
static inline const char *
buffer_bytes(const struct buffer *b)
{
	return b->bytes == NULL ? "" : b->bytes + b->begin;
}

static inline size_t
buffer_size(const struct buffer *b)
{
	return b->end - b->begin;
}

/* How many bytes can be added without more memory? */
size_t buffer_room(const struct buffer *);

/* Make room for size more bytes and return where they go; what is written
 * there counts after buffer_commit().  Returns: NULL when out of memory. */
char *buffer_reserve(struct buffer *, size_t size);
void buffer_commit(struct buffer *, size_t size);

/* Returns: false when out of memory; the buffer is then as it was. */
static inline bool
buffer_append(struct buffer *b, const void *bytes, size_t size)
{
	char *room;

	if (size == 0)
		return true;
	room = b->capacity - b->end >= size ? b->bytes + b->end
					    : buffer_reserve(b, size);
	if (room == NULL)
		return false;
	memcpy(room, bytes, size);
	b->end += size;
	return true;
}

static inline bool
buffer_add(struct buffer *b, const char *text)
{
	return buffer_append(b, text, strlen(text));
}

bool buffer_print(struct buffer *, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

/* Drop the first size bytes. */
static inline void
buffer_consume(struct buffer *b, size_t size)
{
	assert(size <= buffer_size(b));
	b->begin += size;
	if (b->begin == b->end)
		b->begin = b->end = 0;
}

/* Drop all but the first size bytes. */
static inline void
buffer_truncate(struct buffer *b, size_t size)
{
	assert(size <= buffer_size(b));
	b->end = b->begin + size;
	if (size == 0)
		b->begin = b->end = 0;
}

void buffer_free(struct buffer *);

#endif
