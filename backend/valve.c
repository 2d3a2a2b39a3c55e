/* valve.c - the states of a connection, the driver, and its life.
 *
 *   RELAYING --fin--> LINGERING --peer closes--> GONE
 *   RELAYING --half--> MUTED --peer, or inner end, closes--> GONE, LINGERING
 *   RELAYING --stall--> STALLED
 *   RELAYING --rst, plain, vanish; peer closes--> GONE
 *   RELAYING --inner end closes--> LINGERING; a server's FIN--> PARTING
 *   PARTING --either resets, peer closes--> GONE
 *
 * One function per state.  A function returns the state to be in next; its own
 * state means "wait for an event".  Events only set latches.  Nothing but
 * valve_run() and valve_free() frees, so no function below can find its valve
 * gone under its feet.
 */
#include "backend/valve.h"

#include <assert.h>
#include <event2/event.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "backend/edges.h"
#include "backend/ending.h"
#include "backend/server.h"
#include "backend/stream.h"

/* So many steps, each of 64 KiB at most, then others have their turn. */
#define ROUNDS_MAX 8

typedef enum valve_state step_fn(struct valve *);

#define X(name, fn) static step_fn fn;
VALVE_STATES(X)
#undef X

static step_fn *const table[N_VALVE_STATES] = {
#define X(name, fn) [VALVE_##name] = fn,
	VALVE_STATES(X)
#undef X
};

struct backend_conn *
valve_facts(const struct valve *v)
{
	return &v->home->conns[v->n - 1];
}

const struct fault *
valve_fault(const struct valve *v)
{
	if (v->orphan != NULL)
		return v->orphan;
	return v->fault >= 0 ? &v->home->faults[v->fault] : NULL;
}

struct ledger_attempt *
valve_attempt(const struct valve *v)
{
	return ledger_edit(v->home->ledger, v->attempt);
}

bool
valve_busy(const struct valve *v)
{
	return v->taken > 0 || v->n_queued > 0;
}

void
valve_become_idle(struct valve *v)
{
	v->resting = false;
	valve_facts(v)->idle = v->state == VALVE_RELAYING;
	if (server_is_there(v))
		server_note_idle(v);
}

void
valve_tell(const struct valve *v, struct backend_event e)
{
	if (v->home->watch == NULL)
		return;
	e.conn = v->n;
	e.fd = v->fd;
	if (e.request == 0)
		e.request = valve_facts(v)->n_requests;
	if (e.id == NULL)
		e.id = valve_busy(v) ? v->request.id : "";
	if (e.what != BACKEND_ENDED && e.what != BACKEND_SERVER_ENDED) {
		e.point = N_POINTS;
		e.ending = N_ENDINGS;
	}
	v->home->watch(v->home->watch_arg, &e);
}

void
valve_peer_closed(struct valve *v, int error)
{
	if (error != 0)
		v->broken = true;
	if (v->peer_fin)
		return;
	v->peer_fin = true;
	valve_facts(v)->peer_closed = true;
	valve_tell(v,
	    (struct backend_event){
		.what = BACKEND_PEER_CLOSED, .error = error });
}

/* -------------------------------------------------------- the inner end ---- */

static bool
connect_origin(struct valve *v)
{
	struct valve_home *home = v->home;

	if (home->spare_fd >= 0) {
		v->inner_fd = home->spare_fd;
		v->origin_conn = home->spare;
		home->spare_fd = -1;
		home->spare = NULL;
		origin_serve(v->origin_conn, v);
		return true;
	}
	v->origin_conn = origin_connect(home->origin, v, &v->inner_fd);
	return v->origin_conn != NULL;
}

/* Does the origin wait for a request, with nothing under way to or from it?
 * What it has said and nobody will hear is dropped. */
static bool
inner_is_idle(struct valve *v)
{
	bool all_given = v->whole && v->given == v->taken;
	struct stream_result r = { STREAM_AGAIN, 0, 0 };

	if (v->origin_conn == NULL || v->inner_deaf || v->inner_eof || v->raw ||
	    v->touched || !origin_is_idle(v->origin_conn) ||
	    (v->given > 0 && !all_given))
		return false;
	if (v->inner_ready)
		do
			r = stream_read(v->inner_fd, v->out, sizeof v->out);
		while (r.outcome == STREAM_DONE);
	outlet_drop(v);
	return r.outcome == STREAM_AGAIN;
}

