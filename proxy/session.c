/* session.c - the session state machine.
 *
 *   WAITING ──> PARSING ──> CHOOSING ──> RELAYING ──whole──> WAITING …
 *      ^           │         ^    ^         │  │ └──last──> LINGERING
 *      │        refused      │    └─again───┘  │                │
 *      │           │     BACKING_OFF <──again──┤                v
 *      │           v                           │              ENDED
 *      └────── ANSWERING <──────given up───────┘
 *
 *   every state ──> ENDED: the client is gone
 *
 * What the client may be told follows from what it was given: as long as no
 * byte of a final response has left, it is told with an answer of our own;
 * afterwards it only sees its connection end short of the response's end.
 */
#include "proxy/session.h"

#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "proxy/exchange.h"
#include "proxy/internal.h"
#include "proxy/reply.h"
#include "proxy/upstream.h"

enum {
	READ_SIZE = 16384,
	/* pooled connections that may prove dead before a fresh one is taken */
	DEAD_MAX = 2
};

enum state {
#define X(symbol, function, wants) symbol,
	SESSION_STATES(X)
#undef X
};

struct session {
	struct proxy_actor actor; /* first */
	struct exchange *x;	  /* NULL between two requests */
	bool client_eof;	  /* it sends no more; it may still read */
	bool cut;		  /* end short of the response's end */
	bool approved;		  /* a good attempt was told */
	bool accounted;		  /* the exchange's account is open */
	bool lingers;
	unsigned n_retries;
	unsigned n_dead;   /* connections that proved dead */
	bool fresh_unsent; /* … and one of them was fresh */
	bool only_fresh;
	struct server *server; /* to be asked */
	size_t n_servers;      /* asked for this request */
};

#define X(symbol, function, wants)                         \
	static enum state function(struct session *);      \
	static int step_##function(struct proxy_actor *a)  \
	{                                                  \
		return (int)function((struct session *)a); \
	}
SESSION_STATES(X)
#undef X

