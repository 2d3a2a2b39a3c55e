/* session.h - one client connection, and one exchange at a time on it.
 *
 * It reads requests, chooses a connection for each, relays in both directions
 * and judges what became of an attempt.
 */
#ifndef PROXY_SESSION_H
#define PROXY_SESSION_H

#include <stdbool.h>

/*	symbol		function	wanted latches	*/
#define SESSION_STATES(X)                                                    \
	X(WAITING, waiting, LATCH_READABLE | LATCH_TIMER)                    \
	X(PARSING, parsing, LATCH_READABLE | LATCH_TIMER)                    \
	X(CHOOSING, choosing, 0)                                             \
	X(RELAYING, relaying, LATCH_READABLE | LATCH_WRITABLE | LATCH_TIMER) \
	X(BACKING_OFF, backing_off, LATCH_READABLE | LATCH_TIMER)            \
	X(ANSWERING, answering, LATCH_WRITABLE | LATCH_TIMER)                \
	X(LINGERING, lingering, LATCH_READABLE | LATCH_TIMER)                \
	X(ENDED, ended, 0)

struct proxy;
struct proxy_actor;

/* Serve a client.
 *
 * Owns:    takes fd, unless it fails.
 * Returns: false when out of memory.
 */
bool session_open(struct proxy *, int fd);

/* End it at once, by reset, in any state.  Not from a callback. */
void session_close(struct proxy_actor *);

#endif
