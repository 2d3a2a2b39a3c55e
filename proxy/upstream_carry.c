/* upstream_carry.c - an upstream connection while it carries an exchange: from
 * the request's first byte to the response's last one.  The picture is in
 * upstream.c.
 *
 * What was received is read before a failed send is judged; and what it means
 * is not decided here: facts go into the attempt, opinion is retry.c's.
 */
#include "proxy/upstream_states.h"

#include <errno.h>
#include <sys/socket.h>

enum {
	/* for a 100, until the body is sent without it (RFC 9110 10.1.1) */
	EXPECT_WAIT_MS = 1000
};

/* The attempt is over; what is known of it goes to the session. */
static void
settle(struct upstream *u, enum exchange_attempt outcome)
{
	struct exchange *x = u->actor.exchange;

	x->now.error = u->actor.error;
	x->now.peer_closed = u->actor.peer_closed;
	x->now.received_final = x->now.received - x->n_interim_bytes;
	x->state = outcome;
	x->carrier = NULL;
	u->actor.exchange = NULL;
	actor_arm(&u->actor, 0);
	actor_poke(x->session);
}

enum upstream_state
upstream_lost(struct upstream *u)
{
	settle(u, ATTEMPT_FAILED);
	return UPSTREAM_SPENT;
}

enum upstream_state
upstream_timed_out(struct upstream *u)
{
	u->actor.exchange->now.timed_out = true;
	return upstream_lost(u);
}

/* What the proxy itself lacks is no fault of the backend. */
enum upstream_state
upstream_lacks_memory(struct upstream *u)
{
	if (u->actor.error == 0)
		u->actor.error = ENOMEM;
	return upstream_lost(u);
}

/* The response's next byte is due. */
static void
expect_byte(struct upstream *u)
{
	actor_arm(&u->actor, upstream_options(u)->response_timeout_ms);
}

/* --------------------------------------------------------------- sending -- */

/* Read into the reader.  AGAIN also where the session must first take what it
 * has. */
static struct io_result
fill(struct upstream *u)
{
	struct exchange *x = u->actor.exchange;
	struct io_result r = { IO_AGAIN, 0, 0 };

	if (!exchange_takes_content(x))
		return r;
	if ((u->actor.latches & LATCH_READABLE) == 0 && !u->write_failed)
		return r;
	r = actor_fill(&u->actor, &x->answer.in, UPSTREAM_READ_SIZE);
	if (r.outcome == IO_DONE)
		x->now.received += r.n;
	if (r.error == ENOMEM)
		u->actor.error = ENOMEM;
	return r;
}

/* Did the last AGAIN say that nothing is there, rather than that it may not be
 * read yet? */
static bool
is_silent(const struct upstream *u)
{
	return !u->actor.cut_short && exchange_takes_content(u->actor.exchange);
}

/* Read up to the beginning of a final response.  Out: READING (there it is),
 * stay (not yet), SPENT (none will come). */
static enum upstream_state
look_for_response(struct upstream *u, enum upstream_state stay)
{
	struct exchange *x = u->actor.exchange;
	size_t interim = x->n_interim_bytes;
	struct io_result r;

	for (;;) {
		switch (response_reader_look(
		    &x->answer, x, upstream_head_bytes(u))) {
		case RESPONSE_BEGINS:
			x->date_s = proxy_date_s(u->actor.proxy);
			x->account.answered_us = proxy_now_us(u->actor.proxy);
			return UPSTREAM_READING;
		case RESPONSE_MORE:
			break;
		case RESPONSE_NO_MEMORY:
			return upstream_lacks_memory(u);
		default:
			return upstream_lost(u);
		}
		if (x->n_interim_bytes != interim)
			actor_poke(x->session);
		r = fill(u);
		if (r.outcome == IO_AGAIN)
			return u->write_failed && is_silent(u)
			    ? upstream_lost(u)
			    : stay;
		if (r.outcome != IO_DONE)
			return upstream_lost(u);
	}
}

/* Send what there is, as far as the kernel and the limit allow.
 * Returns: false where the connection failed. */
static bool
send_request(struct upstream *u)
{
	struct proxy_actor *a = &u->actor;
	struct exchange *x = a->exchange;
	struct proxy_event e;
	struct io_result r;
	const char *bytes;
	size_t size;

	while ((a->latches & LATCH_WRITABLE) && !a->held) {
		bytes = exchange_unsent(x, &size);
		if (size > u->limit)
			size = u->limit;
		if (size > 0) {
			r = actor_write(a, bytes, size);
			if (r.outcome == IO_FAILED)
				return false;
			exchange_was_sent(x, r.n);
			if (u->limit != SIZE_MAX)
				u->limit -= r.n;
			if (r.n > 0)
				actor_poke(x->session);
		}
		if (u->limit == 0) {
			u->limit = SIZE_MAX;
			e = actor_event(a, PROXY_LIMITED);
			a->held = actor_tell(a, &e) == PROXY_HOLD;
		} else if (size == 0) {
			break;
		}
	}
	return true;
}

