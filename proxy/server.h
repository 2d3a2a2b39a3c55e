/* server.h - one of options.upstreams: its pool, and whether it takes
 * connections.
 *
 * A server that swallows SYNs would cost each request its connect timeout.  So
 * one timeout is remembered: for a while no connection is made, then a single
 * one, whose outcome decides.
 *
 *	OPEN ──timed out──> PAUSED ──time over──> DUE ──admits──> TRIED
 *	 ^                     ^                  ^ └─gave up─────┘ │ │
 *	 │                     └──────timed out────────────────────┘ │
 *	 └────────────────replied────────────────────────────────────┘
 */
#ifndef PROXY_SERVER_H
#define PROXY_SERVER_H

#include <stdbool.h>
#include <stddef.h>

#include "proxy/clock.h"
#include "proxy/place.h"
#include "proxy/pool.h"

enum server_reach { SERVER_OPEN, SERVER_PAUSED, SERVER_DUE, SERVER_TRIED };

struct server {
	const struct place *place; /* borrowed */
	size_t first; /* of its addresses, to be dialled: the last that was
			 connected to */
	struct pool pool;
	size_t n_ahead; /* connections that are made without a request */
	enum server_reach reach;
	const struct proxy_clock *clock; /* borrowed */
	void *timer;			 /* while PAUSED */
};

/* Needs:   all zero.
 * Returns: false when out of memory. */
bool server_open(struct server *, const struct place *,
    const struct proxy_clock *, size_t pool_size);
void server_close(struct server *); /* all zero is fine, too */

/* May a connection be made?  Where it is the single one, its outcome is owed:
 * one of the next three. */
bool server_admits(struct server *);

/* A connection was made, or refused; it took too long (pause_ms 0: that is not
 * remembered); it was given up. */
void server_replied(struct server *);
void server_timed_out(struct server *, int pause_ms);
void server_gave_up(struct server *);

#endif
