/* resource.h - what the built-in origin serves under which path.
 *
 *	/bytes/N     N bytes, Content-Length
 *	/chunked/N   N bytes, chunked
 *	/close/N     N bytes, ended by the end of the connection
 *	/echo        the request's body
 *	/delay/MS    a line of text, MS milliseconds later
 *	/status/NNN  that status
 *	/id/X/…      what is served under /…; X is the request's id
 *	else         a line of text that names the request
 *
 * Pure.
 */
#ifndef BACKEND_RESOURCE_H
#define BACKEND_RESOURCE_H

#include <stddef.h>

#define RESOURCE_BYTES_MAX ((size_t)64 << 20)
#define RESOURCE_ECHO_MAX  ((size_t)16 << 20)
#define RESOURCE_DELAY_MAX ((size_t)24 * 60 * 60 * 1000)

enum resource_kind {
	RESOURCE_TEXT,
	RESOURCE_BYTES,
	RESOURCE_CHUNKED,
	RESOURCE_CLOSE,
	RESOURCE_ECHO,
	RESOURCE_DELAY,
	RESOURCE_STATUS,
	RESOURCE_BAD /* a number beyond what is served */
};

struct resource {
	enum resource_kind kind;
	size_t n; /* BYTES, CHUNKED, CLOSE, DELAY, STATUS */
};

/* What a request target names; its query is ignored. */
struct resource resource_of(const char *target);

/* Write size bytes of the body of /bytes/N and its like, from offset on. */
void resource_fill(char *to, size_t offset, size_t size);

#endif
