/* internal.h - what the files of this folder know of one proxy. */
#ifndef PROXY_INTERNAL_H
#define PROXY_INTERNAL_H

#include "proxy/actor.h"
#include "proxy/exchange.h"
#include "proxy/pool.h"
#include "proxy/proxy.h"

/* What is read at once, at most. */
enum { PROXY_SCRATCH_SIZE = 131072 };

/* One of options.upstreams. */
struct server {
	const struct place *place;
	size_t first; /* of its addresses, to be dialled: the last that was
			 connected to */
	struct pool pool;
	size_t n_ahead; /* connections that are made without a request */
};

struct proxy {
	struct event_base *base;
	struct proxy_options options;
	struct proxy_clock clock;
	proxy_watch_fn *watch;
	void *watch_arg;
	unsigned tells; /* of PROXY_TELL() */

	struct event *listener; /* NULL: accepts nobody */
	bool starved;		/* no descriptor was left to accept with */
	bool draining;
	struct actor_list sessions, upstreams;
	struct actor_list ready; /* poked; they run when the one that runs is
				    done */
	bool running;
	size_t n_sessions, n_upstreams;
	struct server servers[PROXY_UPSTREAMS_MAX];
	size_t n_servers;
	size_t turn; /* of the servers, for the next request */

	struct exchange *spare_exchanges; /* a list */
	size_t spare_bytes;

	/* made so far */
	unsigned long n_opened_sessions, n_opened_upstreams, n_exchanges;

	struct buffer scratch; /* empty; see actor_fill() */
};

/* Is anybody told of it? */
static inline bool
proxy_tells(const struct proxy *p, enum proxy_what what)
{
	return (p->tells & PROXY_TELL(what)) != 0;
}

/* For accounts; 0 where nobody keeps them. */
static inline int64_t
proxy_now_us(const struct proxy *p)
{
	return proxy_tells(p, PROXY_DONE) && p->clock.now_us != NULL
	    ? p->clock.now_us(p->clock.arg)
	    : 0;
}

/* An exchange for a session whose client begins to speak; NULL when out of
 * memory.  It is given back reset or not, with nothing in its reader. */
struct exchange *proxy_take_exchange(struct proxy *);
void proxy_give_exchange(struct proxy *, struct exchange *);

/* A descriptor was closed: whoever waits for one may go on. */
void proxy_regained_descriptor(struct proxy *);

#endif
