/* clock.c - libevent's timers behind the interface of clock.h. */
#include "proxy/clock.h"

#include <event2/event.h>
#include <stdlib.h>
#include <time.h>

struct timer {
	struct event *event;
	proxy_fire_fn *fire;
	void *arg;
};

static void
on_timeout(evutil_socket_t fd, short what, void *arg)
{
	struct timer *t = arg;

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
	struct timeval tv = { .tv_sec = ms / 1000,
		.tv_usec = ms % 1000 * 1000 };

	event_add(t->event, &tv);
}

static void
timer_cancel(void *timer)
{
	struct timer *t = timer;

	event_del(t->event);
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
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (int64_t)t.tv_sec * 1000000 + t.tv_nsec / 1000;
}

struct proxy_clock
proxy_clock_libevent(struct event_base *base)
{
	return (struct proxy_clock){ base, timer_new, timer_arm, timer_cancel,
		timer_free, now_us };
}
