/* session_serve.c - a session with a request: it chooses a connection, relays
 * in both directions, and judges what became of the attempt.  The picture is in
 * session.c.
 */
#include "proxy/session_states.h"

#include <limits.h>
#include <string.h>

#include "proxy/reply.h"
#include "proxy/upstream.h"

/* pooled connections that may prove dead before a fresh one is taken */
enum { DEAD_MAX = 2 };

static void
ask(struct session *s, size_t place)
{
	struct proxy *p = s->actor.proxy;
	const struct server *before = s->server;

	s->server = &p->servers[place % p->n_servers];
	s->x->proven &= s->server == before;
	s->x->account.upstream = (size_t)(s->server - p->servers);
	s->n_servers++;
}

/* The servers take turns; who failed is followed by its neighbour. */
static void
ask_next(struct session *s)
{
	ask(s, (size_t)(s->server - s->actor.proxy->servers) + 1);
}

/* The attempt failed.  Out: CHOOSING, BACKING_OFF (again), ANSWERING (the
 * client is told), RELAYING (what was received is given, then cut). */
static enum session_state
judge(struct session *s)
{
	const struct proxy_options *o = session_options(s);
	struct exchange *x = s->x;
	unsigned left = s->n_retries < (unsigned)o->retries
	    ? (unsigned)o->retries - s->n_retries
	    : 0;
	struct proxy_event e = actor_event(&s->actor, PROXY_ATTEMPT);
	struct retry_decision d;
	struct reply r;

	x->now.fresh_unsent_before = s->fresh_unsent;
	x->now.others_left = s->n_servers < s->actor.proxy->n_servers;
	s->fresh_unsent |= !x->now.reused && x->now.sent == 0;
	d = retry_decide(o->retry, &x->facts, &x->now, left);
	actor_arm(&s->actor, 0);
	e.upstream = x->upstream;
	e.facts = &x->now;
	e.decision = &d;
	actor_tell(&s->actor, &e);
	x->state = ATTEMPT_NONE;
	if (x->now.expect_refused && d.action != RETRY_GIVE_UP &&
	    !exchange_drop_expect(x, o))
		return session_refuse(s, 503, "out of memory");
	switch (d.action) {
	case RETRY_ELSEWHERE:
		x->again = d.why;
		s->n_dead++;
		if (x->now.expect_refused || x->now.probe_answered)
			s->only_fresh = true;
		else if (!x->now.reused)
			ask_next(s);
		return SESSION_CHOOSING;
	case RETRY_AGAIN:
		x->again = d.why;
		s->n_retries++;
		s->only_fresh = true;
		ask_next(s);
		return o->backoff_ms > 0 ? SESSION_BACKING_OFF
					 : SESSION_CHOOSING;
	case RETRY_GIVE_UP:
		break;
	}
	r = reply_to_failure(&x->now, x->invalid, d.why);
	session_blame(s,
	    strcmp(r.error, "proxy_internal_error") == 0 ? 'I'
		: x->now.timed_out			 ? 'u'
							 : 'U',
	    r.details);
	if (!x->final_given)
		return session_answer(s, r);
	s->cut = true;
	return SESSION_RELAYING;
}

/* The response is whole: tell it once. */
static void
approve(struct session *s)
{
	struct proxy_event e = actor_event(&s->actor, PROXY_ATTEMPT);

	if (s->approved)
		return;
	s->approved = true;
	e.upstream = s->x->upstream;
	e.facts = &s->x->now;
	actor_tell(&s->actor, &e);
}

/* Follow the request's body through what is in the buffer. */
static enum session_state
use_body(struct session *s)
{
	const char *why;
	size_t used;
	int status;

	if (request_reader_body(&s->x->reader, s->x, &used, &status, &why) ==
	    REQUEST_BAD)
		return session_refuse(s, status, why);
	actor_drained(&s->actor, &s->x->reader.in);
	if (s->x->carrier != NULL && (used > 0 || s->x->whole))
		actor_poke(upstream_actor(s->x->carrier));
	return SESSION_RELAYING;
}

