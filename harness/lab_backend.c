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

struct lab_conn {
	unsigned port;	  /* of the peer */
	uint64_t end_seq; /* 0: not ended */
};

struct lab_backend {
	struct lab *lab;
	struct backend *backend;
	unsigned number;
	bool marks;
	struct sockaddr_in address;
	struct lab_conn *conns; /* connection i + 1 */
	unsigned n_conns;
};

static void
remember_conn(struct lab_backend *b, const struct backend_event *e)
{
	struct sockaddr_in sin = { 0 };
	socklen_t size = sizeof sin;
	struct lab_conn *conns = realloc(b->conns, e->conn * sizeof *conns);

	if (conns == NULL)
		return;
	for (; b->n_conns < e->conn; b->n_conns++)
		conns[b->n_conns] = (struct lab_conn){ 0, 0 };
	getpeername(e->fd, (struct sockaddr *)&sin, &size);
	b->conns = conns;
	conns[e->conn - 1].port = ntohs(sin.sin_port);
}

static void
tell_proxies(struct lab_backend *b, unsigned conn)
{
	struct lab_proxy *p;

	for (unsigned n = 1; (p = lab_actor(b->lab, LAB_PROXY, n)) != NULL; n++)
		lab_proxy_note_end(p, lab_backend_port(b, conn));
}

static void
note_end(struct lab_backend *b, const struct backend_event *e)
{
	char text[TRACE_TEXT];

	snprintf(text, sizeof text, "%s at %s%s", fault_ending_name(e->ending),
	    fault_point_name(e->point), e->by_hand ? ", by hand" : "");
	lab_note(b->lab, "conn", e->conn, "ended", 0, text);
	if (e->conn <= b->n_conns)
		b->conns[e->conn - 1].end_seq = trace_seq(lab_trace(b->lab));
	tell_proxies(b, e->conn);
}

static void
on_backend(void *arg, const struct backend_event *e)
{
	struct lab_backend *b = arg;
	char text[TRACE_TEXT] = "";
	const char *what = NULL;

	switch (e->what) {
	case BACKEND_ACCEPTED:
		lab_add_fd(b->lab, e->fd);
		remember_conn(b, e);
		what = "accepted";
		break;
	case BACKEND_ARRIVED:
		what = "arrived";
		snprintf(text, sizeof text, "unread");
		break;
	case BACKEND_READ:
		what = "received";
		trace_snippet(text, e->bytes, e->size);
		break;
	case BACKEND_EXECUTED:
		what = "executed";
		snprintf(text, sizeof text, "id %s", e->id);
		break;
	case BACKEND_SENT:
		what = "sent";
		trace_snippet(text, e->bytes, e->size);
		break;
	case BACKEND_ANSWERED:
		what = "answered";
		snprintf(text, sizeof text, "id %s", e->id);
		break;
	case BACKEND_ENDED:
		note_end(b, e);
		return;
	case BACKEND_PEER_CLOSED:
		what = e->error != 0 ? "reset" : "eof";
		break;
	case BACKEND_CLOSED:
		lab_drop_fd(b->lab, e->fd);
		what = "closed";
		break;
	}
	lab_note(b->lab, "conn", e->conn, what, e->size, text);
}

static void
lab_backend_free(void *arg)
{
	struct lab_backend *b = arg;

	backend_free(b->backend);
	free(b->conns);
	free(b);
}

struct lab_backend *
lab_backend_new(struct lab *lab, const struct backend_options *options,
    char *error, size_t error_size)
{
	struct backend_clock clock = { lab_clock(lab), clock_timer_new,
		clock_timer_arm, clock_timer_cancel, clock_timer_free };
	struct lab_backend *b = calloc(1, sizeof *b);
	int fd;

	if (b == NULL)
		goto fail;
	b->lab = lab;
	b->marks = options->upstream.sin_port == 0;
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
	b->number = lab_enrol(lab, LAB_BACKEND, b, lab_backend_free);
	if (b->number != 0)
		return b;
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
	return b->backend;
}

bool
lab_backend_marks(const struct lab_backend *b)
{
	return b->marks;
}

static const struct lab_conn *
find_conn(const struct lab_backend *b, unsigned n)
{
	return n > 0 && n <= b->n_conns ? &b->conns[n - 1] : NULL;
}

unsigned
lab_backend_port(const struct lab_backend *b, unsigned conn)
{
	const struct lab_conn *c = find_conn(b, conn);

	return c != NULL ? c->port : 0;
}

uint64_t
lab_backend_end_seq(const struct lab_backend *b, unsigned conn)
{
	const struct lab_conn *c = find_conn(b, conn);

	return c != NULL ? c->end_seq : 0;
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
