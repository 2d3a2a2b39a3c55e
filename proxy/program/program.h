/* program.h - the life of the program: signals, the admin port, what is said
 * of it.  Who serves is behind struct program_hands: the process itself, or
 * workers of its own. */
#ifndef PROXY_PROGRAM_PROGRAM_H
#define PROXY_PROGRAM_PROGRAM_H

#include "proxy/program/report.h"

struct admin;
struct event;
struct event_base;

/* Calls back: once for each collect(), then or later, with a report of every
 * worker. */
typedef void program_reports_fn(void *arg, const struct report *, size_t n);

struct program_hands {
	void *arg;
	void (*drain)(void *arg);
	void (*stop)(void *arg); /* end at once */
	/* Have another list (NULL: the same), open the log again. */
	void (*reload)(void *arg, const struct retry_list *);
	void (*collect)(void *arg, program_reports_fn *, void *reports_arg);
};

struct program {
	struct event_base *base;
	struct arguments *arguments;
	struct program_hands hands;
	struct report_program facts;
	int admin_fd; /* -1: none */
	struct admin *admin;
	struct event *signals[3];
};

/* Needs:   arguments and admin_fd set; the rest zero.
 * Returns: false, and says why. */
bool program_begin(struct program *, struct program_hands, int listener);

/* Say where it listens. */
void program_announce(const struct program *);

/* All zero is allowed. */
void program_end(struct program *);

/* Serve in this process, or by arguments.n_workers others, until the end.
 *
 * Owns:    takes the listeners, one a worker; base is closed.
 * Returns: the exit status.
 */
int alone_run(struct program *, int listener);
int crew_run(struct program *, int *listeners);

#endif
