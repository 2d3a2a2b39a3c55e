/* server.c - see server.h.
 *
 * What it does by itself the peer must see as if the valve were not there.  A
 * FIN is passed on, and what the peer sends afterwards goes to the server all
 * the same: one that has called close(2) answers with a reset, one that lingers
 * takes it.
 */
#include "backend/server.h"

#include <errno.h>
#include <event2/event.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "backend/edges.h"
#include "backend/ending.h"
#include "backend/stream.h"

/* Requests on their way to a server; more wait for an answer. */
#define QUEUE_MAX 4096

bool
server_is_there(const struct valve *v)
{
	return v->home->origin == NULL;
}

static void
on_inner(evutil_socket_t fd, short what, void *arg)
{
	valve_run(arg);
}

/* Dial the next of its addresses that does not refuse at once.  The last one's
 * refusal shows at the first read. */
static bool
dial_next(struct valve *v)
{
	const struct endpoint *to = &v->home->options.upstream;

	do {
		if (v->inner_fd >= 0)
			close(v->inner_fd);
		v->inner_fd = endpoint_dial(to, v->dial++);
	} while (v->dial < to->n && (v->inner_fd < 0 || errno != 0));
	v->dialling = v->dial < to->n;
	if (v->inner_fd < 0)
		return false;
	v->inner_event = event_new(v->home->base, v->inner_fd,
	    EV_READ | EV_WRITE | EV_PERSIST | EV_ET, on_inner, v);
	v->inner_ready = true;
	return v->inner_event != NULL && event_add(v->inner_event, NULL) == 0;
}

bool
server_connect(struct valve *v)
{
	v->dial = 0;
	return dial_next(v);
}

bool
server_dials(struct valve *v)
{
	struct pollfd p = { .fd = v->inner_fd, .events = POLLOUT };
	socklen_t size = sizeof(int);
	int error = 0;

	while (v->dialling && poll(&p, 1, 0) > 0) {
		getsockopt(p.fd, SOL_SOCKET, SO_ERROR, &error, &size);
		v->dialling = error != 0;
		if (error == 0)
			break;
		event_free(v->inner_event);
		v->inner_event = NULL;
		if (!dial_next(v))
			valve_close_inner(v);
		p.fd = v->inner_fd;
	}
	return v->dialling;
}

/* ------------------------------------------------------------- pipelines -- */

/* A server must see a pipeline as it came. */
bool
server_takes_more(const struct valve *v)
{
	return server_is_there(v) && v->state == VALVE_RELAYING && v->whole &&
	    !v->raw && v->fault < 0 && v->orphan == NULL &&
	    v->given == v->taken && v->n_queued < QUEUE_MAX;
}

bool
server_enqueue(struct valve *v)
{
	size_t room = v->queue_room == 0 ? 8 : v->queue_room * 2;
	struct queued *grown, *q;

	if (v->n_queued == v->queue_room) {
		grown = realloc(v->queue, room * sizeof *grown);
		if (grown == NULL)
			return false;
		v->queue = grown;
		v->queue_room = room;
	}
	q = &v->queue[v->n_queued++];
	q->attempt = v->attempt;
	q->request = valve_facts(v)->n_requests;
	q->heads = strcmp(v->request.method, "HEAD") == 0;
	q->connects = strcmp(v->request.method, "CONNECT") == 0;
	memcpy(q->id, v->request.id, sizeof q->id);
	intake_reset(v);
	return true;
}

void
server_dequeue(struct valve *v)
{
	v->n_queued--;
	memmove(v->queue, v->queue + 1, v->n_queued * sizeof *v->queue);
	if (!valve_busy(v))
		valve_become_idle(v);
}

struct queued
server_asked(const struct valve *v)
{
	struct queued now = { v->attempt, valve_facts(v)->n_requests,
		strcmp(v->request.method, "HEAD") == 0,
		strcmp(v->request.method, "CONNECT") == 0, "" };

	if (v->n_queued > 0)
		return v->queue[0];
	memcpy(now.id, v->request.id, sizeof now.id);
	return now;
}