static const struct actor_state states[] = {
#define X(symbol, function, wants) \
	[symbol] = { "session." #function, step_##function, wants },
	SESSION_STATES(X)
#undef X
};

static void release(struct proxy_actor *);

static const struct actor_machine machine = { states, ENDED, release, false };

static const struct proxy_options *
options_of(const struct session *s)
{
	return &s->actor.proxy->options;
}

static void
expect_client(struct session *s)
{
	actor_arm(&s->actor, options_of(s)->client_timeout_ms);
}

/* Read once into in, where there is room.  AGAIN also where there is none, or
 * where nothing more can come. */
static struct io_result
fill(struct session *s)
{
	struct io_result r = { IO_AGAIN, 0, 0 };
	size_t room = (size_t)options_of(s)->head_bytes;

	if (room < READ_SIZE)
		room = READ_SIZE;
	if ((s->actor.latches & LATCH_READABLE) == 0 ||
	    buffer_size(&s->x->reader.in) >= room)
		return r;
	if (s->client_eof) {
		/* A reset behind a FIN shows only here. */
		s->actor.latches &= ~(unsigned)LATCH_READABLE;
		r.error = io_take_error(s->actor.fd);
		if (r.error != 0)
			r.outcome = IO_FAILED;
		return r;
	}
	r = actor_fill(
	    &s->actor, &s->x->reader.in, room - buffer_size(&s->x->reader.in));
	if (r.outcome == IO_EOF)
		s->client_eof = true;
	return r;
}

/* ------------------------------------------------ the exchange's ends ---- */

/* Why does the exchange not come to its end?  The first reason counts. */
static void
blame(struct session *s, char who, const char *why)
{
	struct proxy_account *account = &s->x->account;

	if (account->who != '\0')
		return;
	account->who = who;
	account->when = exchange_phase(s->x);
	account->why = why;
}

static void
close_account(struct session *s)
{
	struct proxy_account *account = &s->x->account;
	struct proxy_event e;

	if (!s->accounted)
		return;
	s->accounted = false;
	if (!proxy_tells(s->actor.proxy, PROXY_DONE))
		return;
	if (account->who == '\0') {
		account->who = account->when = '-';
		account->why = "";
	}
	if (!s->x->final_given)
		account->status = 0;
	account->received = buffer_size(&s->x->head) + s->x->n_body;
	account->n_retries = s->n_retries;
	account->done_us = proxy_now_us(s->actor.proxy);
	s->actor.exchange = s->x;
	e = actor_event(&s->actor, PROXY_DONE);
	e.account = account;
	actor_tell(&s->actor, &e);
}

/* Nobody waits for the attempt under way. */
static void
abandon(struct session *s)
{
	struct retry_decision d = { RETRY_GIVE_UP, "the client is gone" };
	struct proxy_event e;

	if (s->x == NULL || s->x->state != ATTEMPT_RUNNING ||
	    s->x->carrier == NULL)
		return;
	e = actor_event(&s->actor, PROXY_ATTEMPT);
	s->x->now.received_final = s->x->now.received - s->x->n_interim_bytes;
	e.upstream = s->x->upstream;
	e.facts = &s->x->now;
	e.decision = &d;
	actor_tell(&s->actor, &e);
	upstream_abandon(s->x->carrier);
	s->x->state = ATTEMPT_NONE;
}

static enum state
gone(struct session *s)
{
	blame(s, 'C', "the client is gone");
	abandon(s);
	return ENDED;
}

/* An idle client needs no memory for a request. */
static void
drop_exchange(struct session *s)
{
	if (s->x == NULL || buffer_size(&s->x->reader.in) > 0)
		return;
	proxy_give_exchange(s->actor.proxy, s->x);
	s->x = NULL;
}

/* The client has its answer; what comes next?  A close in front of unread
 * bytes would be a reset and could destroy the answer (RFC 9112 9.6). */
static enum state
next_request(struct session *s)
{
	actor_arm(&s->actor, 0);
	close_account(s);
	s->actor.exchange = NULL;
	if (!s->x->close && !s->actor.proxy->draining) {
		drop_exchange(s);
		return WAITING;
	}
	return s->client_eof ? ENDED : LINGERING;
}

/* Answer in the backend's stead.  Needs: nothing of a final response given.
 */
static enum state
answer(struct session *s, struct reply r)
{
	struct exchange *x = s->x;

	abandon(s);
	actor_arm(&s->actor, 0);
	exchange_withdraw(x);
	if (!x->whole || s->actor.proxy->draining)
		x->close = true;
	r.close = x->close;
	r.keep_alive = x->request.minor == 0;
	r.to_head = x->request.is_head;
	x->account.status = r.status;
	if (!reply_write(&r, &x->down))
		return ENDED;
	return ANSWERING;
}

/* The request itself is at fault: what follows it cannot be trusted. */
static enum state
refuse(struct session *s, int status, const char *why)
{
	struct reply r = { .status = status,
		.error = status == 503 ? "proxy_internal_error"
				       : "http_request_error",
		.details = why };

	blame(s, status == 503 ? 'I' : status == 408 ? 'c' : 'P', why);
	if (s->x->final_given)
		return gone(s);
	s->x->close = true;
	return answer(s, r);
}

/* Whom to ask next: the servers take turns. */
static void
take_turn(struct session *s)
{
	struct proxy *p = s->actor.proxy;

	s->server = &p->servers[p->turn];
	p->turn = (p->turn + 1) % p->n_servers;
	s->x->account.upstream = (size_t)(s->server - p->servers);
	s->n_servers++;
}

/* The attempt failed.  Out: CHOOSING, BACKING_OFF (again), ANSWERING (the
 * client is told), RELAYING (what was received is given, then cut). */
static enum state
judge(struct session *s)
{
	const struct proxy_options *o = options_of(s);
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
	switch (d.action) {
	case RETRY_ELSEWHERE:
		s->n_dead++;
		if (!x->now.reused)
			take_turn(s);
		return CHOOSING;
	case RETRY_AGAIN:
		s->n_retries++;
		s->only_fresh = true;
		take_turn(s);
		return o->backoff_ms > 0 ? BACKING_OFF : CHOOSING;
	case RETRY_GIVE_UP:
		break;
	}
	r = reply_to_failure(&x->now, x->invalid, d.why);
	blame(s,
	    r.status == 503	   ? 'I'
		: x->now.timed_out ? 'u'
				   : 'U',
	    r.details);
	if (!x->final_given)
		return answer(s, r);
	s->cut = true;
	return RELAYING;
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

/* ------------------------------------------------------------ requests ---- */

/* Is there the beginning of a request?  What lies here already was sent behind
 * the previous one.  AGAIN: there is none. */
static struct io_result
await_request(struct session *s)
{
	struct io_result r = { IO_AGAIN, 0, 0 };

	if (s->x == NULL && (s->actor.latches & LATCH_READABLE)) {
		s->x = proxy_take_exchange(s->actor.proxy);
		if (s->x == NULL)
			return (struct io_result){ IO_FAILED, 0, ENOMEM };
		s->x->session = &s->actor;
	}
	if (s->x == NULL)
		return r;
	do {
		if (request_reader_begin(&s->x->reader))
			return (struct io_result){ IO_DONE, 0, 0 };
		r = fill(s);
	} while (r.outcome == IO_DONE);
	return r;
}

/* In:  WAITING, between two requests.  Out: PARSING (bytes of the next), ENDED
 * (the client left, its time is over, we are draining). */
static enum state
waiting(struct session *s)
{
	struct io_result r = await_request(s);

	if (r.outcome == IO_AGAIN && !s->client_eof &&
	    !s->actor.proxy->draining &&
	    (s->actor.latches & LATCH_TIMER) == 0) {
		drop_exchange(s);
		expect_client(s);
		return WAITING;
	}
	if (r.outcome != IO_DONE)
		return ENDED;
	exchange_reset(s->x);
	s->accounted = true;
	s->x->account.begun_us = proxy_now_us(s->actor.proxy);
	s->n_retries = 0;
	actor_arm(&s->actor, options_of(s)->head_timeout_ms);
	return PARSING;
}

/* Follow the request's body through what is in the buffer. */
static enum state
use_body(struct session *s)
{
	const char *why;
	size_t used;
	int status;

	if (request_reader_body(&s->x->reader, s->x, &used, &status, &why) ==
	    REQUEST_BAD)
		return refuse(s, status, why);
	if (s->x->carrier != NULL && (used > 0 || s->x->whole))
		actor_poke(upstream_actor(s->x->carrier));
	return RELAYING;
}

/* A complete head is in front of the reader. */
static enum state
begin_exchange(struct session *s)
{
	const char *why;
	enum state next;
	int status = exchange_begin(s->x, options_of(s), &why);

	if (status != 0)
		return refuse(s, status, why);
	s->cut = s->only_fresh = s->approved = s->fresh_unsent = false;
	s->n_dead = s->n_servers = 0;
	s->x->account.asked_us = proxy_now_us(s->actor.proxy);
	take_turn(s);
	s->x->serial = ++s->actor.proxy->n_exchanges;
	s->actor.exchange = s->x;
	actor_arm(&s->actor, 0);
	/* What came with the head goes with it; a bodiless request is whole. */
	next = use_body(s);
	return next == RELAYING ? CHOOSING : next;
}

/* In:  PARSING, bytes of a request.  Out: CHOOSING (its head is complete),
 * ANSWERING (refused), ENDED. */
static enum state
parsing(struct session *s)
{
	size_t head_bytes = (size_t)options_of(s)->head_bytes;
	struct io_result r;
	const char *why;
	int status;

	for (;;) {
		switch (request_reader_head(
		    &s->x->reader, head_bytes, &status, &why)) {
		case REQUEST_BAD:
			return refuse(s, status, why);
		case REQUEST_HEAD:
			return begin_exchange(s);
		default:
			break;
		}
		r = fill(s);
		if (r.outcome == IO_FAILED)
			return gone(s);
		if (r.outcome != IO_DONE)
			break;
	}
	if (s->client_eof)
		return refuse(s, 400, "half a request");
	if (s->actor.latches & LATCH_TIMER)
		return refuse(s, 408, "the request head took too long");
	return PARSING;
}

static bool
may_ride_pooled(const struct session *s)
{
	const struct proxy_options *o = options_of(s);
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
static enum state
choosing(struct session *s)
{
	struct proxy *p = s->actor.proxy;
	bool may_ride = may_ride_pooled(s);
	struct pool_entry *e;
	struct upstream *u;

	while (may_ride && s->n_dead < DEAD_MAX &&
	    (e = pool_take(&s->server->pool)) != NULL) {
		u = upstream_of_entry(e);
		if (p->options.verify == VERIFY_NONE ||
		    upstream_looks_alive(u)) {
			upstream_ride(u, s->x);
			upstream_open_spares(p, s->server);
			return RELAYING;
		}
		upstream_retire(u);
		s->n_dead++;
	}
	upstream_open(p, s->server, s->x);
	upstream_open_spares(p, s->server);
	return RELAYING;
}

/* ------------------------------------------------------------ relaying ---- */

/* The client sends no more.  That ends a tunnel's one direction, but no body.
 */
static enum state
end_of_body(struct session *s)
{
	if (!s->x->tunnel)
		return refuse(s, 400, "half a request body");
	exchange_end_body(s->x);
	if (s->x->carrier != NULL)
		actor_poke(upstream_actor(s->x->carrier));
	return RELAYING;
}

/* Take what the client sends: the rest of this request, and then, as far as
 * there is room, the next ones.  Reading on is also what shows that the client
 * is gone.  Out: RELAYING to go on. */
static enum state
take_request(struct session *s, bool *progress)
{
	struct io_result r;
	enum state next;

	do {
		/* The response came first; the connection ends after it. */
		if (!s->x->whole && s->x->unwanted)
			buffer_truncate(&s->x->reader.in, 0);
		else if (!s->x->whole && exchange_takes_body(s->x)) {
			next = use_body(s);
			if (next != RELAYING)
				return next;
		}
		r = fill(s);
		*progress |= r.outcome == IO_DONE;
	} while (r.outcome == IO_DONE);
	if (r.outcome == IO_FAILED)
		return gone(s);
	if (s->client_eof && !s->x->whole && !s->x->unwanted &&
	    buffer_size(&s->x->reader.in) == 0)
		return end_of_body(s);
	return RELAYING;
}

/* Give the client what there is.  Returns: false: it is gone. */
static bool
give(struct session *s, bool *progress)
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
		expect_client(s);
}

static enum state
client_timed_out(struct session *s)
{
	if (!s->x->final_given && buffer_size(&s->x->down) == 0)
		return refuse(s, 408, "the request body took too long");
	blame(s, 'c', "the client took too long");
	return gone(s);
}

/* In:  RELAYING, an attempt under way or over.  Out: CHOOSING, BACKING_OFF
 * (it failed, again), ANSWERING (it failed), WAITING, LINGERING (whole and
 * given), ENDED (cut, or the client is gone). */
static enum state
relaying(struct session *s)
{
	struct exchange *x = s->x;
	bool progress = false;
	enum state next;

	if (s->actor.latches & LATCH_TIMER)
		return client_timed_out(s);
	next = take_request(s, &progress);
	if (next != RELAYING)
		return next;
	if (x->state == ATTEMPT_FAILED) {
		next = judge(s);
		if (next != RELAYING)
			return next;
	}
	if (x->state == ATTEMPT_GOOD)
		approve(s);
	if (!give(s, &progress))
		return gone(s);
	if (buffer_size(&x->down) == 0 && s->cut) {
		s->actor.reset = x->ends_by_close;
		return ENDED;
	}
	if (buffer_size(&x->down) == 0 && x->state == ATTEMPT_GOOD)
		return next_request(s);
	arm_while_relaying(s, progress);
	return RELAYING;
}

/* In:  BACKING_OFF.  Out: CHOOSING (the time has come), ENDED. */
static enum state
backing_off(struct session *s)
{
	unsigned doublings = s->n_retries > 16 ? 16 : s->n_retries - 1;
	int64_t ms = (int64_t)options_of(s)->backoff_ms << doublings;

	if (s->actor.latches & LATCH_TIMER) {
		actor_arm(&s->actor, 0);
		return CHOOSING;
	}
	if (fill(s).outcome == IO_FAILED)
		return gone(s);
	if (!s->actor.armed)
		actor_arm(&s->actor, ms > INT_MAX ? INT_MAX : (int)ms);
	return BACKING_OFF;
}

/* In:  ANSWERING, an answer of our own.  Out: WAITING, LINGERING, ENDED. */
static enum state
answering(struct session *s)
{
	bool progress = false;

	if (s->actor.latches & LATCH_TIMER)
		return client_timed_out(s);
	if (!give(s, &progress))
		return gone(s);
	if (buffer_size(&s->x->down) == 0)
		return next_request(s);
	expect_client(s);
	return ANSWERING;
}

/* In:  LINGERING: the last answer was given whole.  Out: ENDED (the client has
 * closed too, or took too long). */
static enum state
lingering(struct session *s)
{
	char discarded[4096];
	struct io_result r;

	if (!s->lingers) {
		s->lingers = true;
		shutdown(s->actor.fd, SHUT_WR);
		actor_arm(&s->actor, options_of(s)->linger_ms);
	}
	if (options_of(s)->linger_ms == 0 || (s->actor.latches & LATCH_TIMER))
		return ENDED;
	do
		r = actor_read(&s->actor, discarded, sizeof discarded);
	while (r.outcome == IO_DONE);
	return r.outcome == IO_AGAIN ? LINGERING : ENDED;
}

/* In:  ENDED.  Out: never; the driver releases it. */
static enum state
ended(struct session *s)
{
	return ENDED;
}

static void
release(struct proxy_actor *a)
{
	struct session *s = (struct session *)a;

	abandon(s);
	close_account(s);
	a->proxy->n_sessions--;
	actor_close(a);
	if (s->x != NULL) {
		buffer_truncate(&s->x->reader.in, 0);
		drop_exchange(s);
	}
	free(s);
}

bool
session_open(struct proxy *p, int fd)
{
	struct session *s = calloc(1, sizeof *s);
	unsigned long serial = p->n_opened_sessions + 1;

	if (s == NULL)
		return false;
	if (!actor_open(&s->actor, p, fd, &machine, WAITING, serial)) {
		free(s);
		return false;
	}
	p->n_opened_sessions = serial;
	p->n_sessions++;
	return true;
}

void
session_close(struct proxy_actor *a)
{
	a->reset = true;
	release(a);
}
