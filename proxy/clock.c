/* clock.c - libevent's timers behind the interface of clock.h. */
#include "proxy/clock.h"

#include <event2/event.h>
#include <stdlib.h>
#include <time.h>

/* Most timers are moved or cancelled long before they are due, twice in every
 * request.  So that costs nothing: the event stays where it is, and when it
 * fires too early, it is added again for what is left.  The
 * clock is the exact one: the coarse one is behind by a tick, and by more on a
 * machine that is busy; libevent counts from such a time, and from the
 * beginning of its pass.  So whether the time has come is asked again when an
 * event has fired.
 */
struct timer {
	struct event *event;
	proxy_fire_fn *fire;
	void *arg;
	int64_t due_us; /* 0: not armed */
	int64_t set_us; /* when the event will fire; 0: it is not added */
};

static int64_t
us_of(struct timespec t)
{
	return (int64_t)t.tv_sec * 1000000 + t.tv_nsec / 1000;
}

static int64_t
read_us(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return us_of(t);
}

static void
set(struct timer *t, int64_t us)
{
	struct timeval tv = { .tv_sec = us / 1000000, .tv_usec = us % 1000000 };

	t->set_us = t->due_us;
	event_add(t->event, &tv);
}

static void
on_timeout(evutil_socket_t fd, short what, void *arg)
{
	struct timer *t = arg;
	int64_t left_us = t->due_us - read_us();

	t->set_us = 0;
	if (t->due_us == 0)
		return;
	if (left_us > 0) {
		set(t, left_us);
		return;
	}
	t->due_us = 0;
	t->fire(t->arg);
}

static void *
timer_new(void *base, proxy_fire_fn *fire, void *fire_arg)
{
	struct timer *t = malloc(sizeof *t);

	if (t == NULL)
		return NULL;
	*t = (struct timer){ .fire = fire, .arg = fire_arg };
	t->event = evtimer_new(base, on_timeout, t);
	if (t->event == NULL) {
		free(t);
		return NULL;
	}
	return t;
}

static void
timer_arm(void *timer, int64_t ms)
{
	struct timer *t = timer;

	t->due_us = read_us() + ms * 1000;
	if (t->set_us == 0 || t->due_us < t->set_us)
		set(t, ms * 1000);
}

static void
timer_cancel(void *timer)
{
	struct timer *t = timer;

	t->due_us = 0;
}

static void
timer_free(void *timer)
{
	struct timer *t = timer;

	if (t == NULL)
		return;
	event_free(t->event);
	free(t);
}

static int64_t
now_us(void *base)
{
	return read_us();
}

static int64_t
date_s(void *base)
{
	return time(NULL);
}

struct proxy_clock
proxy_clock_libevent(struct event_base *base)
{
	return (struct proxy_clock){ base, timer_new, timer_arm, timer_cancel,
		timer_free, now_us, date_s };
}
