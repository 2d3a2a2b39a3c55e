/* upstream.h - one connection to the backend, over its whole life.
 *
 * It carries one exchange at a time.  The end of an attempt is told by the
 * exchange (state, now) and a poke of its session; from then on the session
 * must not touch the connection: it may be parked, serve somebody else or be
 * gone.
 */
#ifndef PROXY_UPSTREAM_H
#define PROXY_UPSTREAM_H

#include <stdbool.h>
#include <stddef.h>

#include "proxy/pool.h"

/*	symbol		function	wanted latches	*/
#define UPSTREAM_STATES(X)                                                     \
	X(CONNECTING, connecting, LATCH_WRITABLE | LATCH_TIMER)                \
	X(VERIFYING, verifying, LATCH_READABLE | LATCH_WRITABLE | LATCH_TIMER) \
	X(SENDING, sending, LATCH_READABLE | LATCH_WRITABLE | LATCH_TIMER)     \
	X(AWAITING, awaiting, LATCH_READABLE | LATCH_TIMER)                    \
	X(READING, reading, LATCH_READABLE | LATCH_WRITABLE | LATCH_TIMER)     \
	X(TUNNELLING, tunnelling,                                              \
	    LATCH_READABLE | LATCH_WRITABLE | LATCH_TIMER)                     \
	X(IDLE, idle, LATCH_READABLE | LATCH_TIMER)                            \
	X(SPENT, spent, 0)

struct exchange;
struct proxy;
struct proxy_actor;
struct server;
struct upstream;

/* Open a connection to a server and carry the exchange over it: begins an
 * attempt.  Errors: the attempt has failed already. */
void upstream_open(struct proxy *, struct server *, struct exchange *);

/* Open idle connections to a server, as many as it lacks.  Errors: fewer. */
void upstream_open_spares(struct proxy *, struct server *);

/* Carry an exchange over a connection taken from the pool: begins an attempt.
 */
void upstream_ride(struct upstream *, struct exchange *);

struct upstream *upstream_of_entry(struct pool_entry *);
bool upstream_looks_alive(const struct upstream *);

/* End an idle connection, parked or not. */
void upstream_retire(struct upstream *);

/* The session has no use for the attempt any more.  Its connection is spent.
 * Needs: it carries an exchange. */
void upstream_abandon(struct upstream *);

/* End it at once, by reset, in any state.  Not from a callback.
 * Needs: it carries no exchange. */
void upstream_close(struct proxy_actor *);

/* For proxy_pool(). */
unsigned upstream_n_uses(const struct upstream *);
struct proxy_actor *upstream_actor(struct upstream *);

#endif
