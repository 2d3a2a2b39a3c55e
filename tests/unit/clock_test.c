/* The lab's clock: which timer fires when, and in what order. */
#include "harness/clock.h"

#include <event2/event.h>
#include <stdlib.h>
#include <string.h>

#include "check.h"

#define N_MANY 500

/* What fired, in order, as letters. */
static char fired[N_MANY + 1];
static size_t n_fired;

struct named {
	struct clock *clock;
	void *timer;
	char name;
	int again_ms;	     /* -1: once */
	struct named *other; /* to be cancelled when this one fires */
	int64_t at_ms;	     /* when it fired */
};

static void
on_fire(void *arg)
{
	struct named *n = arg;

	fired[n_fired++] = n->name;
	fired[n_fired] = '\0';
	n->at_ms = clock_now_ms(n->clock);
	if (n->other != NULL)
		clock_timer_cancel(n->other->timer);
	if (n->again_ms >= 0) {
		clock_timer_arm(n->timer, n->again_ms);
		n->again_ms = -1;
	}
}

static struct named
named(struct clock *c, char name)
{
	return (struct named){ .clock = c, .name = name, .again_ms = -1 };
}

static void
forget(void)
{
	n_fired = 0;
	fired[0] = '\0';
}

static void
make(struct named *n)
{
	n->timer = clock_timer_new(n->clock, on_fire, n);
	forget();
}

static void
test_standing_still(struct event_base *base)
{
	struct clock *c = clock_new(base);
	struct named a = named(c, 'a');

	CHECK(clock_now_ms(c) == 0, "a new clock shows 0");
	CHECK(!clock_is_real(c), "a new clock is virtual");
	CHECK(clock_next_ms(c) == -1, "without a timer nothing is due");
	CHECK(!clock_jump(c), "without a timer there is nowhere to jump");
	make(&a);
	CHECK(clock_next_ms(c) == -1, "a timer is made unarmed");
	clock_timer_arm(a.timer, 60000);
	CHECK(clock_next_ms(c) == 60000, "an armed timer is due at its time");
	event_base_loop(base, EVLOOP_NONBLOCK);
	CHECK(n_fired == 0 && clock_now_ms(c) == 0,
	    "the event loop does not move a virtual clock");
	CHECK(clock_jump(c) && n_fired == 1, "a jump fires the next timer");
	CHECK(clock_now_ms(c) == 60000, "a jump goes to the timer's moment");
	CHECK(!clock_jump(c), "a timer fires once");
	clock_timer_arm(a.timer, -5);
	clock_jump(c);
	CHECK(n_fired == 2 && clock_now_ms(c) == 60000,
	    "a time that is over means now, never before");
	clock_timer_free(a.timer);
	clock_timer_free(NULL);
	clock_free(c);
	clock_free(NULL);
}

static void
test_order(struct event_base *base)
{
	struct clock *c = clock_new(base);
	struct named a = named(c, 'a'), b = named(c, 'b'), d = named(c, 'd');

	make(&a);
	make(&b);
	make(&d);
	clock_timer_arm(b.timer, 10);
	clock_timer_arm(a.timer, 10);
	clock_timer_arm(d.timer, 5);
	clock_jump(c);
	CHECK(strcmp(fired, "d") == 0, "a jump fires just one timer");
	CHECK(clock_next_ms(c) == 10, "the others stay due");
	clock_jump(c);
	clock_jump(c);
	CHECK(strcmp(fired, "dba") == 0,
	    "equal times fire in the order of arming (%s)", fired);

	forget();
	clock_timer_arm(a.timer, 10);
	clock_timer_arm(b.timer, 10);
	clock_timer_arm(a.timer, 10);
	CHECK(clock_next_ms(c) == 20, "times count from now");
	clock_jump(c);
	clock_jump(c);
	CHECK(strcmp(fired, "ba") == 0,
	    "arming again goes to the end of the queue (%s)", fired);
	CHECK(!clock_jump(c), "armed twice, fired once");
	clock_timer_free(a.timer);
	clock_timer_free(b.timer);
	clock_timer_free(d.timer);
	clock_free(c);
}

