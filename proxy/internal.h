/* internal.h - what the files of this folder know of one proxy. */
#ifndef PROXY_INTERNAL_H
#define PROXY_INTERNAL_H

#include "proxy/actor.h"
#include "proxy/pool.h"
#include "proxy/proxy.h"

/* What is read goes through here, unless a buffer has the room already: idle
 * connections hold no memory that only a read would need. */
enum { PROXY_SCRATCH_SIZE = 65536 };

struct proxy {
	struct event_base *base;
	struct proxy_options options;
	struct proxy_clock clock;
	proxy_watch_fn *watch;
	void *watch_arg;

	struct event *listener; /* NULL: accepts nobody */
	bool starved;		/* no descriptor was left to accept with */
	bool draining;
	struct actor_list sessions, upstreams;
	size_t n_sessions;
	struct pool pool;

	/* made so far */
	unsigned long n_opened_sessions, n_opened_upstreams, n_exchanges;

	char scratch[PROXY_SCRATCH_SIZE];
};

/* A descriptor was closed: whoever waits for one may go on. */
void proxy_regained_descriptor(struct proxy *);

#endif
