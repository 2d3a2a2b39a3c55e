/* finale.c - how a valve ends its connection: what is due, when an idle
 * connection is, and the books behind it.
 */
#include "backend/valve.h"

#include <event2/event.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "backend/edges.h"
#include "backend/ending.h"
#include "backend/stream.h"
#include "backend/say.h"
#include "backend/server.h"
#include "backend/witness.h"

/* ------------------------------------------------------------- the words ---- */

/* Enter a mark for what is said now, and put it in.  Returns: bytes in out. */
static size_t
mark_say(struct valve *v, char *out, const char *say, size_t size)
{
	struct ledger_mark mark = { .said = true };
	struct queued asked = server_asked(v);
	struct ledger_attempt *a = ledger_edit(v->home->ledger, asked.attempt);

	mark.mark = ledger_next_mark();
	mark.belongs = valve_busy(v) && !v->answered;
	if (mark.belongs) {
		memcpy(mark.id, asked.id, sizeof mark.id);
		if (a->mark == 0)
			a->mark = mark.mark;
	}
	size = say_mark(out, say, size, mark.mark, &mark.status);
	ledger_enter_mark(v->home->ledger, &mark);
	return size;
}

static void
compose_say(struct valve *v, const char *prefix, const struct fault *f)
{
	size_t n = strlen(prefix);

	v->say_size = v->say_sent = 0;
	if (n + f->say_size == 0)
		return;
	v->say = malloc(n + f->say_size + SAY_MARK_MAX);
	if (v->say == NULL)
		return;
	memcpy(v->say, prefix, n);
	if (f->say_size > 0)
		n += mark_say(v, v->say + n, f->say, f->say_size);
	v->say_size = n;
}

bool
finale_due(struct valve *v, enum close_point point, const char *prefix)
{
	struct fault *f =
	    v->orphan != NULL ? v->orphan : &v->home->faults[v->fault];

	if (f->n_fired >= f->times) {
		v->fault = -1;
		return false;
	}
	f->n_fired++;
	v->due = true;
	v->due_on = point;
	v->due_ending = f->close;
	v->due_fault = v->fault;
	compose_say(v, prefix, f);
	return true;
}

/* ------------------------------------------------------------- the books ---- */

/* Enter n peeked bytes of total, and what may come behind them. */
static void
enter_unread(struct valve *v, const char *bytes, size_t n, size_t total)
{
	struct ledger_attempt *a;
	size_t known = v->seen; /* LINGERING: entered before */

	if (known > n)
		known = n;
	if (!v->unread_open && v->taken > 0 && !v->whole) {
		unread_inside(&v->unread, &v->request, v->attempt);
		if (!v->raw)
			known = v->request.size - v->taken;
		if (known > n)
			known = n;
		a = valve_attempt(v);
		a->unread += known;
	}
	v->unread_open = true;
	unread_feed(&v->unread, bytes + known, n - known);
	if (v->state != VALVE_LINGERING && total > n) {
		unread_count(&v->unread, total - n);
		n = total;
	}
	v->seen = n;
}

static void
mark_ended(struct ledger_attempt *a, const struct backend_conn *facts,
    enum backend_by by)
{
	a->ended = true;
	a->ended_on = facts->ended_on;
	a->ending = facts->ending;
	a->by_hand = by == BACKEND_BY_HAND;
	if (by != BACKEND_BY_SERVER)
		return;
	a->server_ending = facts->ending;
	a->server_idle_ms = facts->idle_ms;
}

/* From here on attempts are entered as the facts of the connection say. */
static void
start_unread(struct valve *v, enum backend_by by)
{
	const struct backend_conn *facts = valve_facts(v);

	if (!v->unread_open)
		unread_start(
		    &v->unread, v->home->ledger, v->n, facts->n_requests + 1);
	if (facts->ended)
		mark_ended(&v->unread.like, facts, by);
}

void
finale_note_unread(struct valve *v)
{
	struct stream_result r = { STREAM_AGAIN, 0, 0 };
	size_t total = stream_unread(v->fd);

	if (total > 0)
		r = stream_peek(v->fd, v->home->scratch, VALVE_SCRATCH_SIZE);
	start_unread(
	    v, v->unread.like.by_hand ? BACKEND_BY_HAND : BACKEND_BY_FAULT);
	enter_unread(v, v->home->scratch, r.n, total);
	v->unread.like.after_end = true;
}