static bool
park_inner(struct valve *v)
{
	if (v->home->spare_fd >= 0 || !inner_is_idle(v))
		return false;
	v->home->spare_fd = v->inner_fd;
	v->home->spare = v->origin_conn;
	origin_serve(v->origin_conn, NULL);
	v->inner_fd = -1;
	v->origin_conn = NULL;
	return true;
}

void
valve_home_close_spare(struct valve_home *home)
{
	if (home->spare_fd < 0)
		return;
	origin_drop(home->spare);
	close(home->spare_fd);
	home->spare_fd = -1;
	home->spare = NULL;
	origin_drive(home->origin);
}

bool
valve_open_inner(struct valve *v)
{
	bool opened =
	    server_is_there(v) ? server_connect(v) : connect_origin(v);

	if (!opened)
		valve_close_inner(v);
	return opened;
}

void
valve_close_inner(struct valve *v)
{
	bool open = v->inner_fd >= 0 && !park_inner(v);

	origin_drop(v->origin_conn);
	v->origin_conn = NULL;
	if (v->inner_event != NULL)
		event_free(v->inner_event);
	v->inner_event = NULL;
	/* The peer's reset goes on to a server. */
	if (open && server_is_there(v) && v->broken)
		ending_reset(v->inner_fd);
	else if (open)
		close(v->inner_fd);
	v->inner_fd = -1;
	v->dialling = false;
	v->inner_deaf = v->inner_eof = true;
	v->touched = false;
	if (open && v->home->origin != NULL)
		origin_drive(v->home->origin);
}

void
valve_executed(void *valve, const struct origin_request *request,
    struct origin_reply *reply)
{
	struct valve *v = valve;
	struct ledger_attempt *a = valve_attempt(v);
	const struct fault *f = valve_fault(v);
	int idle = fault_choose_idle(v->home->faults, v->home->n_faults, v->n,
	    valve_facts(v)->n_finished + 1);

	/* Where the follower got lost, libmicrohttpd may have understood. */
	if (v->request.lost && a->id[0] == '\0')
		ledger_name(a, request->method, request->target, request->id);
	memcpy(reply->id, a->id, sizeof reply->id);
	reply->mark = ledger_next_mark();
	reply->announce = (f != NULL && f->announce) ||
	    (idle >= 0 && v->home->faults[idle].announce);
	v->announced |= reply->announce;
	v->marked = true;
	a->mark = reply->mark;
	if (!request->executed)
		return;
	v->executed = v->executed_now = true;
	a->executed = a->executed_max = 1;
	a->content_known = true;
	a->content_size = request->body_size;
	a->content_hash = request->body_hash;
	valve_tell(v, (struct backend_event){ .what = BACKEND_EXECUTED });
}

void
valve_ready(void *valve)
{
	struct valve *v = valve;

	v->touched = true;
	valve_wake(v);
}

/* ----------------------------------------------------------- the states ---- */

static bool
awaits_answer(const struct valve *v)
{
	return v->n_kept > 0 || (v->whole && !v->answered && !v->inner_eof);
}

/* The peer has sent its FIN, and all before it was read. */
static enum valve_state
after_peer_fin(struct valve *v)
{
	bool open = v->inner_fd >= 0 && !v->inner_eof;

	if (open && !v->inner_deaf && (v->raw || server_is_there(v))) {
		shutdown(v->inner_fd, SHUT_WR);
		v->inner_deaf = v->touched = true;
		valve_wake(v);
		return v->state;
	}
	/* What becomes of half a connection, a server decides. */
	if (v->raw || server_is_there(v) ? open : awaits_answer(v))
		return v->state;
	return outlet_empty(v) ? VALVE_GONE : v->state;
}

/* Nothing moves.  Has a side closed? */
static enum valve_state
come_to_rest(struct valve *v)
{
	bool waits = v->announced && v->idle_fault >= 0;

	if (v->inner_eof && outlet_empty(v) && !waits &&
	    !valve_facts(v)->sending_held)
		return server_is_there(v) ? server_pass_on(v)
					  : finale_polite(v);
	return v->peer_fin ? after_peer_fin(v) : v->state;
}

