/* retry_list.h - the requests that somebody knows to be repeatable (R6): one
 * "METHOD path-pattern" a line.
 *
 *	# idempotent, whatever the method says
 *	POST   /search*
 *	PATCH  /profile/?/name
 *	*      /health
 *
 * The method is compared as it is written, "*" is any.  The pattern is a shell
 * pattern, matched against the path without its query; '*' matches '/' too.
 * Empty lines, and lines that begin with '#', are skipped.
 *
 * Source: RFC 2616 8.1.4 ("user agent software ... knows the request to be
 * repeatable").
 */
#ifndef PROXY_RETRY_LIST_H
#define PROXY_RETRY_LIST_H

#include <stdbool.h>
#include <stddef.h>

#define RETRY_LIST_BYTES 32768

/* All zero is an empty list. */
struct retry_list {
	size_t n, size;
	char text[RETRY_LIST_BYTES]; /* method NUL pattern NUL, n times */
};

/* Add the lines of a text.
 *
 * Returns: 0, or -1 with a sentence in error that begins with the line's
 *          number; then nothing was added.
 */
int retry_list_add(struct retry_list *, const char *text, size_t size,
    char *error, size_t error_size);

/* Does a line name this request?  Neither string needs an end. */
bool retry_list_has(const struct retry_list *, const char *method,
    size_t method_size, const char *path, size_t path_size);

#endif
