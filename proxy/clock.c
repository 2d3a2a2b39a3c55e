/* clock.c - libevent's timers behind the interface of clock.h. */
#include "proxy/clock.h"

#include <event2/event.h>
#include <stdlib.h>
#include <time.h>

enum { COARSE_MS = 10 };

/* Most timers are moved or cancelled long before they are due, twice in every
 * request.  So that costs nothing: the event stays where it is, and when it
 * fires too early, it is added again for what is left. */
struct timer {
	struct event *event;
	proxy_fire_fn *fire;
	void *arg;
	int64_t due_ms; /* 0: not armed */
	int64_t set_ms; /* when the event will fire; 0: it is not added */
};

static int64_t
now_ms(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC_COARSE, &t);
	return (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

static void
set(struct timer *t, int64_t ms)
{
	struct timeval tv = { .tv_sec = ms / 1000,
		.tv_usec = ms % 1000 * 1000 };

	t->set_ms = t->due_ms;
	event_add(t->event, &tv);
}

static void
on_timeout(evutil_socket_t fd, short what, void *arg)
{
	struct timer *t = arg;
	int64_t left_ms = t->due_ms - now_ms();

	t->set_ms = 0;
	if (t->due_ms == 0)
		return;
	/* The coarse clock is some milliseconds behind. */
	if (left_ms > COARSE_MS) {
		set(t, left_ms);
		return;
	}
	t->due_ms = 0;
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

	t->due_ms = now_ms() + ms;
	if (t->set_ms == 0 || t->due_ms < t->set_ms)
		set(t, ms);
}

static void
timer_cancel(void *timer)
{
	struct timer *t = timer;

	t->due_ms = 0;
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
