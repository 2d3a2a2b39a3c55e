/* outlet.c - the response side of a valve.
 *
 * What the inner end says is read into a bounded buffer, followed message by
 * message, and sent as far as a fault allows.  Offsets of faults count the
 * final response; a 1xx is a message of its own in front of it.
 */
#include "backend/valve.h"

#include <stdio.h>
#include <string.h>

#include "backend/say.h"
#include "backend/server.h"
#include "backend/stream.h"

#define EARLY_HINTS                    \
	"HTTP/1.1 103 Early Hints\r\n" \
	"Link: </style.css>; rel=preload; as=style\r\n\r\n"

bool
outlet_empty(const struct valve *v)
{
	return v->start == v->filled;
}

void
outlet_drop(struct valve *v)
{
	v->start = v->parsed = v->filled = 0;
}

/* Make the free space one piece. */
static size_t
make_room(struct valve *v)
{
	if (v->start > 0) {
		memmove(v->out, v->out + v->start, v->filled - v->start);
		v->parsed -= v->start;
		v->filled -= v->start;
		v->start = 0;
	}
	return sizeof v->out - v->filled;
}

void
outlet_interject(struct valve *v, const char *text)
{
	size_t n = strlen(text);

	if (make_room(v) < n)
		return;
	memcpy(v->out + v->filled, text, n);
	v->filled += n;
}

/* ---------------------------------------------------------- the inner end -- */

/* The handler ran.  Faults that lie before the first response byte are due.
 * Returns: one is. */
static bool
check_executed(struct valve *v)
{
	const struct fault *f = valve_fault(v);

	if (!v->executed_now)
		return false;
	v->executed_now = false;
	if (f != NULL && f->on == POINT_EXECUTED)
		return finale_due(v, POINT_EXECUTED, "");
	if (f != NULL && f->on == POINT_INTERIM && !v->interim)
		return finale_due(v, POINT_INTERIM, EARLY_HINTS);
	return false;
}

static bool
fill(struct valve *v)
{
	size_t room;
	struct stream_result r;

	if (v->inner_fd < 0 || v->inner_eof || !v->inner_ready ||
	    server_dials(v))
		return false;
	room = make_room(v);
	if (room == 0)
		return false;
	r = stream_read(v->inner_fd, v->out + v->filled, room);
	switch (r.outcome) {
	case STREAM_DONE:
		v->filled += r.n;
		v->touched = true; /* there is room for more now */
		return true;
	case STREAM_AGAIN:
		v->inner_ready = v->home->origin == NULL;
		return false;
	case STREAM_FAILED:
		v->inner_error = r.err;
		break;
	case STREAM_EOF:
		break;
	}
	v->inner_eof = true;
	return true;
}

/* A response that libmicrohttpd made without asking the handler (400, 413 …)
 * gets a mark as every other. */
static void
mark_unasked(struct valve *v)
{
	struct ledger_mark mark = { .belongs = true, .said = true };
	size_t size = v->filled - v->start;
	char copy[VALVE_OUT_SIZE];

	if (v->marked || v->home->origin == NULL || v->taken == 0 ||
	    size + SAY_MARK_MAX > sizeof v->out || make_room(v) < SAY_MARK_MAX)
		return;
	mark.mark = ledger_next_mark();
	memcpy(copy, v->out, size);
	v->filled = say_mark(v->out, copy, size, mark.mark, &mark.status);
	if (mark.status < 200) { /* 100 Continue bears none */
		memcpy(v->out, copy, size);
		v->filled = size;
		return;
	}
	v->marked = true;
	memcpy(mark.id, v->request.id, sizeof mark.id);
	ledger_enter_mark(v->home->ledger, &mark);
	valve_attempt(v)->mark = mark.mark;
}

/* Enter how the final response is framed, as soon as its head is there. */
static void
enter_framing(struct valve *v)
{
	struct ledger_attempt *a = valve_attempt(v);

	if (v->taken == 0 || v->response.status < 200 ||
	    v->response.head_end == 0)
		return;
	a->response_head = v->response.head_end;
	a->until_close = v->response.until_eof;
}

