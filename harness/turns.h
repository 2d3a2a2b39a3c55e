/* turns.h - the lab and its external programs, one after the other.
 *
 * Real time does not mean that nobody knows what a program is doing: when all
 * its threads sleep, it has dealt with everything that was done to it.  While
 * the programs run, the lab does nothing; while the lab does what there is to
 * do, they do not run.  So each meets all that the other did in its turn, and
 * who wins is never the scheduler's choice.
 */
#ifndef HARNESS_TURNS_H
#define HARNESS_TURNS_H

#include <stdbool.h>

#include "harness/lab.h"
#include "harness/rank.h"

/* Our turn: between these two no program runs.  Where all are confined to our
 * only processor, it is enough to come before them; else they are stopped.
 *
 * Needs: at rest. */
struct turn {
	bool by_rank;
	struct rank before;
};

void turns_begin(struct lab *, struct turn *);
void turns_end(struct lab *, const struct turn *);

/* lab_reset() as one turn of ours: a program that opens a connection for each
 * that ends meets the end of all at once.  Else there would always be one more
 * to end, as it opens them faster than they are ended.
 *
 * Needs: not in a turn. */
void turns_reset(struct lab *);

/* Take turns until all programs are at rest and there is nothing to do for the
 * lab either: then nothing more can happen, unless time brings it.
 *
 * ms:      of processor time that the programs may have for it, at most (see
 *          patience.h); one that is busy by itself never rests.
 * rests:   gets whether they do.
 * Returns: LAB_MOVED, or why it was cut short.
 */
enum lab_outcome turns_rest(struct lab *, int ms, bool *rests);

/* Let time go by, at most so much, until a program does something or a timer of
 * the lab is due; whatever it is, turns_rest() deals with it.
 *
 * Needs:    at rest.
 * ms:       as asked for; where we are late ourselves, that does not count.
 * dozed_ms: gets how long nobody did anything.
 */
enum lab_outcome turns_doze(struct lab *, int ms, int *dozed_ms);

#endif
