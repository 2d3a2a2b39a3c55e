/* crew.h - what the files of the workers' parent know of them. */
#ifndef PROXY_PROGRAM_CREW_H
#define PROXY_PROGRAM_CREW_H

#include <signal.h>
#include <sys/queue.h>

#include "proxy/program/admin.h"
#include "proxy/program/program.h"

struct channel;
struct gathering; /* of reports */

struct crew_member {
	struct crew *crew;
	int number; /* from 1 */
	pid_t pid;  /* 0: it is dead */
	struct channel *channel;
	struct event *restart;
	int64_t started_ms;
	bool ready; /* it serves */
	bool due;   /* to be started */
};

struct crew {
	struct program *program;
	int n, n_ready;
	bool complete; /* all have been ready */
	bool ending, over;
	int status; /* exit status */
	int *listeners;
	struct event *child, *killer;
	sigset_t mask; /* before a fork */
	LIST_HEAD(, gathering) gatherings;
	uint32_t n_gatherings; /* so far */
	struct crew_member members[ARGUMENTS_WORKERS_MAX];
};

/* Ask every worker; whoever does not answer within a second, has not. */
void crew_collect(void *crew, program_reports_fn *, void *reports_arg);

void crew_take_report(struct crew *, const struct crew_member *,
    uint32_t number, const void *bytes, size_t size);

/* It is dead, and answers no more. */
void crew_forget_reports(struct crew *, const struct crew_member *);

/* Nobody wants them any more. */
void crew_forget_all_reports(struct crew *);

#endif
