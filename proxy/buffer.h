/* buffer.h - bytes that are appended at one end and consumed at the other.
 *
 * All zero is an empty buffer that owns nothing.  Emptied buffers keep their
 * memory, so that one that has found its size allocates no more.
 */
#ifndef PROXY_BUFFER_H
#define PROXY_BUFFER_H

#include <stdbool.h>
#include <stddef.h>

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
bool buffer_append(struct buffer *, const void *bytes, size_t size);
bool buffer_add(struct buffer *, const char *text);
bool buffer_print(struct buffer *, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

/* Drop the first size bytes; drop all but the first size bytes. */
void buffer_consume(struct buffer *, size_t size);
void buffer_truncate(struct buffer *, size_t size);

void buffer_free(struct buffer *);

#endif