void
server_note_idle(struct valve *v)
{
	struct backend_clock *clock = &v->home->clock;

	v->idle_since_ms = clock->now_ms(clock->arg);
	v->burst = 0;
}

/* --------------------------------------------------------- what it has run -- */

/* It may act on a head that it was given, and only it sees whether it does.
 * What the follower does not understand, the server may. */
void
server_note_given(struct valve *v, size_t n)
{
	size_t head = v->request.lost ? 1 : v->request.head_end;

	v->burst += n;
	if (v->inner_eof)
		v->late += n;
	if (head != 0 && v->given >= head)
		valve_attempt(v)->executed_max = 1;
}

/* These say of themselves that the request was not processed (RFC 9110 15.5.9,
 * 15.5.20; RFC 8470 5.2).  Not every server means it. */
static bool
denies(int status)
{
	return status == 408 || status == 421 || status == 425;
}

/* By its answer it tells that it has executed. */
void
server_note_answer(struct valve *v)
{
	struct queued asked = server_asked(v);
	struct ledger_attempt *a = ledger_edit(v->home->ledger, asked.attempt);

	if (!valve_busy(v) || a->executed != 0 || v->response.status < 200 ||
	    denies(v->response.status))
		return;
	if (v->n_queued == 0)
		v->executed = v->executed_now = true;
	a->executed = a->executed_max = 1;
	valve_tell(v,
	    (struct backend_event){ .what = BACKEND_EXECUTED,
		.request = asked.request,
		.id = asked.id });
}

/* Has it met what came after its FIN with a reset?  A FIN is read first, so
 * that the reset shows only when it is asked for. */
static bool
has_reset(struct valve *v)
{
	int err = 0;
	socklen_t n = sizeof err;

	if (v->inner_error == 0 &&
	    getsockopt(v->inner_fd, SOL_SOCKET, SO_ERROR, &err, &n) == 0)
		v->inner_error = err;
	return v->inner_error != 0;
}

/* Nothing of what was on its way when its FIN left, or was sent since, has been
 * received: the socket was gone, and no process could run it. */
static bool
took_nothing_late(const struct valve *v)
{
	return v->late > 0 && stream_unacked(v->inner_fd) >= v->late;
}

/* A request that came to a socket that was gone did not run. */
static void
deny_late(struct valve *v)
{
	struct ledger *l = v->home->ledger;
	bool all = v->late >= v->burst;
	size_t first = v->n_queued > 0 ? v->queue[0].attempt : v->attempt;

	if (!took_nothing_late(v))
		return;
	for (size_t i = first; all && i < ledger_n_attempts(l); i++)
		if (ledger_edit(l, i)->conn == v->n)
			ledger_edit(l, i)->executed_max =
			    ledger_edit(l, i)->executed;
	for (size_t i = v->unread.first; v->unread_open &&
	     v->unread.first != LEDGER_NONE && i < ledger_n_attempts(l);
	     i++)
		if (ledger_edit(l, i)->conn == v->n)
			ledger_edit(l, i)->executed_max = 0;
}

/* ---------------------------------------------------------------- its end --- */

/* Where in the life of the connection it came. */
static enum close_point
point_of(const struct valve *v)
{
	if (v->response.until_eof && v->response.end != 0)
		return POINT_RESPONSE_END;
	if (!valve_busy(v))
		return v->last_told ? POINT_RESPONSE_END : POINT_IDLE;
	/* It left before a byte of the request had come. */
	if (v->response.size == 0 && v->late >= v->burst)
		return POINT_ARRIVAL;
	return finale_point(v);
}

static bool
could_not_connect(int err)
{
	return err == ECONNREFUSED || err == ETIMEDOUT || err == EHOSTUNREACH ||
	    err == ENETUNREACH;
}

