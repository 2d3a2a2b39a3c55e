/* clock.h - the timers that the proxy needs, declared so that they can be
 * replaced.
 *
 * The proxy never decides by the time of day; it arms timers and is called.  Alone
 * it runs on libevent's timers.  A harness passes its own and thereby decides
 * when, and whether, time goes by.
 */
#ifndef PROXY_CLOCK_H
#define PROXY_CLOCK_H

#include <stdint.h>

struct event_base;

typedef void proxy_fire_fn(void *arg);

struct proxy_clock {
	void *arg; /* handed to timer_new */

	/* Make a timer, not armed.  Returns NULL when out of memory. */
	void *(*timer_new)(void *arg, proxy_fire_fn *, void *fire_arg);

	/* Fire once, ms from now; an armed timer is moved.  Never calls back
	 * from inside. */
	void (*timer_arm)(void *timer, int64_t ms);

	/* Disarm.  Allowed in any state. */
	void (*timer_cancel)(void *timer);

	/* Disarm and release.  NULL is allowed. */
	void (*timer_free)(void *timer);

	/* What time is it, in microseconds since some moment?  For accounts
	 * only: no decision depends on it.  NULL: accounts have no times. */
	int64_t (*now_us)(void *arg);

	/* The time of day, in seconds since 1970, for Date in what has none: no
	 * decision depends on it.  NULL: there is no such clock (RFC 9110
	 * 6.6.1). */
	int64_t (*date_s)(void *arg);
};

/* The default: libevent's timers on base, which is borrowed. */
struct proxy_clock proxy_clock_libevent(struct event_base *);

#endif
