/* events.c - see events.h. */
#include "backend/events.h"

#include <stdio.h>

#include "backend/output.h"

/* NULL: not told. */
static const char *
word_of(enum backend_what what)
{
	switch (what) {
	case BACKEND_EXECUTED:
		return "executed";
	case BACKEND_ANSWERED:
		return "answered";
	case BACKEND_ENDED:
		return "ended";
	case BACKEND_SERVER_ENDED:
		return "server-ended";
	default:
		return NULL;
	}
}

void
events_tell(struct output *o, const struct backend_event *e)
{
	const char *word = word_of(e->what);
	char how[96] = "";
	int n = 0;

	/* The server's own end was told when it came. */
	if (word == NULL || e->by == BACKEND_BY_SERVER)
		return;
	if (e->what == BACKEND_ENDED || e->what == BACKEND_SERVER_ENDED)
		n = snprintf(how, sizeof how, " on=%s close=%s",
		    fault_point_name(e->point), fault_ending_name(e->ending));
	if (e->what == BACKEND_SERVER_ENDED)
		snprintf(how + n, sizeof how - (size_t)n, " idle_ms=%lld",
		    (long long)e->idle_ms);
	output_line(o, "%s conn=%u request=%u id=%s%s", word, e->conn,
	    e->request, e->id, how);
}

void
events_ledger(struct output *o, const struct ledger *l)
{
	size_t n_forgotten = ledger_n_forgotten(l);

	if (n_forgotten > 0)
		output_line(o, "forgotten attempts=%zu", n_forgotten);
	for (size_t i = n_forgotten; i < ledger_n_attempts(l); i++) {
		const struct ledger_attempt *a = ledger_attempt(l, i);

		output_line(o,
		    "attempt conn=%u request=%u id=%s method=%s path=%s "
		    "unread=%zu read=%zu whole=%d executed=%u "
		    "answered=%zu answered_whole=%d executed_max=%u "
		    "after_end=%d unseen=%d on=%s close=%s "
		    "server_close=%s server_idle_ms=%lld",
		    a->conn, a->request, a->id, a->method, a->path, a->unread,
		    a->read, a->whole, a->executed, a->answered,
		    a->answered_whole, a->executed_max, a->after_end, a->unseen,
		    fault_point_name(a->ended_on), fault_ending_name(a->ending),
		    fault_ending_name(a->server_ending),
		    (long long)a->server_idle_ms);
	}
}

size_t
events_never_fired(struct output *o, const struct backend *b)
{
	char line[8 * FAULT_SAY_MAX];
	size_t n = 0;

	for (size_t i = 0; i < backend_n_faults(b); i++) {
		const struct fault *f = backend_fault(b, i);

		if (f->n_fired > 0 || f->optional)
			continue;
		fault_print(f, line, sizeof line);
		output_line(o, "never_fired fault=%zu %s", i + 1, line);
		n++;
	}
	return n;
}