/* Follow what was read, up to the end of the present message. */
static void
parse(struct valve *v)
{
	size_t n = v->filled - v->parsed;

	if (n > 0 && v->response.end == 0) {
		if (v->response.size == 0) {
			v->response.no_body = server_asked(v).heads;
			v->response.connects =
			    server_is_there(v) && server_asked(v).connects;
			mark_unasked(v);
			n = v->filled - v->parsed;
		}
		v->parsed += follow_feed(&v->response, v->out + v->parsed, n);
		if (v->response.lost)
			v->parsed = v->filled;
		enter_framing(v);
		if (server_is_there(v))
			server_note_answer(v);
	}
	if (v->inner_eof && v->inner_error == 0 && v->parsed == v->filled)
		follow_eof(&v->response);
}

/* Returns: something came, or is due. */
static bool
serve(struct valve *v)
{
	bool moved, open = !v->inner_eof;

	if (v->touched && v->home->origin != NULL) {
		v->touched = false;
		v->inner_ready = true;
		origin_drive(v->home->origin);
	}
	if (check_executed(v))
		return true;
	moved = fill(v);
	parse(v);
	if (open && v->inner_eof && server_is_there(v))
		server_note_end(v);
	/* A whole answer that keeps the connection: nothing can be behind it,
	 * which saves asking. */
	if (v->home->origin != NULL && v->response.end != 0 &&
	    v->parsed == v->filled && v->response.status >= 200 &&
	    llhttp_should_keep_alive(&v->response.parser))
		v->touched = v->inner_ready = false;
	return check_executed(v) || moved;
}

/* ----------------------------------------------------------- the peer's end */

static bool
is_final(const struct valve *v)
{
	return v->response.status >= 200 || v->response.status == 101;
}

/* The offset in the final response where a fault is due; 0: not known. */
static size_t
cut_of(const struct valve *v)
{
	const struct fault *f = valve_fault(v);

	if (f == NULL || !is_final(v) || v->response.lost)
		return 0;
	switch (f->on) {
	case POINT_RESPONSE_BYTE:
		return f->at;
	case POINT_RESPONSE_HEAD:
		return v->response.head_end;
	case POINT_RESPONSE_END:
		return v->response.end;
	default:
		return 0;
	}
}

/* How many bytes may be sent now. */
static size_t
sendable(const struct valve *v)
{
	const struct fault *f = valve_fault(v);
	size_t n = v->parsed - v->start;
	size_t cut = cut_of(v);

	/* Is it a 1xx?  Only its status tells whether an offset counts. */
	if (f != NULL && f->on >= POINT_INTERIM && v->response.status == 0 &&
	    !v->response.lost && !v->inner_eof)
		return 0;
	if (cut != 0 && v->passed + n > cut)
		n = v->passed < cut ? cut - v->passed : 0;
	return n;
}

/* Muted, the server's words go nowhere. */
static bool
swallow(struct valve *v)
{
	size_t n = v->parsed - v->start;

	v->start += n;
	v->passed += n;
	return n > 0;
}

static bool
send_some(struct valve *v)
{
	size_t n = sendable(v);
	struct queued asked;
	struct stream_result w;

	if (n == 0 || !v->writable || valve_facts(v)->sending_held)
		return false;
	w = stream_write(v->fd, v->out + v->start, n);
	if (w.outcome == STREAM_FAILED)
		valve_peer_closed(v, w.err);
	if (w.outcome == STREAM_AGAIN || w.n < n) {
		v->writable = false;
		if (!v->tells_writable)
			valve_ask_for_writable(v);
	}
	if (w.n == 0)
		return w.outcome == STREAM_FAILED;
	valve_facts(v)->sent += w.n;
	asked = server_asked(v);
	if (is_final(v) && valve_busy(v))
		ledger_edit(v->home->ledger, asked.attempt)->answered += w.n;
	valve_tell(v,
	    (struct backend_event){ .what = BACKEND_SENT,
		.request = asked.request,
		.id = asked.id,
		.bytes = v->out + v->start,
		.size = w.n });
	v->start += w.n;
	v->passed += w.n;
	return true;
}

