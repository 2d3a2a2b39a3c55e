/* intake.c - the request side of a valve.
 *
 * Bytes are peeked at, followed, and taken only as far as they may be: not
 * beyond the end of the request, not beyond the byte where a fault is due, and
 * not at all while the fault for this request cannot be chosen yet or the
 * response to the one before has not been sent.
 */
#include "backend/valve.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "backend/server.h"
#include "backend/stream.h"

void
intake_reset(struct valve *v)
{
	follow_start(&v->request, FOLLOW_REQUEST, false);
	v->taken = v->given = 0;
	v->decided = v->whole = v->executed = v->executed_now = false;
	v->marked = v->interim = v->answered = false;
	v->fault = -1;
	free(v->orphan);
	v->orphan = NULL;
	v->attempt = LEDGER_NONE;
	v->n_kept = 0;
}

void
intake_held(struct valve *v)
{
	size_t n;

	if (!v->edge)
		return;
	v->edge = false;
	n = stream_unread(v->fd);
	if (n == 0 || n == v->arrived)
		return;
	v->arrived = n;
	valve_tell(
	    v, (struct backend_event){ .what = BACKEND_ARRIVED, .size = n });
}

/* The response is not sent yet, so the next request stays where it is; but a
 * peer that has gone must be noticed. */
static void
look_for_close(struct valve *v)
{
	struct stream_result r;
	char byte;

	if ((!v->edge && !v->end_behind) || v->peer_fin)
		return;
	v->edge = v->end_behind = false;
	r = stream_peek(v->fd, &byte, 1);
	if (r.outcome == STREAM_EOF || r.outcome == STREAM_FAILED)
		valve_peer_closed(v, r.err);
}

/* ------------------------------------------------------------ the fault ---- */

static int
choose(const struct valve *v, bool all_known)
{
	const struct follow *f = &v->request;
	char path[sizeof v->home->faults->path];
	struct fault_facts facts = { v->n, valve_facts(v)->n_requests + 1,
		all_known ? f->method : NULL, NULL, NULL };

	if (f->target_known || all_known) {
		follow_path(f->target, path, sizeof path);
		facts.method = f->method;
		facts.path = path;
	}
	if (f->id_known || all_known)
		facts.id = f->id;
	return fault_choose(v->home->faults, v->home->n_faults, &facts);
}

/* Choose the fault for the request that n peeked bytes begin.  Returns: it is
 * known, and nothing is due before the first byte. */
static bool
decide(struct valve *v, size_t n)
{
	int fault = -1;

	if (v->state == VALVE_RELAYING) {
		fault = choose(v, false);
		if (fault == -2 && n < VALVE_SCRATCH_SIZE && !v->request.lost &&
		    !v->fin_behind) {
			v->readable = false; /* until more has come */
			return false;
		}
		if (fault == -2)
			fault = choose(v, true);
	}
	/* What asks for a fault stands alone. */
	if (fault >= 0 && v->n_queued > 0)
		return false;
	v->fault = fault;
	v->decided = true;
	if (fault < 0 || v->home->faults[fault].on != POINT_ARRIVAL)
		return true;
	return !finale_due(v, POINT_ARRIVAL, "");
}

/* The offset where a fault is due; 0: not known, or none. */
static size_t
cut_of(const struct valve *v)
{
	const struct fault *f = valve_fault(v);

	if (f == NULL || v->raw)
		return 0;
	switch (f->on) {
	case POINT_REQUEST_BYTE:
		return f->at;
	case POINT_REQUEST_LINE:
		return v->request.line_end;
	case POINT_REQUEST_HEAD:
		return v->request.head_end;
	case POINT_REQUEST_END:
		return v->request.end;
	default:
		return 0;
	}
}

/* Must the inner end not see this request?  What `half` cuts it may see: the
 * server goes on reading. */
static bool
keeps_back(const struct valve *v)
{
	const struct fault *f = valve_fault(v);

	return f != NULL && !v->raw && f->close != ENDING_HALF &&
	    f->on >= POINT_REQUEST_BYTE && f->on <= POINT_REQUEST_END;
}

/* ------------------------------------------------------------ the bytes ---- */

