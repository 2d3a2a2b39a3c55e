/* patience.h - how long to wait for a program, on a machine that may be busy.
 *
 * A busy machine makes a program slow, never wrong.  So what a wait costs is
 * not the time that goes by, but the processor time that the program had; only
 * a program that gets none at all is given up by the clock.  Where the clock is
 * what was promised (a deadline), the time that somebody waited for a processor
 * does not count.
 *
 * Pure: the caller reads the clocks.  Times: milliseconds.
 */
#ifndef HARNESS_PATIENCE_H
#define HARNESS_PATIENCE_H

#include <stdbool.h>
#include <stdint.h>

/* A program that neither rests nor uses a processor for so long (it hangs in
 * the kernel, or all others come before it) is given up. */
#define PATIENCE_STARVED_MS 60000

/* A deadline is never put off beyond so many times its length. */
#define PATIENCE_DEADLINES 30

struct patience {
	int64_t limit_ms; /* of processor time */
	int64_t spent_ms;
	int64_t used_ms, moved_ms; /* as they were seen last; -1: not yet */
};

/* Be so patient from the first look on. */
void patience_begin(struct patience *, int64_t limit_ms);

/* Look: is it over?
 *
 * clock_ms: of any clock that only goes forward.
 * used_ms:  processor time that the program has had; it falls where a part of
 *           the program has gone, which is not counted.
 */
bool patience_is_over(struct patience *, int64_t clock_ms, int64_t used_ms);

/* How much of a deadline is left, 0 or less for none.
 *
 * gone_ms:   time that has gone by since it began.
 * waited_ms: of it, the time that we or a program waited for a processor; side
 *            by side they may have waited for longer than that.
 */
int64_t patience_left_ms(int64_t limit_ms, int64_t gone_ms, int64_t waited_ms);

#endif
