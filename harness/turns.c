/* turns.c - see turns.h. */
#include "harness/turns.h"

#include <sched.h>
#include <stdint.h>
#include <time.h>

#include "harness/clock.h"
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

/* Let them run until all rest, and do nothing meanwhile.  Returns: TREE_RUNS
 * where that time went by first. */
static enum tree_rest
wait_for_rest(struct lab *lab, int64_t until_ms)
{
	const struct timespec moment = { 0, 20000 };
	enum tree_rest rest;

	for (unsigned n = 0; (rest = all_rest(lab)) == TREE_RUNS; n++) {
		if (lab_is_interrupted() || now_ms() > until_ms)
			return TREE_RUNS;
		/* On the same processor they go on at once; if they take
		 * their time, they are alone. */
		if (n < 64)
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
take_turn(struct lab *lab, int64_t until_ms, bool *happened)
{
	uint64_t first = trace_seq(lab_trace(lab)), seq;
	enum lab_outcome outcome;
	struct turn turn;

	turns_begin(lab, &turn);
	do {
		seq = trace_seq(lab_trace(lab));
		lab_acknowledge(lab);
		outcome = lab_settle(lab);
	} while (outcome == LAB_MOVED && trace_seq(lab_trace(lab)) != seq &&
	    now_ms() <= until_ms);
	turns_end(lab, &turn);
	*happened = trace_seq(lab_trace(lab)) != first;
	return outcome;
}

enum lab_outcome
turns_rest(struct lab *lab, int ms, bool *rests)
{
	int64_t until_ms = now_ms() + ms;
	enum tree_rest rest = wait_for_rest(lab, until_ms);
	enum lab_outcome outcome = LAB_MOVED;
	bool happened = true;

	*rests = false;
	while (rest != TREE_RUNS && happened) {
		outcome = take_turn(lab, until_ms, &happened);
		if (outcome != LAB_MOVED)
			return outcome;
		rest = wait_for_rest(lab, until_ms);
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
	int64_t start_ms = now_ms(), due_ms;

	do {
		if (lab_is_interrupted())
			return LAB_INTERRUPTED;
		due_ms = clock_next_ms(lab_clock(lab));
		if (any_ran(lab) || (due_ms >= 0 && due_ms <= lab_now_ms(lab)))
			break;
		nanosleep(&moment, NULL);
		if (moment.tv_nsec < LONG_NS)
			moment.tv_nsec *= 2;
		*dozed_ms = (int)(now_ms() - start_ms);
	} while (*dozed_ms < ms);
	return LAB_MOVED;
}
