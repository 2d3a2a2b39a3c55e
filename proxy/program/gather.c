/* gather.c - the reports of crew.h: asked for, awaited, handed on. */
#include <event2/event.h>
#include <stdlib.h>
#include <string.h>

#include "proxy/program/channel.h"
#include "proxy/program/crew.h"

enum { ANSWER_S = 1 };

struct gathering {
	LIST_ENTRY(gathering) link;
	struct crew *crew;
	uint32_t number;
	struct event *timeout;
	int n_missing;
	program_reports_fn *tell;
	void *tell_arg;
	struct report reports[ARGUMENTS_WORKERS_MAX];
	bool awaited[ARGUMENTS_WORKERS_MAX];
};

static void
release(struct gathering *g)
{
	LIST_REMOVE(g, link);
	if (g->timeout != NULL)
		event_free(g->timeout);
	for (int i = 0; i < g->crew->n; i++)
		free((char *)g->reports[i].status);
	free(g);
}

static void
finish(struct gathering *g)
{
	g->tell(g->tell_arg, g->reports, (size_t)g->crew->n);
	release(g);
}

static void
on_timeout(evutil_socket_t fd, short what, void *arg)
{
	finish(arg);
}

/* Its answer is there, or will not come. */
static void
settle(struct gathering *g, int i)
{
	g->awaited[i] = false;
	if (--g->n_missing == 0)
		finish(g);
}

void
crew_collect(void *arg, program_reports_fn *tell, void *tell_arg)
{
	struct timeval limit = { .tv_sec = ANSWER_S };
	struct gathering *g = calloc(1, sizeof *g);
	struct crew *c = arg;

	if (g == NULL) {
		tell(tell_arg, NULL, 0);
		return;
	}
	g->crew = c;
	g->tell = tell;
	g->tell_arg = tell_arg;
	g->number = ++c->n_gatherings;
	LIST_INSERT_HEAD(&c->gatherings, g, link);
	for (int i = 0; i < c->n; i++) {
		struct crew_member *m = &c->members[i];

		g->reports[i].worker = m->number;
		g->reports[i].pid = m->pid;
		if (m->channel == NULL)
			continue;
		g->awaited[i] = true;
		g->n_missing++;
		channel_send(
		    m->channel, CHANNEL_ASK, g->number, NULL, 0, NULL, 0);
	}
	g->timeout = evtimer_new(c->program->base, on_timeout, g);
	if (g->n_missing == 0 || g->timeout == NULL ||
	    event_add(g->timeout, &limit) != 0)
		finish(g);
}

void
crew_take_report(struct crew *c, const struct crew_member *m, uint32_t number,
    const void *bytes, size_t size)
{
	int i = m->number - 1;
	struct gathering *g;
	struct report *r;
	char *status;

	LIST_FOREACH(g, &c->gatherings, link)
	if (g->number == number)
		break;
	/* Too late? */
	if (g == NULL || !g->awaited[i] || size < sizeof r->counters)
		return;
	r = &g->reports[i];
	size -= sizeof r->counters;
	status = malloc(size + 1);
	if (status != NULL) {
		memcpy(&r->counters, bytes, sizeof r->counters);
		memcpy(status, (const char *)bytes + sizeof r->counters, size);
		r->status = status;
		r->status_size = size;
		r->answered = true;
	}
	settle(g, i);
}

void
crew_forget_reports(struct crew *c, const struct crew_member *m)
{
	struct gathering *g, *next;

	for (g = LIST_FIRST(&c->gatherings); g != NULL; g = next) {
		next = LIST_NEXT(g, link);
		if (g->awaited[m->number - 1])
			settle(g, m->number - 1);
	}
}

void
crew_forget_all_reports(struct crew *c)
{
	while (!LIST_EMPTY(&c->gatherings))
		release(LIST_FIRST(&c->gatherings));
}