/* Keep bytes for the case that the fault will not be due after all. */
static bool
keep(struct valve *v, const char *bytes, size_t size)
{
	size_t room = v->kept_room;
	char *grown = v->kept;

	/* All other points come in every request, and all other endings
	 * succeed: nothing will be needed. */
	if (valve_fault(v)->on != POINT_REQUEST_BYTE &&
	    valve_fault(v)->close != ENDING_VANISH)
		return true;
	while (room < v->n_kept + size)
		room = room == 0 ? 1024 : room * 2;
	if (room != v->kept_room)
		grown = realloc(v->kept, room);
	if (grown == NULL)
		return false;
	v->kept = grown;
	v->kept_room = room;
	memcpy(v->kept + v->n_kept, bytes, size);
	v->n_kept += size;
	return true;
}

/* Give bytes to the inner end.  Returns: how many it took. */
static size_t
give(struct valve *v, const char *bytes, size_t size)
{
	struct stream_result w;

	if (!v->inner_deaf && v->inner_fd < 0 && !valve_open_inner(v)) {
		v->inner_deaf = true;
		v->inner_eof = true;
	}
	if (server_dials(v))
		return 0;
	if (v->inner_deaf)
		return size; /* an early answer: nobody wants the rest */
	w = stream_write(v->inner_fd, bytes, size);
	if (w.outcome == STREAM_FAILED) {
		/* A reset is told once, and it may be here; an answer may
		 * stand in front of it all the same. */
		if (w.err != EPIPE)
			v->inner_error = w.err;
		v->inner_deaf = true;
		return size;
	}
	if (w.n > 0)
		v->touched = true;
	v->given += w.n;
	return w.n;
}

/* The fault is not due after all: give what was kept back for it. */
static bool
give_kept(struct valve *v)
{
	size_t n = give(v, v->kept, v->n_kept);

	memmove(v->kept, v->kept + n, v->n_kept - n);
	v->n_kept -= n;
	if (server_is_there(v))
		server_note_given(v, n);
	return n > 0;
}

static void
begin(struct valve *v)
{
	struct backend_conn *facts = valve_facts(v);
	struct ledger_attempt *a;

	facts->n_requests++;
	facts->idle = false;
	v->resting = false;
	v->attempt = ledger_enter(v->home->ledger, v->n, facts->n_requests);
	v->last_attempt = v->attempt;
	if (!facts->ended)
		return;
	a = valve_attempt(v);
	a->ended = true;
	a->after_end = v->seen == 0; /* the end found none of it there */
	a->ended_on = v->unread.like.ended_on;
	a->ending = v->unread.like.ending;
	a->by_hand = v->unread.like.by_hand;
}

/* Enter n taken bytes in the books. */
static void
book(struct valve *v, const char *bytes, size_t n)
{
	const struct follow *f = &v->request;
	struct ledger_attempt *a;

	if (v->taken == 0)
		begin(v);
	v->taken += n;
	v->seen -= n < v->seen ? n : v->seen;
	v->whole = f->end != 0 && v->taken == f->end;
	valve_facts(v)->received += n;
	a = valve_attempt(v);
	a->read = v->taken;
	a->head = f->head_end;
	a->whole = v->whole;
	ledger_name(a, f->method, f->target, f->id);
	valve_tell(v,
	    (struct backend_event){
		.what = BACKEND_READ, .bytes = bytes, .size = n });
}

/* Where the inner end may not see the request, nobody but the valve can ask
 * for its body (RFC 9110 10.1.1). */
static void
ask_for_body(struct valve *v)
{
	if (v->request.expects_100 && v->taken == v->request.head_end &&
	    !v->whole && keeps_back(v) && !v->due)
		outlet_interject(v, "HTTP/1.1 100 Continue\r\n\r\n");
}

static void
check_points(struct valve *v, size_t cut)
{
	const struct fault *f = valve_fault(v);

	if (f != NULL && cut != 0 && v->taken == cut &&
	    (f->on != POINT_REQUEST_BYTE ||
		follow_longer_than(&v->request, cut)))
		finale_due(v, f->on, "");
	ask_for_body(v);
}

/* Take at most n bytes, all of this request.  Returns: how many were. */
static size_t
take(struct valve *v, char *bytes, size_t n)
{
	size_t cut = cut_of(v), given = v->given;

	if (cut != 0 && v->taken + n > cut)
		n = cut - v->taken;
	if (keeps_back(v)) {
		v->broken = !keep(v, bytes, n);
	} else
		n = give(v, bytes, n);
	if (n == 0)
		return 0;
	stream_skip(v->fd, bytes, n);
	book(v, bytes, n);
	if (server_is_there(v) && v->given > given)
		server_note_given(v, v->given - given);
	check_points(v, cut);
	return n;
}

