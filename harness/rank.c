/* rank.c - see rank.h. */
#include "harness/rank.h"

#include <stddef.h>

enum { PROGRAM_PRIORITY = 1, LAB_PRIORITY };

int
rank_processor(pid_t tid)
{
	cpu_set_t set;

	if (sched_getaffinity(tid, sizeof set, &set) != 0 ||
	    CPU_COUNT(&set) != 1)
		return -1;
	for (size_t cpu = 0; cpu < CPU_SETSIZE; cpu++)
		if (CPU_ISSET(cpu, &set))
			return (int)cpu;
	return -1;
}

void
rank_line_up(pid_t tid)
{
	const struct sched_param fifo = { PROGRAM_PRIORITY }, none = { 0 };

	if (rank_processor(tid) >= 0 &&
	    sched_setscheduler(tid, SCHED_FIFO, &fifo) != 0)
		sched_setscheduler(tid, SCHED_BATCH, &none);
}

bool
rank_rise(struct rank *before)
{
	const struct sched_param fifo = { LAB_PRIORITY };

	before->policy = sched_getscheduler(0);
	return before->policy >= 0 && sched_getparam(0, &before->param) == 0 &&
	    sched_setscheduler(0, SCHED_FIFO, &fifo) == 0;
}

void
rank_return(const struct rank *before)
{
	sched_setscheduler(0, before->policy, &before->param);
}
