/* clock.c - the default timers: libevent's. */
#include "backend/clock.h"

#include <event2/event.h>
#include <stdlib.h>
#include <time.h>

struct timer {
	struct event *event;
	backend_fire_fn *fire;
	void *fire_arg;
};

static void
on_timeout(evutil_socket_t fd, short what, void *arg)
{
	struct timer *t = arg;

	t->fire(t->fire_arg);
}

static void *
libevent_new(void *base, backend_fire_fn *fire, void *fire_arg)
{
	struct timer *t = malloc(sizeof *t);

	if (t == NULL)
		return NULL;
	t->fire = fire;
	t->fire_arg = fire_arg;
	t->event = event_new(base, -1, 0, on_timeout, t);
	if (t->event == NULL) {
		free(t);
		return NULL;
	}
	return t;
}

static void
libevent_arm(void *timer, int64_t ms)
{
	struct timer *t = timer;
	struct timeval tv;

	if (ms < 0)
		ms = 0;
	tv.tv_sec = (time_t)(ms / 1000);
	tv.tv_usec = (suseconds_t)(ms % 1000 * 1000);
	event_add(t->event, &tv);
}

static void
libevent_cancel(void *timer)
{
	struct timer *t = timer;

	event_del(t->event);
}

static void
libevent_free(void *timer)
{
	struct timer *t = timer;

	if (t == NULL)
		return;
	event_free(t->event);
	free(t);
}

static int64_t
monotonic_ms(void *arg)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return now.tv_sec * INT64_C(1000) + now.tv_nsec / 1000000;
}

struct backend_clock
backend_clock_libevent(struct event_base *base)
{
	return (struct backend_clock){ base, libevent_new, libevent_arm,
		libevent_cancel, libevent_free, monotonic_ms };
}
