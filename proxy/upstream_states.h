/* upstream_states.h - what the files of the upstream state machine share.
 *
 * upstream.c is a connection's life; upstream_carry.c is what it does while it
 * carries an exchange.
 */
#ifndef PROXY_UPSTREAM_STATES_H
#define PROXY_UPSTREAM_STATES_H

#include "proxy/exchange.h"
#include "proxy/internal.h"
#include "proxy/upstream.h"

enum { UPSTREAM_READ_SIZE = PROXY_SCRATCH_SIZE };

enum upstream_state {
#define X(symbol, function, wants) UPSTREAM_##symbol,
	UPSTREAM_STATES(X)
#undef X
};

struct upstream {
	struct proxy_actor actor; /* first */
	struct server *server;
	struct pool_entry entry;
	unsigned n_uses;
	unsigned uses_max;	/* 0: no limit */
	int idle_ms;		/* how long it may be idle now, 0: no limit */
	struct exchange *probe; /* while VERIFYING */
	bool ahead;		/* it is being made without a request */
	bool dialled;		/* connect() was called */
	bool owes_outcome;	/* to its server, of connecting */
	size_t n_tried;		/* of the server's addresses, in vain */
	bool retired;
	bool write_failed;
	bool shut;    /* a tunnel's client sends no more */
	size_t limit; /* proxy_limit(); SIZE_MAX: none */
};

/* One function per state: it returns the next one. */
#define X(symbol, function, wants) \
	enum upstream_state upstream_##function(struct upstream *);
UPSTREAM_STATES(X)
#undef X

/* The attempt has failed, for a reason that is the connection's, time's or our
 * own.  Out: SPENT. */
enum upstream_state upstream_lost(struct upstream *);
enum upstream_state upstream_timed_out(struct upstream *);
enum upstream_state upstream_lacks_memory(struct upstream *);

static inline const struct proxy_options *
upstream_options(const struct upstream *u)
{
	return &u->actor.proxy->options;
}

static inline size_t
upstream_head_bytes(const struct upstream *u)
{
	return (size_t)upstream_options(u)->head_bytes;
}

#endif
