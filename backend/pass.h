/* pass.h - valves that have done enough in this pass of the loop wait for its
 * next one.
 *
 * event_active() would not do: libevent goes on with what is active until
 * nothing is, and only then asks epoll for others.  A timer of no time at all
 * fires in the next pass, after what epoll has told; and as there is one for
 * all, the order is that in which they came.
 */
#ifndef BACKEND_PASS_H
#define BACKEND_PASS_H

#include <stdbool.h>
#include <sys/queue.h>

struct event;
struct event_base;

/* Part of a valve; all zero before it waits. */
struct pass_entry {
	TAILQ_ENTRY(pass_entry) link;
	bool waits;
	unsigned long since; /* which pass */
};

struct pass {
	struct event *event;
	TAILQ_HEAD(, pass_entry) waiting;
	unsigned long n;
	void (*run)(struct pass_entry *); /* does not wait any more */
};

/* Returns: false when out of memory. */
bool pass_init(
    struct pass *, struct event_base *, void (*run)(struct pass_entry *));

/* Needs: no connection waits.  All zero is allowed. */
void pass_free(struct pass *);

/* Run in the next pass, unless it waits already. */
void pass_wait(struct pass *, struct pass_entry *);

/* Do not, if it waits. */
void pass_leave(struct pass *, struct pass_entry *);

#endif
