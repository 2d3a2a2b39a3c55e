/* bytes.h - bytes that grow at one end and are used up at the other. */
#ifndef HARNESS_BYTES_H
#define HARNESS_BYTES_H

#include <stdbool.h>
#include <stddef.h>

/* All zero before its first use. */
struct bytes {
	char *p;
	size_t size, room;
};

/* Returns: false when out of memory, with everything as it was. */
bool bytes_append(struct bytes *, const void *p, size_t n);

/* Append a text without its final zero. */
bool bytes_put(struct bytes *, const char *text);

/* Remove the first n.  Needs: n <= size. */
void bytes_drop(struct bytes *, size_t n);
void bytes_free(struct bytes *);

#endif