/* An OPTIONS or TRACE that goes no further (RFC 9110 7.6.2). */
static enum session_state
answer_as_last(struct session *s)
{
	struct exchange *x = s->x;
	struct reply r = {
		.status = 200, .details = "Max-Forwards was 0", .content = ""
	};

	if (!x->request.is_trace)
		return session_answer(s, r);
	buffer_truncate(&x->up, 0); /* it is not needed for anything else */
	if (!request_reflect(&x->request, buffer_bytes(&x->head),
		buffer_size(&x->head), &x->up))
		return session_refuse(s, 503, "out of memory");
	r.type = "message/http";
	r.content = buffer_bytes(&x->up);
	r.content_size = buffer_size(&x->up);
	return session_answer(s, r);
}

enum session_state
session_serve(struct session *s)
{
	struct proxy *p = s->actor.proxy;
	enum session_state next;

	s->cut = s->only_fresh = s->approved = s->fresh_unsent = false;
	s->n_dead = s->n_servers = 0;
	/* A bodiless request is whole now. */
	next = use_body(s);
	if (next != SESSION_RELAYING)
		return next;
	if (s->x->request.forwards == 0)
		return answer_as_last(s);
	ask(s, p->turn);
	p->turn = (p->turn + 1) % p->n_servers;
	return SESSION_CHOOSING;
}

static bool
may_ride_pooled(const struct session *s)
{
	const struct proxy_options *o = session_options(s);
	const struct exchange *x = s->x;

	if (s->only_fresh ||
	    reuse_decide(o->reuse, &x->facts).action != RETRY_AGAIN)
		return false;
	/* Without a body, no 100 could tell in time. */
	return o->probe_unsafe == PROBE_NONE || x->facts.idempotent ||
	    (o->probe_unsafe == PROBE_EXPECT &&
		x->request.framing != FRAMING_NONE);
}

/* In:  CHOOSING.  Out: RELAYING; an attempt is under way, or has failed at
 * once. */
enum session_state
session_choosing(struct session *s)
{
	struct proxy *p = s->actor.proxy;
	bool may_ride = may_ride_pooled(s);
	struct pool_entry *e;
	struct upstream *u;

	s->x->account.n_retries = s->n_retries; /* this one is made */
	while (may_ride && s->n_dead < DEAD_MAX &&
	    (e = pool_take(&s->server->pool)) != NULL) {
		u = upstream_of_entry(e);
		if (p->options.verify == VERIFY_NONE ||
		    upstream_looks_alive(u)) {
			upstream_ride(u, s->x);
			upstream_open_spares(p, s->server);
			return SESSION_RELAYING;
		}
		upstream_retire(u);
		s->n_dead++;
	}
	upstream_open(p, s->server, s->x);
	upstream_open_spares(p, s->server);
	return SESSION_RELAYING;
}

/* ------------------------------------------------------------ relaying ---- */

/* The client sends no more.  That ends a tunnel's one direction, but no body.
 */
static enum session_state
end_of_body(struct session *s)
{
	if (!s->x->tunnel)
		return session_refuse(s, 400, "half a request body");
	exchange_end_body(s->x);
	if (s->x->carrier != NULL)
		actor_poke(upstream_actor(s->x->carrier));
	return SESSION_RELAYING;
}

/* Take what the client sends: the rest of this request, and then, as far as
 * there is room, the next ones.  Reading on is also what shows that the client
 * is gone.  Out: RELAYING to go on. */
static enum session_state
take_request(struct session *s, bool *progress)
{
	struct io_result r;
	enum session_state next;

	do {
		/* The response came first; the connection ends after it. */
		if (!s->x->whole && s->x->unwanted)
			buffer_truncate(&s->x->reader.in, 0);
		else if (!s->x->whole && exchange_takes_body(s->x)) {
			next = use_body(s);
			if (next != SESSION_RELAYING)
				return next;
		}
		r = session_fill(s);
		/* What nobody waits for does not get the exchange on. */
		*progress |=
		    r.outcome == IO_DONE && !s->x->whole && !s->x->unwanted;
	} while (r.outcome == IO_DONE);
	if (r.outcome == IO_FAILED)
		return session_gone(s);
	if (s->client_eof && !s->x->whole && !s->x->unwanted &&
	    buffer_size(&s->x->reader.in) == 0)
		return end_of_body(s);
	return SESSION_RELAYING;
}