/* Request and response are over. */
static void
next_exchange(struct valve *v)
{
	intake_reset(v);
	valve_become_idle(v);
}

/* In: RELAYING or MUTED.  Out: all. */
static enum valve_state
relay(struct valve *v)
{
	bool moved;

	/* It may speak first, or close; an end at accept comes before. */
	if (server_is_there(v) && v->inner_fd < 0 && !v->inner_deaf && !v->due)
		valve_open_inner(v);
	for (int i = 0; i < ROUNDS_MAX; i++) {
		if (v->broken)
			return VALVE_GONE;
		if (v->due)
			return outlet_flush(v) ? finale_carry_out(v) : v->state;
		if (!valve_busy(v) && v->state == VALVE_RELAYING)
			finale_rest(v);
		if (v->due)
			continue;
		moved = intake_step(v);
		if (!v->due && !v->broken)
			moved |= outlet_step(v);
		if (v->whole && v->answered && !v->raw && !v->due) {
			next_exchange(v);
			moved = true;
		}
		if (!moved)
			return come_to_rest(v);
	}
	pass_wait(&v->home->pass, &v->pass);
	return v->state;
}

/* In:  RELAYING.  Out: all. */
static enum valve_state
relaying(struct valve *v)
{
	return relay(v);
}

/* In:  MUTED (our FIN was sent; requests are still read and executed).
 * Out: LINGERING, GONE. */
static enum valve_state
muted(struct valve *v)
{
	return relay(v);
}

/* Enter what has come since the last look, and leave it where it is. */
static void
enter_arrived(struct valve *v)
{
	size_t total = stream_unread(v->fd);
	struct stream_result r;

	if (total <= v->seen)
		return;
	r = stream_peek(v->fd, v->home->scratch, VALVE_SCRATCH_SIZE);
	if (r.n > v->seen) {
		unread_feed(
		    &v->unread, v->home->scratch + v->seen, r.n - v->seen);
		v->seen = r.n;
	}
	if (total > v->seen)
		unread_count(&v->unread, total - v->seen);
	v->seen = total;
}

/* In:  LINGERING (our FIN was sent; what comes is discarded).  Out: GONE. */
static enum valve_state
lingering(struct valve *v)
{
	char *bytes = v->home->scratch;
	struct stream_result r;
	size_t old;

	if (valve_facts(v)->reading_held) {
		intake_held(v);
		enter_arrived(v);
		return VALVE_LINGERING;
	}
	for (int i = 0; v->readable; i++) {
		if (i == ROUNDS_MAX) {
			pass_wait(&v->home->pass, &v->pass);
			break;
		}
		r = stream_read(v->fd, bytes, VALVE_SCRATCH_SIZE);
		if (r.outcome == STREAM_AGAIN) {
			v->readable = false;
		} else if (r.outcome == STREAM_DONE) {
			old = r.n < v->seen ? r.n : v->seen;
			v->seen -= old;
			unread_feed(&v->unread, bytes + old, r.n - old);
			valve_tell(v,
			    (struct backend_event){
				.what = BACKEND_DISCARDED, .size = r.n });
		} else {
			valve_peer_closed(v, r.err);
			return VALVE_GONE;
		}
	}
	return VALVE_LINGERING;
}

/* In:  PARTING (a server's FIN was passed on).  Out: GONE. */
static enum valve_state
parting(struct valve *v)
{
	return server_part(v);
}

/* In:  STALLED (nothing is read, sent or closed).  Out: never. */
static enum valve_state
stalled(struct valve *v)
{
	enter_arrived(v);
	return VALVE_STALLED;
}

/* In:  GONE.  Out: never. */
static enum valve_state
gone(struct valve *v)
{
	return VALVE_GONE;
}

/* ----------------------------------------------------------- the driver ---- */