/* n bytes lie there.  Follow those that are new.  Returns: how many belong to
 * the request in progress. */
static size_t
follow(struct valve *v, const char *bytes, size_t n)
{
	size_t known = v->request.size - v->taken;

	if (!v->raw && n > known)
		follow_feed(&v->request, bytes + known, n - known);
	if (v->request.lost)
		v->raw = true;
	if (v->raw)
		return n;
	known = v->request.size - v->taken;
	return known < n ? known : n;
}

/* How long is the header of the PROXY protocol that may stand before the first
 * request?  Returns: 0 where there is none.  more: it cannot be told yet. */
static size_t
preface_size(const char *bytes, size_t n, bool *more)
{
	static const char one[] = "PROXY ", two[] = "\r\n\r\n\0\r\nQUIT\n";
	const unsigned char *at = (const unsigned char *)bytes;
	const char *end;

	*more = false;
	if (memcmp(bytes, one, n < 6 ? n : 6) == 0) {
		end = memchr(bytes, '\n', n < 107 ? n : 107);
		*more = end == NULL && n < 107;
		return end != NULL ? (size_t)(end - bytes) + 1 : 0;
	}
	if (memcmp(bytes, two, n < 12 ? n : 12) != 0)
		return 0;
	*more = n < 16;
	return n < 16 ? 0 : 16 + (size_t)at[14] * 256 + at[15];
}

/* It is for the server, and no part of a request. */
static bool
pass_preface(struct valve *v, char *bytes, size_t n)
{
	struct stream_result w = { STREAM_FAILED, 0, 0 };
	bool more = false;

	if (v->preface_left == 0)
		v->preface_left = preface_size(bytes, n, &more);
	if (more && !v->fin_behind) {
		v->readable = false;
		return false;
	}
	n = n < v->preface_left ? n : v->preface_left;
	if (n > 0 && !v->inner_deaf)
		w = stream_write(v->inner_fd, bytes, n);
	if (w.outcome == STREAM_AGAIN)
		return false;
	v->prefaced = w.outcome == STREAM_FAILED || w.n == v->preface_left;
	if (w.n == 0)
		return true;
	v->preface_left -= w.n;
	stream_skip(v->fd, bytes, w.n);
	valve_facts(v)->received += w.n;
	valve_tell(v,
	    (struct backend_event){
		.what = BACKEND_READ, .bytes = bytes, .size = w.n });
	return true;
}

bool
intake_step(struct valve *v)
{
	char *bytes = v->home->scratch;
	struct stream_result r;
	size_t n;

	if (valve_facts(v)->reading_held) {
		intake_held(v);
		return false;
	}
	if (v->n_kept > 0 && (v->whole || !keeps_back(v)))
		return give_kept(v);
	if (v->readable && !v->peer_fin && server_takes_more(v) &&
	    stream_unread(v->fd) > 0 && !server_enqueue(v)) {
		v->broken = true;
		return true;
	}
	/* A connection that announced its end takes no request any more. */
	if ((v->whole && !v->raw) || (v->announced && v->idle_fault >= 0)) {
		look_for_close(v);
		return false;
	}
	if (!v->readable || v->peer_fin)
		return false;
	r = stream_peek(v->fd, bytes, VALVE_SCRATCH_SIZE);
	v->edge = false;
	if (r.outcome == STREAM_AGAIN) {
		v->readable = false;
		return false;
	}
	if (r.outcome != STREAM_DONE) {
		valve_peer_closed(v, r.err);
		return true;
	}
	if (!v->prefaced && server_is_there(v))
		return pass_preface(v, bytes, r.n);
	finale_wake(v);
	n = follow(v, bytes, r.n);
	if (!v->decided && !decide(v, r.n))
		return v->due;
	if (n > 0)
		n = take(v, bytes, n);
	/* All that an edge brought, and nothing is behind it. */
	if (n == r.n && n < VALVE_SCRATCH_SIZE && !v->end_behind)
		v->readable = false;
	return n > 0;
}
