/* admin.h - the admin port: GET /metrics, /status and /healthz over HTTP. */
#ifndef PROXY_PROGRAM_ADMIN_H
#define PROXY_PROGRAM_ADMIN_H

#include "proxy/program/program.h"

/* Serve on fd, a listening socket.
 *
 * Owns:    takes fd, unless it fails; borrows the rest.
 * Returns: NULL when out of memory.
 */
struct admin *admin_new(struct event_base *, int fd,
    const struct report_program *, const struct program_hands *);

/* Whoever waits is refused.  After it, no program_reports_fn must be called.
 * NULL is allowed. */
void admin_free(struct admin *);

#endif