/* A backend that must move is waited for with a limit; while the client is
 * to send, it is the session that does the waiting. */
static void
arm_while_sending(struct upstream *u, size_t sent_before)
{
	struct exchange *x = u->actor.exchange;
	size_t unsent;

	exchange_unsent(x, &unsent);
	if (unsent == 0 && x->now.body_withheld)
		actor_arm(&u->actor, EXPECT_WAIT_MS);
	else if (unsent == 0 && !x->request.expects_continue)
		actor_arm(&u->actor, 0);
	else if (x->now.sent != sent_before)
		expect_byte(u);
}

/* In:  SENDING, first of all sends.  Out: AWAITING (all sent), READING (an
 * early final response), SPENT. */
enum upstream_state
upstream_sending(struct upstream *u)
{
	struct proxy_actor *a = &u->actor;
	struct exchange *x = a->exchange;
	size_t sent_before;
	enum upstream_state next;
	bool withheld;

	if (x == NULL)
		return UPSTREAM_SPENT;
	if ((a->latches & LATCH_TIMER) && !x->now.body_withheld)
		return upstream_timed_out(u);
	if (a->latches & LATCH_TIMER) {
		actor_arm(a, 0);
		exchange_release_body(x);
	}
	sent_before = x->now.sent;
	if (!send_request(u)) {
		/* What was never asked, nothing can answer. */
		if (x->now.sent == 0)
			return upstream_lost(u);
		/* A response may lie in front of the reset. */
		u->write_failed = true;
	}
	if (a->held)
		return UPSTREAM_SENDING;
	if (exchange_all_sent(x) && !u->write_failed) {
		expect_byte(u);
		return UPSTREAM_AWAITING;
	}
	withheld = x->now.body_withheld;
	next = look_for_response(u, UPSTREAM_SENDING);
	if (next == UPSTREAM_READING && u->write_failed)
		x->unwanted = true;
	if (next == UPSTREAM_SENDING && withheld && !x->now.body_withheld)
		return upstream_sending(u); /* the 100 came */
	if (next == UPSTREAM_SENDING)
		arm_while_sending(u, sent_before);
	return next;
}

/* In:  AWAITING, readable.  Out: READING (a final response begins), SPENT. */
enum upstream_state
upstream_awaiting(struct upstream *u)
{
	struct proxy_actor *a = &u->actor;
	enum upstream_state next;
	size_t received;

	if (a->exchange == NULL)
		return UPSTREAM_SPENT;
	if (a->latches & LATCH_TIMER)
		return upstream_timed_out(u);
	received = a->exchange->now.received;
	next = look_for_response(u, UPSTREAM_AWAITING);
	if (next == UPSTREAM_AWAITING && a->exchange->now.received != received)
		expect_byte(u);
	return next;
}

/* How long may the connection be idle?  Returns: false: not at all. */
static bool
allowed_idle(struct upstream *u, const struct response *r)
{
	const struct proxy_options *o = upstream_options(u);

	u->idle_ms = o->idle_timeout_ms;
	if (o->honour_keep_alive && r->has_hint) {
		int ms = r->hint_ms - o->keep_alive_margin_ms;

		if (ms <= 0)
			return false;
		if (u->idle_ms == 0 || ms < u->idle_ms)
			u->idle_ms = ms;
	}
	if (o->honour_keep_alive && r->has_max) {
		if (r->max == 0)
			return false;
		if (u->uses_max == 0 || u->n_uses + r->max < u->uses_max)
			u->uses_max = u->n_uses + r->max;
	}
	return u->uses_max == 0 || u->n_uses < u->uses_max;
}

/* The response is whole. */
static enum upstream_state
finished(struct upstream *u)
{
	struct exchange *x = u->actor.exchange;
	const struct response *r = &x->response;
	bool again = exchange_all_sent(x) && !x->asks_close &&
	    !r->announces_close && !r->odd && !x->odd_interim && !x->tunnel &&
	    r->framing != FRAMING_CLOSE && buffer_size(&x->answer.in) == 0 &&
	    u->actor.error == 0 && !u->actor.peer_closed && allowed_idle(u, r);

	x->unwanted = !exchange_all_sent(x);
	settle(u, ATTEMPT_GOOD);
	return again ? UPSTREAM_IDLE : UPSTREAM_SPENT;
}

