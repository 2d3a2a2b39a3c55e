/* deadline.c - see deadline.h. */
#include "harness/deadline.h"

#include <event2/event.h>
#include <fcntl.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#include "harness/patience.h"
#include "harness/tree.h"

#define MANY_TREES 64 /* of the others, the waiting is not given back */

struct deadline {
	struct event_base *base;
	struct event *event;
	int ms;	      /* 0: none */
	int waits_fd; /* how long our thread has waited; -1: not known */
	int64_t start_ms, due_ms, waited_ms; /* waited_ms: at the start */
	bool over;
	struct tree *trees[MANY_TREES];
	unsigned n_trees;
};

static int64_t
now_ms(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (int64_t)ts.tv_sec * 1000 + ts.tv_nsec / 1000000;
}

/* To look for threads takes longer than to begin anew may. */
static int64_t
waited_ms(const struct deadline *d, bool afresh)
{
	int64_t ms = tree_read_waited_ms(d->waits_fd);

	for (unsigned i = 0; i < d->n_trees; i++)
		ms += tree_waited_ms(d->trees[i], afresh);
	return ms;
}

static void
arm(struct deadline *d, int64_t ms)
{
	struct timeval tv = { ms / 1000, ms % 1000 * 1000 };

	d->due_ms = now_ms() + ms;
	event_add(d->event, &tv);
}

bool
deadline_is_over(struct deadline *d)
{
	int64_t left_ms, now;

	if (d->ms == 0 || d->over || (now = now_ms()) < d->due_ms)
		return d->over;
	left_ms = patience_left_ms(
	    d->ms, now - d->start_ms, waited_ms(d, true) - d->waited_ms);
	if (left_ms > 0)
		arm(d, left_ms);
	d->over = left_ms <= 0;
	return d->over;
}

bool
deadline_was_over(const struct deadline *d)
{
	return d->over;
}

static void
on_due(evutil_socket_t fd, short what, void *arg)
{
	struct deadline *d = arg;

	/* The loop's clock may be a little ahead of ours. */
	if (now_ms() < d->due_ms)
		arm(d, d->due_ms - now_ms());
	else if (deadline_is_over(d))
		event_base_loopbreak(d->base);
}

void
deadline_set(struct deadline *d, int ms)
{
	d->ms = ms;
	d->over = false;
	event_del(d->event);
	if (ms == 0)
		return;
	d->start_ms = now_ms();
	d->waited_ms = waited_ms(d, false);
	arm(d, ms);
}

int
deadline_ms(const struct deadline *d)
{
	return d->ms;
}

void
deadline_add_tree(struct deadline *d, struct tree *tree)
{
	if (d->n_trees == MANY_TREES)
		return;
	d->trees[d->n_trees++] = tree;
	d->waited_ms += tree_waited_ms(tree, false);
}

void
deadline_drop_tree(struct deadline *d, struct tree *tree)
{
	for (unsigned i = 0; i < d->n_trees; i++)
		if (d->trees[i] == tree) {
			d->waited_ms -= tree_waited_ms(tree, false);
			d->trees[i] = d->trees[--d->n_trees];
			return;
		}
}

struct deadline *
deadline_new(struct event_base *base, int priority)
{
	struct deadline *d = calloc(1, sizeof *d);

	if (d == NULL)
		return NULL;
	d->base = base;
	d->waits_fd = open("/proc/thread-self/schedstat", O_RDONLY | O_CLOEXEC);
	d->event = event_new(base, -1, 0, on_due, d);
	if (d->event == NULL) {
		deadline_free(d);
		return NULL;
	}
	event_priority_set(d->event, priority);
	return d;
}

void
deadline_free(struct deadline *d)
{
	if (d == NULL)
		return;
	if (d->event != NULL)
		event_free(d->event);
	if (d->waits_fd >= 0)
		close(d->waits_fd);
	free(d);
}