static void
test_cancel(struct event_base *base)
{
	struct clock *c = clock_new(base);
	struct named a = named(c, 'a'), b = named(c, 'b');

	make(&a);
	make(&b);
	clock_timer_cancel(a.timer);
	CHECK(clock_next_ms(c) == -1, "an unarmed timer may be cancelled");
	clock_timer_arm(a.timer, 1);
	clock_timer_arm(b.timer, 2);
	clock_timer_cancel(a.timer);
	CHECK(clock_next_ms(c) == 2, "a cancelled timer is not due");
	clock_jump(c);
	CHECK(strcmp(fired, "b") == 0, "a cancelled timer does not fire");

	a.other = &b;
	clock_timer_arm(a.timer, 3);
	clock_timer_arm(b.timer, 3);
	clock_jump(c);
	CHECK(strcmp(fired, "ba") == 0 && !clock_jump(c),
	    "a timer may cancel another that is due at the same moment");
	a.other = NULL;
	a.again_ms = 7;
	clock_timer_arm(a.timer, 3);
	clock_jump(c);
	CHECK(clock_next_ms(c) == clock_now_ms(c) + 7,
	    "a timer may arm itself while it fires");
	clock_timer_free(a.timer);
	CHECK(clock_next_ms(c) == -1, "freeing a timer disarms it");
	clock_timer_free(b.timer);
	clock_free(c);
}

static void
test_wake(struct event_base *base)
{
	struct clock *c = clock_new(base);
	struct named a = named(c, 'a');

	make(&a);
	clock_timer_arm(a.timer, 100);
	clock_wake_at(c, 40);
	CHECK(clock_next_ms(c) == 40, "time makes a stop where it was asked");
	clock_jump(c);
	CHECK(clock_now_ms(c) == 40 && n_fired == 0, "a stop fires nothing");
	CHECK(clock_next_ms(c) == 100, "behind the stop time goes on");
	clock_wake_at(c, 10);
	clock_jump(c);
	CHECK(clock_now_ms(c) == 40, "a stop in the past does not turn back");
	clock_timer_free(a.timer);
	clock_wake_at(c, 1000);
	clock_wake_at(c, 2000);
	clock_free(c);
	CHECK(1, "stops that nobody came to are freed with the clock");
}

/* A few hundred timers in a scrambled order, every third one cancelled. */
static void
test_many(struct event_base *base)
{
	struct clock *c = clock_new(base);
	static struct named many[N_MANY];
	int64_t last = -1;
	size_t n = 0, wrong = 0;
	unsigned seed = 1;

	for (size_t i = 0; i < N_MANY; i++) {
		many[i] = named(c, 'm');
		make(&many[i]);
	}
	for (size_t i = 0; i < N_MANY; i++) {
		seed = seed * 1103515245 + 12345;
		clock_timer_arm(many[i].timer, (seed >> 16) % 100);
	}
	for (size_t i = 0; i < N_MANY; i += 3)
		clock_timer_cancel(many[i].timer);
	while (clock_next_ms(c) >= 0) {
		int64_t due = clock_next_ms(c);

		clock_jump(c);
		wrong += due < last || clock_now_ms(c) != due;
		last = due;
		n++;
	}
	CHECK(n == N_MANY - (N_MANY + 2) / 3, "all but the cancelled fire");
	CHECK(wrong == 0, "%zu timers fire in the order of their times", n);
	for (size_t i = 0; i < N_MANY; i++)
		clock_timer_free(many[i].timer);
	clock_free(c);
}

static void
test_going_real(struct event_base *base)
{
	struct clock *c = clock_new(base);
	struct named a = named(c, 'a'), b = named(c, 'b'), d = named(c, 'd');

	make(&a);
	make(&b);
	make(&d);
	clock_wake_at(c, 60000);
	clock_jump(c);
	clock_timer_arm(a.timer, 3600000);
	clock_timer_arm(b.timer, 2);
	clock_timer_arm(d.timer, 2);
	clock_go_real(c);
	clock_go_real(c);
	CHECK(clock_is_real(c), "there is a real clock");
	CHECK(clock_now_ms(c) >= 60000 && clock_now_ms(c) < 3600000,
	    "going real does not jump");
	CHECK(clock_next_ms(c) == 60002, "timers keep the time they had left");
	while (n_fired < 2)
		event_base_loop(base, EVLOOP_ONCE);
	CHECK(strcmp(fired, "bd") == 0, "real timers keep their order (%s)",
	    fired);
	CHECK(b.at_ms >= 60002, "a real timer is not early");
	clock_timer_arm(d.timer, 0);
	event_base_loop(base, EVLOOP_ONCE);
	CHECK(strcmp(fired, "bdd") == 0, "a real timer can be armed again");
	clock_timer_cancel(a.timer);
	CHECK(event_base_loop(base, EVLOOP_ONCE) == 1,
	    "without an armed timer the loop has nothing to wait for");
	clock_timer_free(a.timer);
	clock_timer_free(b.timer);
	clock_timer_free(d.timer);
	clock_free(c);
}

int
main(void)
{
	struct event_base *base = event_base_new();

	test_standing_still(base);
	test_order(base);
	test_cancel(base);
	test_wake(base);
	test_many(base);
	test_going_real(base);
	event_base_free(base);
	return CHECK_DONE();
}
