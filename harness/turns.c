/* turns.c - see turns.h. */
#include "harness/turns.h"

#include <sched.h>
#include <stdint.h>
#include <time.h>

#include "harness/clock.h"
#include "harness/patience.h"
#include "harness/sut.h"
#include "harness/trace.h"

/* How long nobody looks, at first and at last: many doze side by side. */
#define SHORT_NS 200000
#define LONG_NS	 6400000

static int64_t
now_ms(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (int64_t)ts.tv_sec * 1000 + ts.tv_nsec / 1000000;
}

static struct sut *
nth(struct lab *lab, unsigned n)
{
	return lab_actor(lab, LAB_SUT, n);
}

/* All together: they are what the least of them is. */
static enum tree_rest
all_rest(struct lab *lab)
{
	enum tree_rest all = TREE_HAS_RESTED;
	struct sut *s;

	for (unsigned n = 1; all != TREE_RUNS && (s = nth(lab, n)) != NULL;
	     n++) {
		enum tree_rest rest = sut_rests(s);

		if (rest < all)
			all = rest;
	}
	return all;
}

/* Are we and all programs confined to one and the same processor? */
static bool
share_processor(struct lab *lab)
{
	int cpu = rank_processor(0);
	struct sut *s;

	if (cpu < 0)
		return false;
	for (unsigned n = 1; (s = nth(lab, n)) != NULL; n++)
		if (!sut_is_confined(s, cpu))
			return false;
	return true;
}

void
turns_begin(struct lab *lab, struct turn *turn)
{
	struct sut *s;

	turn->by_rank = share_processor(lab) && rank_rise(&turn->before);
	for (unsigned n = 1; !turn->by_rank && (s = nth(lab, n)) != NULL; n++)
		sut_hold(s);
}

void
turns_end(struct lab *lab, const struct turn *turn)
{
	struct sut *s;

	if (turn->by_rank)
		rank_return(&turn->before);
	for (unsigned n = 1; !turn->by_rank && (s = nth(lab, n)) != NULL; n++)
		sut_let_go(s);
}

void
turns_reset(struct lab *lab)
{
	struct turn turn;

	if (!lab_is_real(lab)) {
		lab_reset(lab);
		return;
	}
	turns_begin(lab, &turn);
	lab_reset(lab);
	turns_end(lab, &turn);
}

/* For one rest: what it may cost. */
struct wait {
	struct lab *lab;
	struct patience patience;
	unsigned n_looks;
};

/* What all have used costs too much to be asked for each time. */
#define LOOKS 64

static int64_t
used_ms(struct lab *lab)
{
	int64_t ms = 0;
	struct sut *s;

	for (unsigned n = 1; (s = nth(lab, n)) != NULL; n++)
		ms += sut_used_ms(s);
	return ms;
}

static bool
is_over(struct wait *w)
{
	if (lab_is_interrupted())
		return true;
	if (++w->n_looks % LOOKS != 0)
		return false;
	return lab_is_overdue(w->lab) ||
	    patience_is_over(&w->patience, now_ms(), used_ms(w->lab));
}

/* Let them run until all rest, and do nothing meanwhile.  Returns: TREE_RUNS
 * where that cost too much. */
static enum tree_rest
wait_for_rest(struct wait *w)
{
	const struct timespec moment = { 0, 20000 };
	enum tree_rest rest;

	for (unsigned n = 0; (rest = all_rest(w->lab)) == TREE_RUNS; n++) {
		if (is_over(w))
			return TREE_RUNS;
		/* On the same processor they go on at once; if they take
		 * their time, they are alone. */
		if (n < LOOKS)
			sched_yield();
		else
			nanosleep(&moment, NULL);
	}
	return rest;
}

/* Handle what is there, and what comes of it, while no program sees it.
 *
 * happened: gets whether there was anything that a program could see.
 * Returns:  as lab_settle(). */
static enum lab_outcome
take_turn(struct wait *w, bool *happened)
{
	struct lab *lab = w->lab;
	uint64_t first = trace_seq(lab_trace(lab)), seq;
	enum lab_outcome outcome;
	struct turn turn;

	turns_begin(lab, &turn);
	do {
		seq = trace_seq(lab_trace(lab));
		lab_acknowledge(lab);
		outcome = lab_settle(lab);
	} while (outcome == LAB_MOVED && trace_seq(lab_trace(lab)) != seq &&
	    !is_over(w));
	turns_end(lab, &turn);
	*happened = trace_seq(lab_trace(lab)) != first;
	return outcome;
}

enum lab_outcome
turns_rest(struct lab *lab, int ms, bool *rests)
{
	struct wait w = { .lab = lab };
	enum lab_outcome outcome = LAB_MOVED;
	enum tree_rest rest;
	bool happened = true;

	*rests = false;
	patience_begin(&w.patience, ms);
	rest = wait_for_rest(&w);
	while (rest != TREE_RUNS && happened) {
		outcome = take_turn(&w, &happened);
		if (outcome != LAB_MOVED)
			return outcome;
		rest = wait_for_rest(&w);
		/* Whom our turn has not moved has nothing new for us. */
		if (rest == TREE_HAS_RESTED)
			break;
	}
	*rests = rest != TREE_RUNS;
	/* Who is busy may have something for us all the same. */
	return *rests ? outcome : lab_settle(lab);
}

/* Has a program done anything since it was seen at rest? */
static bool
any_ran(struct lab *lab)
{
	struct sut *s;

	for (unsigned n = 1; (s = nth(lab, n)) != NULL; n++)
		if (sut_ran(s))
			return true;
	return false;
}

enum lab_outcome
turns_doze(struct lab *lab, int ms, int *dozed_ms)
{
	struct timespec moment = { 0, SHORT_NS };
	int64_t dozed_ns = 0, due_ms;

	*dozed_ms = 0;
	do {
		if (lab_is_interrupted())
			return LAB_INTERRUPTED;
		due_ms = clock_next_ms(lab_clock(lab));
		if (any_ran(lab) || (due_ms >= 0 && due_ms <= lab_now_ms(lab)))
			break;
		nanosleep(&moment, NULL);
		dozed_ns += moment.tv_nsec;
		if (moment.tv_nsec < LONG_NS)
			moment.tv_nsec *= 2;
		*dozed_ms = (int)(dozed_ns / 1000000);
	} while (*dozed_ms < ms);
	return LAB_MOVED;
}