void
server_note_end(struct valve *v)
{
	struct backend_conn *facts = valve_facts(v);
	struct backend_clock *clock = &v->home->clock;
	struct ledger_attempt *a = ledger_edit(v->home->ledger,
	    valve_busy(v) ? server_asked(v).attempt : v->last_attempt);

	v->late = v->inner_error == 0 ? stream_unacked(v->inner_fd) : 0;
	/* It did what the peer, or the valve, has done before. */
	if (v->peer_fin || facts->ended || could_not_connect(v->inner_error))
		return;
	v->server_on = point_of(v);
	v->server_ending = v->inner_error != 0 ? ENDING_RST : ENDING_FIN;
	if (v->server_on == POINT_IDLE)
		facts->idle_ms = clock->now_ms(clock->arg) - v->idle_since_ms;
	facts->server_ended = true;
	a->server_ending = v->server_ending;
	a->server_idle_ms = facts->idle_ms;
	valve_tell(v,
	    (struct backend_event){ .what = BACKEND_SERVER_ENDED,
		.point = v->server_on,
		.ending = v->server_ending,
		.idle_ms = facts->idle_ms });
}

static enum valve_state
reset_peer(struct valve *v)
{
	edges_turn_away(v->event, v->tells_writable);
	ending_reset(v->fd);
	v->fd_closed = true;
	return VALVE_GONE;
}

enum valve_state
server_pass_on(struct valve *v)
{
	bool own = valve_facts(v)->server_ended && !valve_facts(v)->ended;

	if (v->server_ending == ENDING_FIN && v->late > 0 && has_reset(v))
		deny_late(v);
	if (own)
		return finale_pass_on(v, v->server_on, v->server_ending);
	return v->inner_error == 0 ? finale_polite(v) : reset_peer(v);
}

/* ---------------------------------------------------------------- parting --- */

/* n bytes lay there and went on to the server.  Those that were seen when its
 * FIN was passed on had crossed it. */
static void
enter(struct valve *v, const char *bytes, size_t n)
{
	size_t crossed = n < v->seen ? n : v->seen;

	v->unread.like.after_end = false;
	unread_feed(&v->unread, bytes, crossed);
	v->unread.like.after_end = true;
	unread_feed(&v->unread, bytes + crossed, n - crossed);
	v->seen -= crossed;
	valve_tell(
	    v, (struct backend_event){ .what = BACKEND_DISCARDED, .size = n });
}

/* It was reset: what lies there came, all the same. */
static enum valve_state
part_by_reset(struct valve *v)
{
	struct stream_result r =
	    stream_peek(v->fd, v->home->scratch, VALVE_SCRATCH_SIZE);

	deny_late(v);
	v->unread.may_run = false;
	if (r.outcome == STREAM_DONE)
		enter(v, v->home->scratch, r.n);
	return reset_peer(v);
}

enum valve_state
server_part(struct valve *v)
{
	char *bytes = v->home->scratch;
	struct stream_result r, w = { STREAM_DONE, 0, 0 };

	if (valve_facts(v)->reading_held) {
		intake_held(v);
		return VALVE_PARTING;
	}
	while (v->readable && w.outcome == STREAM_DONE && !has_reset(v)) {
		r = stream_peek(v->fd, bytes, VALVE_SCRATCH_SIZE);
		if (r.outcome == STREAM_AGAIN) {
			v->readable = false;
			break;
		}
		if (r.outcome != STREAM_DONE) {
			valve_peer_closed(v, r.err);
			return VALVE_GONE;
		}
		w = stream_write(v->inner_fd, bytes, r.n);
		if (w.n > 0) {
			stream_skip(v->fd, bytes, w.n);
			v->late += w.n;
			enter(v, bytes, w.n);
		}
		if (w.outcome == STREAM_FAILED)
			v->inner_error = w.err;
	}
	return has_reset(v) ? part_by_reset(v) : VALVE_PARTING;
}
