/* clock.c - see clock.h.  A binary heap by (due, order of arming), so that two
 * timers due at the same moment fire in the order in which they were armed. */
#include "harness/clock.h"

#include <assert.h>
#include <event2/event.h>
#include <stddef.h>
#include <stdlib.h>
#include <time.h>

#define NOT_ARMED ((size_t)-1)

struct timer {
	struct clock *clock;
	clock_fire_fn *fire;
	void *arg;
	int64_t due_ms;
	uint64_t order;
	size_t at; /* index in the heap */
};

struct clock {
	struct event_base *base;
	struct event *real; /* NULL while virtual */
	int64_t now_ms;	    /* virtual; real: as of the last look */
	int64_t epoch_ms;   /* real: monotonic time at now_ms = 0 */
	uint64_t order;
	struct timer **heap;
	size_t n, room;
	size_t n_timers; /* room is made when a timer is made */
};

static int64_t
monotonic_ms(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (int64_t)ts.tv_sec * 1000 + ts.tv_nsec / 1000000;
}

/* ------------------------------------------------------------ the heap --- */

static bool
before(const struct timer *a, const struct timer *b)
{
	if (a->due_ms != b->due_ms)
		return a->due_ms < b->due_ms;
	return a->order < b->order;
}

static void
put(struct clock *c, size_t at, struct timer *t)
{
	c->heap[at] = t;
	t->at = at;
}

static void
sift_up(struct clock *c, size_t at, struct timer *t)
{
	while (at > 0 && before(t, c->heap[(at - 1) / 2])) {
		put(c, at, c->heap[(at - 1) / 2]);
		at = (at - 1) / 2;
	}
	put(c, at, t);
}

static void
sift_down(struct clock *c, size_t at, struct timer *t)
{
	size_t child;

	while ((child = 2 * at + 1) < c->n) {
		if (child + 1 < c->n &&
		    before(c->heap[child + 1], c->heap[child]))
			child++;
		if (!before(c->heap[child], t))
			break;
		put(c, at, c->heap[child]);
		at = child;
	}
	put(c, at, t);
}

static void
take_out(struct timer *t)
{
	struct clock *c = t->clock;
	struct timer *last = c->heap[--c->n];
	size_t at = t->at;

	t->at = NOT_ARMED;
	if (last == t)
		return;
	if (at > 0 && before(last, c->heap[(at - 1) / 2]))
		sift_up(c, at, last);
	else
		sift_down(c, at, last);
}

/* ------------------------------------------------------------ real time -- */

static void
look(struct clock *c)
{
	if (c->real != NULL)
		c->now_ms = monotonic_ms() - c->epoch_ms;
}

static void
arm_real(struct clock *c)
{
	struct timeval tv = { 0, 0 };
	int64_t left;

	if (c->real == NULL)
		return;
	if (c->n == 0) {
		event_del(c->real);
		return;
	}
	left = c->heap[0]->due_ms - c->now_ms;
	if (left > 0) {
		tv.tv_sec = left / 1000;
		tv.tv_usec = left % 1000 * 1000;
	}
	event_add(c->real, &tv);
}

static void
on_real(evutil_socket_t fd, short what, void *arg)
{
	struct clock *c = arg;

	look(c);
	while (c->n > 0 && c->heap[0]->due_ms <= c->now_ms) {
		struct timer *t = c->heap[0];

		take_out(t);
		t->fire(t->arg);
	}
	arm_real(c);
}

/* --------------------------------------------------------------- public -- */

/* A stop of clock_wake_at(): it frees itself. */
static void
on_wake(void *timer)
{
	clock_timer_free(timer);
}

struct clock *
clock_new(struct event_base *base)
{
	struct clock *c = calloc(1, sizeof *c);

	if (c != NULL)
		c->base = base;
	return c;
}

static void
drop_wakes(struct clock *c)
{
	while (c->n > 0 && c->heap[0]->fire == on_wake)
		clock_timer_free(c->heap[0]);
}

void
clock_reset(struct clock *c)
{
	drop_wakes(c);
	assert(c->n == 0);
	c->now_ms = 0;
	c->epoch_ms = monotonic_ms();
}

void
clock_free(struct clock *c)
{
	if (c == NULL)
		return;
	drop_wakes(c);
	assert(c->n_timers == 0);
	if (c->real != NULL)
		event_free(c->real);
	free(c->heap);
	free(c);
}

void
clock_go_real(struct clock *c)
{
	if (c->real != NULL)
		return;
	c->real = event_new(c->base, -1, 0, on_real, c);
	c->epoch_ms = monotonic_ms() - c->now_ms;
	arm_real(c);
}

bool
clock_is_real(const struct clock *c)
{
	return c->real != NULL;
}

int64_t
clock_now_ms(const struct clock *c)
{
	return c->real != NULL ? monotonic_ms() - c->epoch_ms : c->now_ms;
}

int64_t
clock_next_ms(const struct clock *c)
{
	return c->n > 0 ? c->heap[0]->due_ms : -1;
}

bool
clock_jump(struct clock *c)
{
	struct timer *t;

	assert(c->real == NULL);
	if (c->n == 0)
		return false;
	t = c->heap[0];
	take_out(t);
	if (t->due_ms > c->now_ms)
		c->now_ms = t->due_ms;
	t->fire(t->arg);
	return true;
}

void *
clock_timer_new(void *arg, clock_fire_fn *fire, void *fire_arg)
{
	struct clock *c = arg;
	struct timer *t;

	/* Arming must not fail: its room is found here. */
	if (c->n_timers == c->room) {
		size_t room = c->room == 0 ? 16 : 2 * c->room;
		struct timer **heap = realloc(c->heap, room * sizeof *heap);

		if (heap == NULL)
			return NULL;
		c->heap = heap;
		c->room = room;
	}
	t = calloc(1, sizeof *t);
	if (t == NULL)
		return NULL;
	t->clock = c;
	t->fire = fire;
	t->arg = fire_arg;
	t->at = NOT_ARMED;
	c->n_timers++;
	return t;
}

void
clock_timer_arm(void *timer, int64_t ms)
{
	struct timer *t = timer;
	struct clock *c = t->clock;

	if (t->at != NOT_ARMED)
		take_out(t);
	look(c);
	t->due_ms = c->now_ms + (ms > 0 ? ms : 0);
	t->order = c->order++;
	c->n++;
	sift_up(c, c->n - 1, t);
	arm_real(c);
}

void
clock_timer_cancel(void *timer)
{
	struct timer *t = timer;

	if (t->at == NOT_ARMED)
		return;
	take_out(t);
	arm_real(t->clock);
}

void
clock_timer_free(void *timer)
{
	struct timer *t = timer;

	if (t == NULL)
		return;
	clock_timer_cancel(t);
	t->clock->n_timers--;
	free(t);
}

void
clock_wake_at(struct clock *c, int64_t ms)
{
	struct timer *t = clock_timer_new(c, on_wake, NULL);

	if (t == NULL)
		return;
	t->arg = t;
	clock_timer_arm(t, ms - clock_now_ms(c));
}
