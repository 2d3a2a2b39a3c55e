/* bytes.c - see bytes.h. */
#include "harness/bytes.h"

#include <stdlib.h>
#include <string.h>

bool
bytes_append(struct bytes *b, const void *p, size_t n)
{
	if (b->size + n > b->room) {
		size_t room = 2 * (b->size + n) + 512;
		char *bigger = realloc(b->p, room);

		if (bigger == NULL)
			return false;
		b->p = bigger;
		b->room = room;
	}
	if (n > 0)
		memcpy(b->p + b->size, p, n);
	b->size += n;
	return true;
}

bool
bytes_put(struct bytes *b, const char *text)
{
	return bytes_append(b, text, strlen(text));
}

void
bytes_drop(struct bytes *b, size_t n)
{
	if (n > 0)
		memmove(b->p, b->p + n, b->size - n);
	b->size -= n;
}

void
bytes_free(struct bytes *b)
{
	free(b->p);
	*b = (struct bytes){ 0 };
}