/* Give the client what there is.  Returns: false: it is gone. */
bool
session_give(struct session *s, bool *progress)
{
	struct exchange *x = s->x;
	bool was_full = !exchange_takes_content(x);
	struct io_result r;

	while (
	    buffer_size(&x->down) > 0 && (s->actor.latches & LATCH_WRITABLE)) {
		r = actor_write(
		    &s->actor, buffer_bytes(&x->down), buffer_size(&x->down));
		if (r.outcome == IO_FAILED)
			return false;
		exchange_was_given(x, r.n);
		*progress |= r.n > 0;
	}
	if (was_full && exchange_takes_content(x) && x->carrier != NULL)
		actor_poke(upstream_actor(x->carrier));
	return true;
}

/* As exchange.h has it. */
size_t
session_give_now(struct proxy_actor *a, const char *bytes, size_t size)
{
	struct session *s = (struct session *)a;
	size_t before = buffer_size(&s->x->down);
	struct io_result r;

	if (a->state != SESSION_RELAYING || a->held ||
	    (a->latches & LATCH_WRITABLE) == 0)
		return 0;
	/* It fails again when the session looks. */
	r = actor_write_two(a, buffer_bytes(&s->x->down), before, bytes, size);
	actor_poke(a);
	if (r.outcome != IO_DONE)
		return 0;
	exchange_was_given(s->x, r.n < before ? r.n : before);
	if (r.n <= before)
		return 0;
	exchange_gave(s->x, r.n - before);
	return r.n - before;
}

/* The clock runs against the client while it is the one to move. */
static void
arm_while_relaying(struct session *s, bool progress)
{
	const struct exchange *x = s->x;
	bool may_send = !x->whole && !x->unwanted && !x->tunnel &&
	    exchange_takes_body(x) &&
	    !(x->request.expects_continue && x->n_body == 0);

	if (buffer_size(&x->down) == 0 && !may_send)
		actor_arm(&s->actor, 0);
	else if (progress || !s->actor.armed)
		session_expect_client(s);
}

enum session_state
session_client_timed_out(struct session *s)
{
	if (!s->x->final_given && buffer_size(&s->x->down) == 0)
		return session_refuse(s, 408, "the request body took too long");
	session_blame(s, 'c', "the client took too long");
	return session_gone(s);
}

/* In:  RELAYING, an attempt under way or over.  Out: CHOOSING, BACKING_OFF
 * (it failed, again), ANSWERING (it failed), WAITING, LINGERING (whole and
 * given), ENDED (cut, or the client is gone). */
enum session_state
session_relaying(struct session *s)
{
	struct exchange *x = s->x;
	bool progress = false;
	enum session_state next;

	if (s->actor.latches & LATCH_TIMER)
		return session_client_timed_out(s);
	next = take_request(s, &progress);
	if (next != SESSION_RELAYING)
		return next;
	if (x->state == ATTEMPT_FAILED) {
		next = judge(s);
		if (next != SESSION_RELAYING)
			return next;
	}
	if (x->state == ATTEMPT_GOOD)
		approve(s);
	if (!session_give(s, &progress))
		return session_gone(s);
	if (buffer_size(&x->down) == 0 && s->cut) {
		s->actor.reset = x->ends_by_close;
		return SESSION_ENDED;
	}
	if (buffer_size(&x->down) == 0 && x->state == ATTEMPT_GOOD)
		return session_next_request(s);
	arm_while_relaying(s, progress);
	return SESSION_RELAYING;
}

/* In:  BACKING_OFF.  Out: CHOOSING (the time has come), ENDED. */
enum session_state
session_backing_off(struct session *s)
{
	unsigned doublings = s->n_retries > 16 ? 16 : s->n_retries - 1;
	int64_t ms = (int64_t)session_options(s)->backoff_ms << doublings;

	if (s->actor.latches & LATCH_TIMER) {
		actor_arm(&s->actor, 0);
		return SESSION_CHOOSING;
	}
	if (session_fill(s).outcome == IO_FAILED)
		return session_gone(s);
	if (!s->actor.armed)
		actor_arm(&s->actor, ms > INT_MAX ? INT_MAX : (int)ms);
	return SESSION_BACKING_OFF;
}
