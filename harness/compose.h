/* compose.h - a request as the exact bytes that the client sends.  Pure. */
#ifndef HARNESS_COMPOSE_H
#define HARNESS_COMPOSE_H

#include <stddef.h>

struct bytes;
struct client_request;

/* Append the request's head and, unless it is open, its whole body.
 *
 * Needs: method and path set.
 */
void compose_request(struct bytes *, const struct client_request *);

/* Append one chunk, or the last one (RFC 9112 7.1).  Needs: size > 0. */
void compose_chunk(struct bytes *, const char *body, size_t size);
void compose_last_chunk(struct bytes *);

#endif
