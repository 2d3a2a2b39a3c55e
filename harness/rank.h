/* rank.h - who runs first, where several share one processor.
 *
 * Two things make a program's turn (turns.h) come to the same each time.  Its
 * threads run in the order in which they were woken, each until it waits: with
 * the usual scheduling (EEVDF), whom a thread wakes may interrupt it, or not,
 * as their last milliseconds have it.  And in the lab's turn the lab comes
 * before them all, so that it need not stop them: SIGSTOP is seen by a program,
 * as what waits with a timeout then fails with EINTR (signal(7)).
 *
 * Both need that lab and program may run on one and the same processor only
 * (core.pin), and the right to real-time priorities (sched(7): CAP_SYS_NICE or
 * RLIMIT_RTPRIO).  Without that right, SCHED_BATCH at least keeps who is woken
 * from interrupting.
 */
#ifndef HARNESS_RANK_H
#define HARNESS_RANK_H

#include <sched.h>
#include <stdbool.h>
#include <sys/types.h>

/* The only processor that a thread may run on (0: the calling one); -1: there
 * are several. */
int rank_processor(pid_t tid);

/* From now on a program's thread, and those that it starts, run in order.
 * Where there are several processors for it, nothing changes. */
void rank_line_up(pid_t tid);

/* What we were before. */
struct rank {
	int policy;
	struct sched_param param;
};

/* Come before every program, until rank_return().
 * Returns: false where we may not; then nothing has changed. */
bool rank_rise(struct rank *before);
void rank_return(const struct rank *before);

#endif
