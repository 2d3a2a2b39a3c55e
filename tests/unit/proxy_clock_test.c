/* The proxy's own timers, in real time: late is allowed, early is not. */
#include "proxy/clock.h"

#include <event2/event.h>
#include <stdbool.h>

#include "check.h"

enum { ROUNDS = 60 };

static struct event_base *base;
static struct proxy_clock proxy_clock;
static bool fired;

static void
on_fire(void *arg)
{
	fired = true;
	event_base_loopbreak(base);
}

static void
on_bystander(evutil_socket_t fd, short what, void *arg)
{
	event_base_loopbreak(base);
}

/* Let real time go by, inside the loop. */
static void
wait_us(long us)
{
	struct timeval tv = { 0, us };

	event_base_once(base, -1, EV_TIMEOUT, on_bystander, NULL, &tv);
	event_base_dispatch(base);
}

static struct armed {
	void *timer;
	int64_t ms, at_us;
} armed;

/* Arm late in a pass of the loop, whose idea of the time is old by then. */
static void
on_pass(evutil_socket_t fd, short what, void *arg)
{
	int64_t begun_us = proxy_clock.now_us(base);

	while (proxy_clock.now_us(base) - begun_us < 3000)
		;
	armed.at_us = proxy_clock.now_us(base);
	proxy_clock.timer_arm(armed.timer, armed.ms);
}

/* Arm, and wait for it.  Returns: how much too early it fired, in us. */
static int64_t
strike(void *timer, int64_t ms)
{
	const struct timeval at_once = { 0, 0 };
	int64_t early_us;

	fired = false;
	armed = (struct armed){ timer, ms, 0 };
	event_base_once(base, -1, EV_TIMEOUT, on_pass, NULL, &at_once);
	while (!fired)
		event_base_dispatch(base);
	early_us = ms * 1000 - (proxy_clock.now_us(base) - armed.at_us);
	return early_us > 0 ? early_us : 0;
}

static void
keep_worst(int64_t *worst, int64_t early_us)
{
	if (early_us > *worst)
		*worst = early_us;
}

int
main(void)
{
	int64_t fresh = 0, moved = 0, again = 0;
	void *timer;

	base = event_base_new();
	proxy_clock = proxy_clock_libevent(base);
	timer = proxy_clock.timer_new(base, on_fire, NULL);
	for (int i = 0; i < ROUNDS; i++) {
		wait_us(i * 97 % 4000 + 1); /* anywhere between two ticks */
		keep_worst(&fresh, strike(timer, 1 + i % 13));
		proxy_clock.timer_arm(timer, 12);
		wait_us(6000);
		keep_worst(&moved, strike(timer, 12));
		proxy_clock.timer_arm(timer, 8);
		wait_us(2000);
		proxy_clock.timer_cancel(timer);
		keep_worst(&again, strike(timer, 8));
	}
	CHECK(fresh == 0, "a timer does not strike early (by %lld us)",
	    (long long)fresh);
	CHECK(moved == 0, "nor one that was moved (by %lld us)",
	    (long long)moved);
	CHECK(again == 0, "nor one that was cancelled and armed (by %lld us)",
	    (long long)again);
	proxy_clock.timer_free(timer);
	event_base_free(base);
	return CHECK_DONE();
}
