/* clock.h - the timers that the backend needs, declared so that they can be
 * replaced.
 *
 * The backend arms timers and is called.  It asks what time it is for one
 * purpose, to tell how long a connection had been idle; it decides nothing by
 * that.  Alone it runs on libevent's timers.  A harness passes its own and thereby decides
 * when, and whether, time goes by.
 */
#ifndef BACKEND_CLOCK_H
#define BACKEND_CLOCK_H

#include <stdint.h>

struct event_base;

typedef void backend_fire_fn(void *arg);

struct backend_clock {
	void *arg; /* handed to timer_new and now_ms */

	/* Make a timer, not armed.  Returns NULL when out of memory. */
	void *(*timer_new)(void *arg, backend_fire_fn *, void *fire_arg);

	/* Fire once, ms from now; an armed timer is moved.  Never calls back
	 * from inside. */
	void (*timer_arm)(void *timer, int64_t ms);

	/* Disarm.  Allowed in any state. */
	void (*timer_cancel)(void *timer);

	/* Disarm and release.  NULL is allowed. */
	void (*timer_free)(void *timer);

	/* Milliseconds since some fixed point. */
	int64_t (*now_ms)(void *arg);
};

/* The default: libevent's timers on base, which is borrowed. */
struct backend_clock backend_clock_libevent(struct event_base *);

#endif
