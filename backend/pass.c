/* pass.c - see pass.h. */
#include "backend/pass.h"

#include <event2/event.h>

static void
ask(struct pass *p)
{
	const struct timeval at_once = { 0, 0 };

	if (event_add(p->event, &at_once) != 0)
		event_active(p->event, EV_TIMEOUT, 0);
}

static void
on_pass(evutil_socket_t fd, short what, void *arg)
{
	struct pass *p = arg;
	struct pass_entry *e;

	p->n++;
	while ((e = TAILQ_FIRST(&p->waiting)) != NULL && e->since != p->n) {
		pass_leave(p, e);
		p->run(e);
	}
	if (e != NULL)
		ask(p);
}

bool
pass_init(
    struct pass *p, struct event_base *base, void (*run)(struct pass_entry *))
{
	TAILQ_INIT(&p->waiting);
	p->run = run;
	p->event = evtimer_new(base, on_pass, p);
	return p->event != NULL;
}

void
pass_free(struct pass *p)
{
	if (p->event != NULL)
		event_free(p->event);
}

void
pass_wait(struct pass *p, struct pass_entry *e)
{
	if (e->waits)
		return;
	if (TAILQ_EMPTY(&p->waiting))
		ask(p);
	e->waits = true;
	e->since = p->n;
	TAILQ_INSERT_TAIL(&p->waiting, e, link);
}

void
pass_leave(struct pass *p, struct pass_entry *e)
{
	if (!e->waits)
		return;
	e->waits = false;
	TAILQ_REMOVE(&p->waiting, e, link);
}
