/* alone.c - alone_run() of program.h: no process but this one. */
#include <event2/buffer.h>
#include <event2/event.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "proxy/program/program.h"
#include "proxy/program/worker.h"

struct alone {
	struct program *program;
	struct worker *worker;
};

static void
stop(void *arg)
{
	struct alone *a = arg;

	event_base_loopbreak(a->program->base);
}

static void
drain(void *arg)
{
	struct alone *a = arg;

	worker_drain(a->worker);
}

static void
reload(void *arg, const struct retry_list *list)
{
	struct alone *a = arg;

	worker_reload(a->worker, list);
}

static void
collect(void *arg, program_reports_fn *tell, void *tell_arg)
{
	struct report r = { .worker = 1, .pid = getpid() };
	struct evbuffer *text = evbuffer_new();
	struct alone *a = arg;

	if (text != NULL)
		worker_report(a->worker, &r, text);
	tell(tell_arg, &r, 1);
	if (text != NULL)
		evbuffer_free(text);
}

int
alone_run(struct program *p, int listener)
{
	struct alone a = { .program = p };
	struct program_hands hands = { &a, drain, stop, reload, collect };
	int status = EXIT_FAILURE;

	if (!program_begin(p, hands, listener))
		close(listener);
	else
		a.worker =
		    worker_new(p->base, p->arguments, listener, stop, &a);
	if (a.worker != NULL) {
		program_announce(p);
		event_base_dispatch(p->base);
		status = EXIT_SUCCESS;
	}
	worker_free(a.worker);
	program_end(p);
	return status;
}