/* Does it end so that the peer may go on sending, to a socket that is gone?
 * Only a reset forbids it that. */
static bool
leaves_nobody(enum ending ending, size_t unread)
{
	return ending == ENDING_VANISH ||
	    (ending == ENDING_PLAIN && unread == 0);
}

/* Nothing but a packet socket can tell what is sent to it from now on. */
static void
watch_dead(struct valve *v)
{
	struct witness *w = v->home->witness(v->home);
	size_t n;

	if (w != NULL) {
		witness_watch(w, &v->peer, &v->unread);
		return;
	}
	n = ledger_enter(v->home->ledger, v->n, v->unread.like.request);
	*ledger_edit(v->home->ledger, n) = v->unread.like;
	ledger_edit(v->home->ledger, n)->unseen = true;
}

static void
enter_end(struct valve *v, enum close_point point, enum ending ending,
    enum backend_by by)
{
	struct backend_conn *facts = valve_facts(v);

	facts->ended = true;
	facts->ended_on = point;
	facts->ending = ending;
	facts->idle = false;
	mark_ended(valve_attempt(v), facts, by);
	for (size_t i = 0; i < v->n_queued; i++)
		mark_ended(ledger_edit(v->home->ledger, v->queue[i].attempt),
		    facts, by);
	start_unread(v, by);
}

/* ------------------------------------------------------------ the ending ---- */

static enum valve_state
state_after(const struct valve *v, enum ending ending)
{
	switch (ending) {
	case ENDING_FIN:
		return VALVE_LINGERING;
	case ENDING_HALF:
		return v->state == VALVE_LINGERING ? VALVE_LINGERING
						   : VALVE_MUTED;
	case ENDING_STALL:
		return VALVE_STALLED;
	default:
		return VALVE_GONE;
	}
}

/* Whose request was it that the connection ended on? */
static void
tell_ended(struct valve *v, enum close_point point, enum ending ending,
    enum backend_by by)
{
	struct queued asked = server_asked(v);
	struct backend_event e = { .what = BACKEND_ENDED,
		.point = point,
		.ending = ending,
		.by = by,
		.request = asked.request,
		.id = valve_busy(v) ? asked.id : NULL };
	const struct ledger_attempt *first =
	    ledger_attempt(v->home->ledger, v->unread.first);
	char id[LEDGER_ID_MAX];

	if (!valve_busy(v) && first != NULL) {
		e.request = first->request;
		e.id = first->id;
	} else if (!valve_busy(v) && v->seen > 0) { /* half: it will be read */
		ledger_id_of(v->home->scratch,
		    v->seen < VALVE_SCRATCH_SIZE ? v->seen : VALVE_SCRATCH_SIZE,
		    id);
		e.request++;
		e.id = id;
	}
	valve_tell(v, e);
}

/* Keep what remains until everything begins anew; of very many, of the newest. */
static void
keep(struct valve_home *home, const struct remains *left)
{
	struct remains *place = &home->remains[home->n_remains % REMAINS_MAX];

	if (left->what == REMAINS_NOTHING)
		return;
	if (home->n_remains++ >= REMAINS_MAX)
		ending_forget(place);
	*place = *left;
}

/* End the connection now.  Returns: 0, or the errno of the kernel's refusal,
 * with everything as it was. */
static int
end(struct valve *v, enum close_point point, enum ending ending,
    enum backend_by by)
{
	struct stream_result r = { STREAM_AGAIN, 0, 0 };
	struct witness *w =
	    leaves_nobody(ending, 0) ? v->home->witness(v->home) : NULL;
	size_t total;
	enum valve_state next = by == BACKEND_BY_SERVER && ending == ENDING_FIN
	    ? VALVE_PARTING
	    : state_after(v, ending);
	struct remains left;
	int err;