/* Follow the response through what was read.  Out: READING (all of it used),
 * IDLE, SPENT. */
static enum upstream_state
use_input(struct upstream *u)
{
	struct exchange *x = u->actor.exchange;
	enum response_progress progress;

	if (u->actor.proxy->draining)
		x->close = true;
	progress = response_reader_read(&x->answer, x, upstream_head_bytes(u));
	actor_drained(&u->actor, &x->answer.in);
	switch (progress) {
	case RESPONSE_WHOLE:
		return finished(u);
	case RESPONSE_NO_MEMORY:
		return upstream_lacks_memory(u);
	case RESPONSE_STRAY:
	case RESPONSE_INVALID:
		return upstream_lost(u);
	case RESPONSE_MORE:
	case RESPONSE_BEGINS:
		break;
	}
	actor_poke(x->session);
	return x->tunnel ? UPSTREAM_TUNNELLING : UPSTREAM_READING;
}

/* The backend sent FIN, or worse.  Only a FIN can complete anything, and only
 * where nothing else delimits the response. */
static enum upstream_state
reading_ended(struct upstream *u)
{
	if (u->actor.error != 0)
		return upstream_lost(u);
	switch (response_reader_finish(
	    &u->actor.exchange->answer, u->actor.exchange)) {
	case RESPONSE_WHOLE:
		return finished(u);
	case RESPONSE_NO_MEMORY:
		return upstream_lacks_memory(u);
	default:
		return upstream_lost(u);
	}
}

/* Read what there is, as long as the client's side takes it.
 * Out: READING (all was used), IDLE, SPENT. */
static enum upstream_state
read_on(struct upstream *u)
{
	struct exchange *x = u->actor.exchange;
	enum upstream_state next;
	struct io_result r;

	for (;;) {
		if (response_reader_has_news(&x->answer)) {
			next = use_input(u);
			if (next != UPSTREAM_READING)
				return next;
		}
		r = fill(u);
		if (r.outcome == IO_EOF || r.outcome == IO_FAILED)
			return reading_ended(u);
		if (r.outcome == IO_AGAIN)
			return UPSTREAM_READING;
	}
}

/* In:  READING, something to read.  Out: IDLE (whole, may be reused), SPENT. */
enum upstream_state
upstream_reading(struct upstream *u)
{
	struct proxy_actor *a = &u->actor;
	struct exchange *x = a->exchange;
	enum upstream_state next;

	if (x == NULL)
		return UPSTREAM_SPENT;
	if (a->latches & LATCH_TIMER)
		return upstream_timed_out(u);
	/* The response may have begun before the request's end. */
	if (!exchange_all_sent(x) && !x->unwanted && !send_request(u))
		u->write_failed = x->unwanted = true;
	next = read_on(u);
	if (next != UPSTREAM_READING)
		return next;
	if (exchange_takes_content(x) && (x->whole || x->unwanted))
		expect_byte(u);
	else
		actor_arm(a, 0); /* the client is slow, not the backend */
	return UPSTREAM_READING;
}

/* Both ways at once, without a message's bounds. */
static enum upstream_state
tunnel_through(struct upstream *u)
{
	struct exchange *x = u->actor.exchange;
	enum upstream_state next;
	struct io_result r;

	if (!send_request(u))
		return upstream_lost(u);
	if (exchange_all_sent(x) && !u->shut) {
		u->shut = true;
		shutdown(u->actor.fd, SHUT_WR);
	}
	do {
		next = response_reader_has_news(&x->answer)
		    ? use_input(u)
		    : UPSTREAM_TUNNELLING;
		if (next != UPSTREAM_TUNNELLING)
			return next;
		r = fill(u);
	} while (r.outcome == IO_DONE);
	return r.outcome == IO_AGAIN ? UPSTREAM_TUNNELLING : reading_ended(u);
}

/* In:  TUNNELLING: the backend has switched protocols.  Out: SPENT (it has
 * closed, or nothing moved for too long). */
enum upstream_state
upstream_tunnelling(struct upstream *u)
{
	struct proxy_actor *a = &u->actor;
	size_t sent, received;
	enum upstream_state next;

	if (a->exchange == NULL)
		return UPSTREAM_SPENT;
	if (a->latches & LATCH_TIMER)
		return upstream_timed_out(u);
	sent = a->exchange->now.sent;
	received = a->exchange->now.received;
	next = tunnel_through(u);
	if (next == UPSTREAM_TUNNELLING &&
	    (!a->armed || a->exchange->now.sent != sent ||
		a->exchange->now.received != received))
		actor_arm(a, upstream_options(u)->tunnel_timeout_ms);
	return next;
}