/* Close what is open, and release. */
static void
bury(struct valve *v)
{
	struct valve_home *home = v->home;
	struct backend_conn *facts = valve_facts(v);
	unsigned n = v->n;

	pass_leave(&home->pass, &v->pass);
	home->clock.timer_free(v->idle_timer);
	home->clock.timer_free(v->keep_timer);
	valve_close_inner(v);
	edges_turn_away(v->event, v->tells_writable);
	event_free(v->event);
	if (!v->fd_closed)
		close(v->fd);
	facts->fd = -1;
	facts->closed = true;
	facts->idle = false;
	valve_tell(v, (struct backend_event){ .what = BACKEND_CLOSED });
	free(v->kept);
	free(v->queue);
	free(v->say);
	free(v->orphan);
	free(v);
	home->gone(home, n);
}

/* The only place where the state changes on its own. */
static void
enter(struct valve *v, enum valve_state next)
{
	if (next == VALVE_GONE && !v->fd_closed && !valve_facts(v)->ended)
		finale_note_unread(v);
	v->state = next;
}

void
valve_run(struct valve *v)
{
	enum valve_state was, next;

	assert(!v->running);
	v->running = true;
	do {
		was = v->state;
		next = table[was](v);
		if (next != was)
			enter(v, next);
	} while (next != was);
	v->running = false;
	if (v->state == VALVE_GONE)
		bury(v);
}

void
valve_run_entry(struct pass_entry *e)
{
	valve_run((struct valve *)((char *)e - offsetof(struct valve, pass)));
}

static void
on_event(evutil_socket_t fd, short what, void *arg)
{
	struct valve *v = arg;

	if (what & (EV_READ | EV_CLOSED)) {
		if (!v->readable)
			v->end_behind = false;
		v->readable = v->edge = true;
	}
	if (what & (EV_WRITE | EV_CLOSED))
		v->end_behind = true;
	if (what & EV_WRITE)
		v->writable = true;
	if (what & EV_CLOSED)
		v->fin_behind = true;
	valve_run(v);
}

void
valve_ask_for_writable(struct valve *v)
{
	edges_turn_away(v->event, v->tells_writable);
	v->tells_writable = true;
	if (edges_listen(v->event, true) != 0)
		event_active(v->event, EV_WRITE, 0);
}

void
valve_wake(struct valve *v)
{
	event_active(v->event, EV_TIMEOUT, 0);
}

/* ------------------------------------------------------------- the life ---- */

struct valve *
valve_new(
    struct valve_home *home, unsigned n, int fd, const struct sockaddr_in *peer)
{
	struct valve *v = malloc(sizeof *v);

	if (v == NULL) {
		close(fd);
		return NULL;
	}
	memset(v, 0, offsetof(struct valve, out));
	v->home = home;
	v->n = n;
	v->fd = fd;
	v->peer = *peer;
	v->inner_fd = -1;
	v->idle_fault = v->due_fault = -1;
	v->writable = true;
	v->last_attempt = LEDGER_NONE;
	intake_reset(v);
	if (server_is_there(v))
		server_note_idle(v);
	follow_start(&v->response, FOLLOW_RESPONSE, false);
	v->event = event_new(home->base, fd,
	    EV_READ | EV_CLOSED | EV_PERSIST | EV_ET, on_event, v);
	if (v->event == NULL || edges_listen(v->event, false) != 0) {
		if (v->event != NULL)
			event_free(v->event);
		close(fd);
		free(v);
		return NULL;
	}
	return v;
}

void
valve_free(struct valve *v)
{
	if (!v->fd_closed) {
		edges_turn_away(v->event, v->tells_writable);
		ending_reset(v->fd);
		v->fd_closed = true;
	}
	bury(v);
}

void
valve_faults_cleared(struct valve *v)
{
	/* What was dropped of a request in progress cannot be had again: its
	 * fault stays. */
	if (v->fault >= 0 && v->taken > 0 && v->orphan == NULL) {
		v->orphan = malloc(sizeof *v->orphan);
		if (v->orphan != NULL)
			*v->orphan = v->home->faults[v->fault];
		else
			v->broken = true;
	}
	v->fault = v->due_fault = v->idle_fault = -1;
	v->waiting = false;
}

void
valve_faults_changed(struct valve *v)
{
	if (valve_busy(v) || v->idle_fault >= 0)
		return;
	v->resting = false;
	valve_wake(v);
}