	/* Look before: afterwards there may be no socket to look at.  And the
	 * witness must stand there before that: a program does not wait for us,
	 * and what it sends between the look and the end lies there for the
	 * witness alone. */
	witness_catch_up(w);
	total = stream_unread(v->fd);
	if (total > 0) {
		r = stream_peek(v->fd, v->home->scratch, VALVE_SCRATCH_SIZE);
		witness_catch_up(w);
	}
	if (ending_closes(ending))
		edges_turn_away(v->event, v->tells_writable);
	err = ending_carry_out(ending, v->fd, &left);
	if (err != 0) {
		edges_listen(v->event, v->tells_writable);
		return err;
	}
	keep(v->home, &left);
	v->fd_closed = ending_closes(ending);
	v->state = next;
	enter_end(v, point, ending, by);
	if (ending == ENDING_HALF || next == VALVE_PARTING)
		v->seen = total; /* it will be read after all */
	else
		enter_unread(v, v->home->scratch, r.n, total);
	v->unread.like.after_end = true;
	tell_ended(v, point, ending, by);
	if (v->fd_closed && total > 0)
		valve_tell(v,
		    (struct backend_event){
			.what = BACKEND_DISCARDED, .size = total });
	if (leaves_nobody(ending, total))
		watch_dead(v);
	v->fault = -1;
	finale_wake(v);
	if (next != VALVE_MUTED && next != VALVE_PARTING) {
		outlet_drop(v);
		valve_close_inner(v);
	}
	return 0;
}

enum valve_state
finale_carry_out(struct valve *v)
{
	int err;

	v->due = false;
	err = end(v, v->due_on, v->due_ending, BACKEND_BY_FAULT);
	free(v->say);
	v->say = NULL;
	if (err == 0)
		return v->state;
	/* The kernel refuses to let it vanish: the fault has not fired, and
	 * the connection goes on. */
	if (v->due_fault >= 0)
		v->home->faults[v->due_fault].n_fired--;
	v->fault = -1;
	valve_wake(v);
	return v->state;
}

enum valve_state
finale_polite(struct valve *v)
{
	bool muted = v->state == VALVE_MUTED;

	finale_wake(v);
	valve_facts(v)->idle = false;
	if (v->peer_fin)
		return VALVE_GONE;
	if (!muted)
		shutdown(v->fd, SHUT_WR);
	v->state = VALVE_LINGERING;
	finale_note_unread(v);
	valve_close_inner(v);
	return VALVE_LINGERING;
}

enum valve_state
finale_pass_on(struct valve *v, enum close_point point, enum ending ending)
{
	finale_wake(v);
	end(v, point, ending, BACKEND_BY_SERVER);
	if (v->state != VALVE_PARTING)
		return v->state;
	if (valve_busy(v) && !v->whole && !v->raw)
		unread_inside(&v->unread, &v->request, v->attempt);
	v->unread_open = v->unread.may_run = true;
	v->readable = true;
	return v->state;
}

/* --------------------------------------------------------------- by hand ---- */

enum close_point
finale_point(const struct valve *v)
{
	const struct follow *r = &v->request;

	if (!valve_busy(v))
		return stream_unread(v->fd) > 0 ? POINT_ARRIVAL : POINT_IDLE;
	if (v->answered && v->n_queued == 0)
		return POINT_RESPONSE_END;
	if (v->response.status >= 200 && v->passed > 0)
		return v->response.head_end != 0 &&
			v->passed >= v->response.head_end
		    ? POINT_RESPONSE_HEAD
		    : POINT_RESPONSE_BYTE;
	if (v->executed && v->n_queued == 0)
		return POINT_EXECUTED;
	if (v->interim && v->n_queued == 0)
		return POINT_INTERIM;
	if (v->whole || v->n_queued > 0)
		return POINT_REQUEST_END;
	if (r->head_end != 0 && v->taken >= r->head_end)
		return POINT_REQUEST_HEAD;
	if (r->line_end != 0 && v->taken >= r->line_end)
		return POINT_REQUEST_LINE;
	return POINT_REQUEST_BYTE;
}

static void
say_now(struct valve *v, const char *say, size_t size)
{
	char *text = malloc(size + SAY_MARK_MAX);
	struct stream_result w;

	if (text == NULL)
		return;
	w = stream_write(v->fd, text, mark_say(v, text, say, size));
	if (w.n > 0) {
		valve_facts(v)->sent += w.n;
		valve_tell(v,
		    (struct backend_event){
			.what = BACKEND_SENT, .bytes = text, .size = w.n });
	}
	free(text);
}

