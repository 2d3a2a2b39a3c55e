/* reply.h - what the proxy says itself: a refused request, an exchange that
 * failed.  Pure.
 *
 * An OPTIONS or TRACE that goes no further is answered well; all else is an
 * error.
 *
 * Every such answer carries Proxy-Status (RFC 9209), so that nobody takes it
 * for the backend's and everybody sees why nothing was tried again.
 */
#ifndef PROXY_REPLY_H
#define PROXY_REPLY_H

#include "proxy/buffer.h"
#include "proxy/retry.h"

struct reply {
	int status;
	const char *error;   /* an error type of RFC 9209 2.3; NULL: none */
	const char *details; /* a static sentence; no quotes */
	bool close;	     /* the connection ends after it */
	bool keep_alive;     /* say so, to an HTTP/1.0 client */
	bool to_head;	     /* without its body */
	/* The body and its media type; where content is NULL, the details. */
	const char *type, *content;
	size_t content_size;
};

/* The answer to an exchange that is given up.
 *
 * invalid: what was wrong with the response, NULL where nothing was.
 * why:     from retry_decide().
 */
struct reply reply_to_failure(
    const struct attempt *, const char *invalid, const char *why);

/* Returns: false when out of memory. */
bool reply_write(const struct reply *, struct buffer *);

#endif
