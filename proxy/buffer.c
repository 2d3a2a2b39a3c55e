/* buffer.c - see buffer.h. */
#include "proxy/buffer.h"

#include <assert.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { SMALLEST = 1024 };

char *
buffer_reserve(struct buffer *b, size_t size)
{
	size_t used = buffer_size(b), wanted = b->capacity;
	char *grown;

	if (b->capacity - b->end >= size && b->bytes != NULL)
		return b->bytes + b->end;
	if (b->capacity - used >= size && b->bytes != NULL) {
		memmove(b->bytes, b->bytes + b->begin, used);
		b->begin = 0;
		b->end = used;
		return b->bytes + b->end;
	}
	if (size > SIZE_MAX / 4 - used)
		return NULL;
	if (wanted < SMALLEST)
		wanted = SMALLEST;
	while (wanted - used < size)
		wanted *= 2;
	grown = malloc(wanted);
	if (grown == NULL)
		return NULL;
	if (used > 0)
		memcpy(grown, b->bytes + b->begin, used);
	free(b->bytes);
	*b = (struct buffer){ grown, 0, used, wanted };
	return b->bytes + b->end;
}

size_t
buffer_room(const struct buffer *b)
{
	return b->capacity - buffer_size(b);
}

void
buffer_commit(struct buffer *b, size_t size)
{
	assert(size <= b->capacity - b->end);
	b->end += size;
}

bool
buffer_print(struct buffer *b, const char *format, ...)
{
	char text[1024];
	va_list args;
	int n;

	va_start(args, format);
	n = vsnprintf(text, sizeof text, format, args);
	va_end(args);
	assert(n >= 0 && (size_t)n < sizeof text);
	return buffer_append(b, text, (size_t)n);
}

void
buffer_free(struct buffer *b)
{
	free(b->bytes);
	*b = (struct buffer){ 0 };
}