int
valve_end_by_hand(struct valve *v, enum ending ending, const void *say,
    size_t say_size, char *error, size_t error_size)
{
	const char *cannot =
	    ending == ENDING_VANISH ? ending_cannot_vanish() : NULL;
	int err;

	if (cannot != NULL) {
		snprintf(error, error_size, "vanish: %s", cannot);
		return -1;
	}
	if (say_size > 0)
		say_now(v, say, say_size);
	err = end(v, finale_point(v), ending, BACKEND_BY_HAND);
	if (err != 0) {
		snprintf(error, error_size, "%s: %s", fault_ending_name(ending),
		    strerror(err));
		return -1;
	}
	v->due = false;
	valve_run(v);
	return 0;
}

/* ------------------------------------------------------------------ idle ---- */

static void
on_idle_over(void *arg)
{
	struct valve *v = arg;

	v->idle_over = true;
	valve_wake(v);
}

static void
on_keep_over(void *arg)
{
	struct valve *v = arg;

	v->keep_over = true;
	valve_wake(v);
}

static void
arm(struct valve *v, void **timer, backend_fire_fn *fire, int ms)
{
	struct backend_clock *clock = &v->home->clock;

	if (*timer == NULL)
		*timer = clock->timer_new(clock->arg, fire, v);
	if (*timer != NULL)
		clock->timer_arm(*timer, ms);
}

/* Has the peer's kernel got the response?  If not, have the socket become
 * writable when it has, and not before. */
static bool
has_left(struct valve *v)
{
	bool left = stream_unsent(v->fd) == 0;
	int lowat = left ? 0 : 1;

	if (left != v->leaving)
		return left;
	setsockopt(v->fd, IPPROTO_TCP, TCP_NOTSENT_LOWAT, &lowat, sizeof lowat);
	if (!left)
		valve_ask_for_writable(v);
	v->leaving = !left;
	return left;
}

static void
idle_due(struct valve *v)
{
	v->fault = v->idle_fault;
	v->idle_fault = -1;
	/* Where a request lies there, the connection is not idle; but one
	 * that announced its end takes no request any more. */
	if (!v->announced && stream_unread(v->fd) > 0)
		v->fault = -1;
	else
		finale_due(v, POINT_IDLE, "");
}

static void
keep_alive_due(struct valve *v)
{
	/* A server that is busy elsewhere closes although the request lies in
	 * its kernel. */
	if (!valve_facts(v)->reading_held && stream_unread(v->fd) > 0)
		return;
	v->due = true;
	v->due_on = POINT_IDLE;
	v->due_ending = v->home->options.keep_alive_close;
	v->due_fault = -1;
	v->say_size = v->say_sent = 0;
}

void
finale_rest(struct valve *v)
{
	const struct backend_conn *facts = valve_facts(v);
	int ms = v->home->options.keep_alive_ms;

	if (!v->resting) {
		v->resting = true;
		v->idle_fault = facts->n_finished == 0
		    ? -1
		    : fault_choose_idle(v->home->faults, v->home->n_faults,
			  v->n, facts->n_finished);
		v->idle_over = false;
		if (ms > 0 && !v->keep_armed) {
			v->keep_armed = true;
			arm(v, &v->keep_timer, on_keep_over, ms);
		}
		v->waiting = v->idle_fault >= 0;
	}
	if (v->waiting && has_left(v)) {
		v->waiting = false;
		ms = v->home->faults[v->idle_fault].after_ms;
		v->idle_over = ms == 0;
		if (ms > 0)
			arm(v, &v->idle_timer, on_idle_over, ms);
	}
	if (v->idle_over && v->idle_fault >= 0)
		idle_due(v);
	else if (v->keep_over)
		keep_alive_due(v);
	v->idle_over = v->keep_over = false;
}

void
finale_wake(struct valve *v)
{
	int lowat = 0;

	if (v->idle_fault >= 0 && v->idle_timer != NULL)
		v->home->clock.timer_cancel(v->idle_timer);
	if (v->keep_armed && v->keep_timer != NULL)
		v->home->clock.timer_cancel(v->keep_timer);
	if (v->leaving && !v->fd_closed)
		setsockopt(v->fd, IPPROTO_TCP, TCP_NOTSENT_LOWAT, &lowat,
		    sizeof lowat);
	v->idle_fault = -1;
	v->leaving = v->keep_armed = false;
	v->waiting = v->idle_over = v->keep_over = false;
}