/* A final response has left. */
static void
enter_answer(struct valve *v, bool last)
{
	struct queued asked = server_asked(v);

	v->last_told = last;
	ledger_edit(v->home->ledger, asked.attempt)->answered_whole = true;
	valve_facts(v)->n_finished++;
	valve_tell(v,
	    (struct backend_event){ .what = BACKEND_ANSWERED,
		.request = asked.request,
		.id = asked.id });
}

/* The present message was sent, all of it. */
static void
finish_message(struct valve *v)
{
	const struct fault *f = valve_fault(v);
	enum close_point on = f != NULL ? f->on : N_POINTS;
	bool final = is_final(v);
	bool last = !llhttp_should_keep_alive(&v->response.parser);
	bool head_only = v->response.head_end == v->response.end;
	bool tunnel = v->response.status == 101 ||
	    (v->response.connects && v->response.status / 100 == 2);

	follow_start(&v->response, FOLLOW_RESPONSE, false);
	v->passed = 0;
	/* No message follows, whatever it looks like. */
	v->raw |= tunnel;
	v->response.lost = tunnel;
	if (!valve_busy(v))
		return; /* nobody asked */
	if (v->n_queued > 0) {
		if (final) {
			enter_answer(v, last);
			server_dequeue(v);
		}
		return;
	}
	if (!final) {
		v->interim = true;
		if (on == POINT_INTERIM)
			finale_due(v, on, "");
		return;
	}
	v->answered = true;
	/* libmicrohttpd 0.9.75 sends the head of some of its own error
	 * responses twice: what is behind the last response is none. */
	if (last && v->home->origin != NULL)
		v->filled = v->parsed;
	if (v->state != VALVE_RELAYING)
		return;
	enter_answer(v, last);
	if (on == POINT_RESPONSE_END ||
	    (on == POINT_RESPONSE_HEAD && head_only))
		finale_due(v, on, "");
}

static bool
check_points(struct valve *v)
{
	const struct fault *f = valve_fault(v);
	size_t cut = cut_of(v);

	if (v->response.end != 0 && v->passed == v->response.end) {
		finish_message(v);
		return true;
	}
	if (cut == 0 || v->passed != cut)
		return false;
	if (f->on == POINT_RESPONSE_BYTE &&
	    !follow_longer_than(&v->response, cut))
		return false;
	return finale_due(v, f->on, "");
}

bool
outlet_step(struct valve *v)
{
	bool moved = serve(v);

	if (v->due)
		return true;
	moved |= v->state == VALVE_MUTED ? swallow(v) : send_some(v);
	return check_points(v) || moved;
}

bool
outlet_flush(struct valve *v)
{
	struct stream_result w;

	if (valve_facts(v)->sending_held)
		return false;
	/* Only a 1xx can be left over from before the request was read; what
	 * is left over at later points lies behind the cut. */
	while (v->due_on <= POINT_REQUEST_END && v->parsed > v->start)
		if (!send_some(v))
			return false;
	while (v->say_sent < v->say_size) {
		w = stream_write(
		    v->fd, v->say + v->say_sent, v->say_size - v->say_sent);
		if (w.outcome == STREAM_FAILED)
			return true; /* nobody is left to be told */
		if (w.outcome == STREAM_AGAIN && !v->tells_writable)
			valve_ask_for_writable(v);
		if (w.outcome == STREAM_AGAIN)
			return false;
		valve_facts(v)->sent += w.n;
		valve_tell(v,
		    (struct backend_event){ .what = BACKEND_SENT,
			.bytes = v->say + v->say_sent,
			.size = w.n });
		v->say_sent += w.n;
	}
	return true;
}
