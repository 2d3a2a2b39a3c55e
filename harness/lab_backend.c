/* lab_backend.c - see lab_backend.h. */
#include "harness/lab_backend.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "harness/clock.h"
#include "harness/lab.h"
#include "harness/lab_proxy.h"
#include "harness/trace.h"

struct lab_backend {
	struct lab *lab;
	struct backend *backend;
	unsigned number;
	bool marks;
	struct sockaddr_in address;
	uint64_t *end_seqs; /* of connection i + 1; 0: not ended */
	unsigned n_conns;
	char conn_name[32]; /* in the timeline */
};

static void
remember_conn(struct lab_backend *b, const struct backend_event *e)
{
	uint64_t *seqs = realloc(b->end_seqs, e->conn * sizeof *seqs);

	if (seqs == NULL)
		return;
	for (; b->n_conns < e->conn; b->n_conns++)
		seqs[b->n_conns] = 0;
	b->end_seqs = seqs;
}

static void
tell_proxies(struct lab_backend *b, unsigned conn)
{
	struct lab_proxy *p;

	for (unsigned n = 1; (p = lab_actor(b->lab, LAB_PROXY, n)) != NULL; n++)
		lab_proxy_note_end(p, lab_backend_port(b, conn));
}

static void
remember_end(struct lab_backend *b, unsigned conn)
{
	if (conn <= b->n_conns)
		b->end_seqs[conn - 1] = trace_seq(lab_trace(b->lab));
	tell_proxies(b, conn);
}

/* The timeline's word for an event, and what is said beside it. */
static const char *
describe(const struct backend_event *e, char text[TRACE_TEXT])
{
	switch (e->what) {
	case BACKEND_ACCEPTED:
		return "accepted";
	case BACKEND_ARRIVED:
		snprintf(text, TRACE_TEXT, "unread");
		return "arrived";
	case BACKEND_READ:
		trace_snippet(text, e->bytes, e->size);
		return "received";
	case BACKEND_DISCARDED:
		return "discarded";
	case BACKEND_EXECUTED:
		snprintf(text, TRACE_TEXT, "id %s", e->id);
		return "executed";
	case BACKEND_SENT:
		trace_snippet(text, e->bytes, e->size);
		return "sent";
	case BACKEND_ANSWERED:
		snprintf(text, TRACE_TEXT, "id %s", e->id);
		return "answered";
	case BACKEND_ENDED:
		snprintf(text, TRACE_TEXT, "%s at %s%s",
		    fault_ending_name(e->ending), fault_point_name(e->point),
		    e->by == BACKEND_BY_HAND	     ? ", by hand"
			: e->by == BACKEND_BY_SERVER ? ", by the server"
						     : "");
		return "ended";
	case BACKEND_SERVER_ENDED:
		snprintf(text, TRACE_TEXT, "%s at %s, idle for %lld ms",
		    fault_ending_name(e->ending), fault_point_name(e->point),
		    (long long)e->idle_ms);
		return "server ended";
	case BACKEND_PEER_CLOSED:
		return e->error != 0 ? "reset" : "eof";
	case BACKEND_CLOSED:
		return "closed";
	}
	return "";
}

static void
note(struct lab_backend *b, const struct backend_event *e)
{
	char text[TRACE_TEXT] = "";
	const char *what = lab_is_traced(b->lab) ? describe(e, text) : "";

	lab_note(b->lab, b->conn_name, e->conn, what, e->size, text);
}

static void
on_backend(void *arg, const struct backend_event *e)
{
	struct lab_backend *b = arg;

	if (e->what == BACKEND_ACCEPTED) {
		lab_add_fd(b->lab, e->fd);
		remember_conn(b, e);
	}
	if (e->what == BACKEND_READ || e->what == BACKEND_DISCARDED)
		lab_count_taken(b->lab, e->size);
	if (e->what == BACKEND_SENT)
		lab_count_sent(b->lab, e->size);
	if (e->what == BACKEND_CLOSED)
		lab_drop_fd(b->lab, e->fd);
	note(b, e);
	if (e->what == BACKEND_ENDED)
		remember_end(b, e->conn);
}

static int64_t
now_ms(void *clock)
{
	return clock_now_ms(clock);
}

static void
lab_backend_reset(void *arg)
{
	struct lab_backend *b = arg;

	backend_reset(b->backend);
	if (!lab_is_still(b->lab)) /* there, they were accepted */
		backend_refuse_waiting(b->backend);
	b->n_conns = 0;
}

static void
lab_backend_free(void *arg)
{
	struct lab_backend *b = arg;

	backend_free(b->backend);
	free(b->end_seqs);
	free(b);
}

void
lab_backend_set_name(struct lab_backend *b, const char *name)
{
	snprintf(b->conn_name, sizeof b->conn_name, "%.*s, conn",
	    LAB_BACKEND_NAME, name);
}

static void
set_default_name(struct lab_backend *b)
{
	char name[LAB_BACKEND_NAME + 1];

	snprintf(name, sizeof name, "backend %u", b->number % 1000000);
	lab_backend_set_name(b, name);
	if (b->number == 1)
		strcpy(b->conn_name, "conn");
}

struct lab_backend *
lab_backend_new(struct lab *lab, const struct backend_options *options,
    char *error, size_t error_size)
{
	struct backend_clock clock = { lab_clock(lab), clock_timer_new,
		clock_timer_arm, clock_timer_cancel, clock_timer_free, now_ms };
	struct lab_backend *b = calloc(1, sizeof *b);
	int fd;

	if (b == NULL)
		goto fail;
	b->lab = lab;
	b->marks = options->upstream.n == 0;
	fd = lab_listen(lab, &b->address);
	if (fd < 0)
		goto fail;
	b->backend = backend_new(
	    lab_base(lab), options, &clock, on_backend, b, error, error_size);
	if (b->backend == NULL) {
		close(fd);
		free(b);
		return NULL;
	}
	if (backend_listen(b->backend, fd) != 0)
		goto fail;
	b->number =
	    lab_enrol(lab, LAB_BACKEND, b, lab_backend_free, lab_backend_reset);
	if (b->number != 0) {
		set_default_name(b);
		return b;
	}
fail:
	snprintf(
	    error, error_size, "cannot make a backend: %s", strerror(errno));
	if (b != NULL)
		lab_backend_free(b);
	return NULL;
}

unsigned
lab_backend_number(const struct lab_backend *b)
{
	return b->number;
}

const struct sockaddr_in *
lab_backend_address(const struct lab_backend *b)
{
	return &b->address;
}

struct backend *
lab_backend_backend(const struct lab_backend *b)
{
	lab_touch(b->lab);
	return b->backend;
}

const struct backend *
lab_backend_facts(const struct lab_backend *b)
{
	return b->backend;
}

bool
lab_backend_marks(const struct lab_backend *b)
{
	return b->marks;
}

unsigned
lab_backend_port(const struct lab_backend *b, unsigned conn)
{
	struct backend_conn c;

	return backend_conn(b->backend, conn, &c) ? c.peer_port : 0;
}

uint64_t
lab_backend_end_seq(const struct lab_backend *b, unsigned conn)
{
	return conn > 0 && conn <= b->n_conns ? b->end_seqs[conn - 1] : 0;
}

unsigned
lab_backend_carried(const struct lab_backend *b, const char *id)
{
	const struct ledger *books = backend_ledger(b->backend);

	for (size_t i = ledger_n_attempts(books); i-- > 0;)
		if (strcmp(ledger_attempt(books, i)->id, id) == 0)
			return ledger_attempt(books, i)->conn;
	return 0;
}
