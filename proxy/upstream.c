/* upstream.c - the upstream connection state machine.
 *
 *   CONNECTING ─────> SENDING ──all sent──> AWAITING ──response──> READING
 *    │      │          ^ ^ └────────early response─────────────────^ │ │
 *    │      v          │ │                                           │ │
 *    │   VERIFYING ────┘ │                                TUNNELLING <─┘ 101
 *    │      ^            │                                           │
 *    └──> IDLE ──────────┘                                           │
 *  ahead   ^───────────────────whole, may be reused──────────────────┘
 *
 *   with verify options, a connection that is to send goes by VERIFYING
 *   every state ──> SPENT: the peer is gone, the time is over, nobody needs
 *   it any more, or it must not be used again
 *
 * Who takes a connection from the pool looks at it first; SENDING does not
 * look, it sends.  So a watcher that holds a connection on its way into
 * SENDING stands inside the window that no look can close.
 */
#include "proxy/upstream.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "proxy/exchange.h"
#include "proxy/internal.h"

enum {
	READ_SIZE = 65536,
	/* as much content is worth being read past the reader's buffer */
	DIRECT_SIZE = 8192,
	/* for a 100, until the body is sent without it (RFC 9110 10.1.1) */
	EXPECT_WAIT_MS = 1000
};

enum state {
#define X(symbol, function, wants) symbol,
	UPSTREAM_STATES(X)
#undef X
};

struct upstream {
	struct proxy_actor actor; /* first */
	struct server *server;
	struct pool_entry entry;
	unsigned n_uses;
	unsigned uses_max;	/* 0: no limit */
	int idle_ms;		/* how long it may be idle now, 0: no limit */
	struct exchange *probe; /* while VERIFYING */
	bool ahead;		/* it is being made without a request */
	bool dialled;		/* connect() was called */
	bool retired;
	bool write_failed;
	bool shut;    /* a tunnel's client sends no more */
	size_t limit; /* proxy_limit(); SIZE_MAX: none */
};

#define X(symbol, function, wants)                          \
	static enum state function(struct upstream *);      \
	static int step_##function(struct proxy_actor *a)   \
	{                                                   \
		return (int)function((struct upstream *)a); \
	}
UPSTREAM_STATES(X)
#undef X

static const struct actor_state states[] = {
#define X(symbol, function, wants) \
	[symbol] = { "upstream." #function, step_##function, wants },
	UPSTREAM_STATES(X)
#undef X
};

static void release(struct proxy_actor *);

static const struct actor_machine machine = { states, SPENT, release, true };

static const struct proxy_options *
options_of(const struct upstream *u)
{
	return &u->actor.proxy->options;
}

static size_t
head_bytes(const struct upstream *u)
{
	return (size_t)options_of(u)->head_bytes;
}

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

static void
end_probe(struct upstream *u)
{
	if (u->probe == NULL)
		return;
	buffer_truncate(&u->probe->reader.in, 0);
	proxy_give_exchange(u->actor.proxy, u->probe);
	u->probe = NULL;
}

static enum state
lost(struct upstream *u)
{
	settle(u, ATTEMPT_FAILED);
	return SPENT;
}

static enum state
timed_out(struct upstream *u)
{
	u->actor.exchange->now.timed_out = true;
	return lost(u);
}

/* What the proxy itself lacks is no fault of the backend. */
static enum state
out_of_memory(struct upstream *u)
{
	if (u->actor.error == 0)
		u->actor.error = ENOMEM;
	return lost(u);
}

/* The response's next byte is due. */
static void
expect_byte(struct upstream *u)
{
	actor_arm(&u->actor, options_of(u)->response_timeout_ms);
}

/* A connection that was made ahead is there, or will not be. */
static enum state
made_ahead(struct upstream *u, enum state next)
{
	u->ahead = false;
	u->server->n_ahead--;
	return next;
}

/* The connection may carry its exchange. */
static enum state
ready(struct upstream *u)
{
	struct proxy_actor *a = &u->actor;

	actor_arm(a, 0);
	if (options_of(u)->verify == VERIFY_OPTIONS && u->probe == NULL)
		return VERIFYING;
	end_probe(u);
	a->exchange->account.ready_us = proxy_now_us(a->proxy);
	return SENDING;
}

/* Dial, or ask what came of it. */
static struct io_result
dial(struct upstream *u)
{
	const unsigned both = LATCH_READABLE | LATCH_WRITABLE;
	struct proxy_actor *a = &u->actor;
	struct io_result r;

	/* An error shows as readable, too: without it, the kernel need not be
	 * asked. */
	if (u->dialled && (a->latches & both) == LATCH_WRITABLE)
		return (struct io_result){ IO_DONE, 0, 0 };
	r = io_connect(a->fd, u->server->address);
	/* On one machine it is made while connect() returns; to ask again is
	 * cheaper than to have the loop tell. */
	if (r.outcome == IO_AGAIN && !u->dialled)
		r = io_connect(a->fd, u->server->address);
	return r;
}

/* In:  CONNECTING, writable.  Out: SENDING, VERIFYING, IDLE (a spare one),
 * SPENT (refused, too late). */
static enum state
connecting(struct upstream *u)
{
	struct proxy_actor *a = &u->actor;
	struct io_result r;

	if (a->exchange == NULL && !u->ahead)
		return SPENT;
	if (a->latches & LATCH_TIMER)
		return u->ahead ? made_ahead(u, SPENT) : timed_out(u);
	r = dial(u);
	a->latches &= ~(unsigned)LATCH_WRITABLE;
	if (r.outcome == IO_FAILED && u->ahead)
		return made_ahead(u, SPENT);
	if (r.outcome == IO_FAILED) {
		a->error = r.error;
		/* Made, and reset before anybody looked. */
		a->peer_closed = r.error == ECONNRESET;
		return lost(u);
	}
	if (r.outcome == IO_AGAIN) {
		if (!u->dialled) {
			actor_arm(a, options_of(u)->connect_timeout_ms);
			actor_ask_for_writable(a);
		}
		u->dialled = true;
		return CONNECTING;
	}
	a->latches |= LATCH_WRITABLE;
	return u->ahead ? made_ahead(u, IDLE) : ready(u);
}

/* ------------------------------------------------------------- verifying -- */

static bool
begin_probe(struct upstream *u)
{
	u->probe = proxy_take_exchange(u->actor.proxy);
	if (u->probe == NULL)
		return false;
	exchange_reset(u->probe);
	actor_arm(&u->actor, options_of(u)->connect_timeout_ms);
	return exchange_begin_probe(u->probe, u->server->address);
}

/* Send the question and read its answer.  Returns: WHOLE, MORE, or another
 * word for: there will be none. */
static enum response_progress
probe(struct upstream *u)
{
	struct exchange *x = u->probe;
	enum response_progress progress;
	struct io_result r;
	const char *bytes;
	size_t size;

	bytes = exchange_unsent(x, &size);
	if (size > 0 && (u->actor.latches & LATCH_WRITABLE)) {
		r = actor_write(&u->actor, bytes, size);
		if (r.outcome == IO_FAILED)
			return RESPONSE_INVALID;
		exchange_was_sent(x, r.n);
	}
	for (;;) {
		progress = response_reader_look(&x->answer, x, head_bytes(u));
		if (progress == RESPONSE_BEGINS)
			progress =
			    response_reader_read(&x->answer, x, head_bytes(u));
		buffer_truncate(&x->down, 0); /* nobody wants to know it */
		if (progress != RESPONSE_MORE ||
		    (u->actor.latches & LATCH_READABLE) == 0)
			return progress;
		r = actor_fill(&u->actor, &x->answer.in, READ_SIZE);
		if (r.outcome == IO_AGAIN)
			return RESPONSE_MORE;
		if (r.outcome != IO_DONE)
			return RESPONSE_INVALID;
	}
}

/* In:  VERIFYING, an exchange waits for it.  Out: SENDING (the backend has
 * answered, and goes on), SPENT. */
static enum state
verifying(struct upstream *u)
{
	struct proxy_actor *a = &u->actor;
	enum response_progress progress;

	if (a->exchange == NULL)
		return SPENT;
	if (u->probe == NULL && !begin_probe(u))
		return out_of_memory(u);
	progress = a->latches & LATCH_TIMER ? RESPONSE_INVALID : probe(u);
	if (progress == RESPONSE_MORE)
		return VERIFYING;
	if (progress == RESPONSE_NO_MEMORY)
		return out_of_memory(u);
	if (progress == RESPONSE_WHOLE && !u->probe->response.announces_close &&
	    buffer_size(&u->probe->answer.in) == 0 && !a->peer_closed)
		return ready(u);
	/* For the exchange it is as good as closed: nothing was sent. */
	a->peer_closed = true;
	return lost(u);
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
	r = actor_fill(&u->actor, &x->answer.in, READ_SIZE);
	if (r.outcome == IO_DONE)
		x->now.received += r.n;
	if (r.error == ENOMEM)
		u->actor.error = ENOMEM;
	return r;
}

/* Read up to the beginning of a final response.  Out: READING (there it is),
 * stay (not yet), SPENT (none will come). */
static enum state
look_for_response(struct upstream *u, enum state stay)
{
	struct exchange *x = u->actor.exchange;
	size_t interim = x->n_interim_bytes;
	struct io_result r;

	for (;;) {
		switch (response_reader_look(&x->answer, x, head_bytes(u))) {
		case RESPONSE_BEGINS:
			x->account.answered_us = proxy_now_us(u->actor.proxy);
			return READING;
		case RESPONSE_MORE:
			break;
		case RESPONSE_NO_MEMORY:
			return out_of_memory(u);
		default:
			return lost(u);
		}
		if (x->n_interim_bytes != interim)
			actor_poke(x->session);
		r = fill(u);
		if (r.outcome == IO_AGAIN)
			return u->write_failed ? lost(u) : stay;
		if (r.outcome != IO_DONE)
			return lost(u);
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
static enum state
sending(struct upstream *u)
{
	struct proxy_actor *a = &u->actor;
	struct exchange *x = a->exchange;
	size_t sent_before;
	enum state next;
	bool withheld;

	if (x == NULL)
		return SPENT;
	if ((a->latches & LATCH_TIMER) && !x->now.body_withheld)
		return timed_out(u);
	if (a->latches & LATCH_TIMER) {
		actor_arm(a, 0);
		exchange_release_body(x);
	}
	sent_before = x->now.sent;
	if (!send_request(u)) {
		/* What was never asked, nothing can answer. */
		if (x->now.sent == 0)
			return lost(u);
		/* A response may lie in front of the reset. */
		u->write_failed = true;
	}
	if (a->held)
		return SENDING;
	if (exchange_all_sent(x) && !u->write_failed)
		return AWAITING;
	withheld = x->now.body_withheld;
	next = look_for_response(u, SENDING);
	if (next == READING)
		x->unwanted = true;
	if (next == SENDING && withheld && !x->now.body_withheld)
		return sending(u); /* the 100 came */
	if (next == SENDING)
		arm_while_sending(u, sent_before);
	return next;
}

/* In:  AWAITING, readable.  Out: READING (a final response begins), SPENT. */
static enum state
awaiting(struct upstream *u)
{
	struct proxy_actor *a = &u->actor;
	enum state next;

	if (a->exchange == NULL)
		return SPENT;
	if (a->latches & LATCH_TIMER)
		return timed_out(u);
	next = look_for_response(u, AWAITING);
	if (next == AWAITING)
		expect_byte(u);
	return next;
}

/* How long may the connection be idle?  Returns: false: not at all. */
static bool
allowed_idle(struct upstream *u, const struct response *r)
{
	const struct proxy_options *o = options_of(u);

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
static enum state
finished(struct upstream *u)
{
	const struct exchange *x = u->actor.exchange;
	const struct response *r = &x->response;
	bool again = exchange_all_sent(x) && !x->asks_close &&
	    !r->announces_close && !x->tunnel && r->framing != FRAMING_CLOSE &&
	    buffer_size(&x->answer.in) == 0 && u->actor.error == 0 &&
	    !u->actor.peer_closed && allowed_idle(u, r);

	settle(u, ATTEMPT_GOOD);
	return again ? IDLE : SPENT;
}

/* Follow the response through what was read.  Out: READING (all of it used),
 * IDLE, SPENT. */
static enum state
use_input(struct upstream *u)
{
	struct exchange *x = u->actor.exchange;

	if (u->actor.proxy->draining)
		x->close = true;
	switch (response_reader_read(&x->answer, x, head_bytes(u))) {
	case RESPONSE_WHOLE:
		return finished(u);
	case RESPONSE_STALE:
		x->now.stale_408 = true;
		return lost(u);
	case RESPONSE_NO_MEMORY:
		return out_of_memory(u);
	case RESPONSE_INVALID:
		return lost(u);
	case RESPONSE_MORE:
	case RESPONSE_BEGINS:
		break;
	}
	actor_poke(x->session);
	return x->tunnel ? TUNNELLING : READING;
}

/* The backend sent FIN, or worse.  Only a FIN can complete anything, and only
 * where nothing else delimits the response. */
static enum state
reading_ended(struct upstream *u)
{
	if (u->actor.error != 0)
		return lost(u);
	switch (response_reader_finish(
	    &u->actor.exchange->answer, u->actor.exchange)) {
	case RESPONSE_WHOLE:
		return finished(u);
	case RESPONSE_NO_MEMORY:
		return out_of_memory(u);
	default:
		return lost(u);
	}
}

/* A long body goes straight to where the client's bytes are.
 * Out: READING to go on, IDLE, SPENT; *more: it was read without an end. */
static enum state
read_directly(struct upstream *u, size_t size, bool *more)
{
	struct exchange *x = u->actor.exchange;
	struct io_result r;

	if (size > READ_SIZE)
		size = READ_SIZE;
	*more = false;
	if ((u->actor.latches & LATCH_READABLE) == 0)
		return READING;
	if (buffer_reserve(&x->down, size) == NULL)
		return out_of_memory(u);
	r = actor_fill(&u->actor, &x->down, size);
	if (r.outcome == IO_EOF || r.outcome == IO_FAILED)
		return reading_ended(u);
	if (r.outcome == IO_AGAIN)
		return READING;
	*more = true;
	x->now.received += r.n;
	if (response_reader_skip(&x->answer, r.n) == RESPONSE_WHOLE)
		return finished(u);
	actor_poke(x->session);
	return READING;
}

/* Read what there is, as long as the client's side takes it.
 * Out: READING (all was used), IDLE, SPENT. */
static enum state
read_on(struct upstream *u)
{
	struct exchange *x = u->actor.exchange;
	enum state next;
	size_t direct;
	struct io_result r;
	bool more;

	for (;;) {
		if (response_reader_has_news(&x->answer)) {
			next = use_input(u);
			if (next != READING)
				return next;
		}
		direct = response_reader_direct(&x->answer, x);
		if (direct >= DIRECT_SIZE && exchange_takes_content(x)) {
			next = read_directly(u, direct, &more);
			if (next != READING || !more)
				return next;
			continue;
		}
		r = fill(u);
		if (r.outcome == IO_EOF || r.outcome == IO_FAILED)
			return reading_ended(u);
		if (r.outcome == IO_AGAIN)
			return READING;
	}
}

/* In:  READING, something to read.  Out: IDLE (whole, may be reused), SPENT. */
static enum state
reading(struct upstream *u)
{
	struct proxy_actor *a = &u->actor;
	struct exchange *x = a->exchange;
	enum state next;

	if (x == NULL)
		return SPENT;
	if (a->latches & LATCH_TIMER)
		return timed_out(u);
	next = read_on(u);
	if (next != READING)
		return next;
	if (exchange_takes_content(x))
		expect_byte(u);
	else
		actor_arm(a, 0); /* the client is slow, not the backend */
	return READING;
}

/* Both ways at once, without a message's bounds. */
static enum state
tunnel_through(struct upstream *u)
{
	struct exchange *x = u->actor.exchange;
	enum state next;
	struct io_result r;

	if (!send_request(u))
		return lost(u);
	if (exchange_all_sent(x) && !u->shut) {
		u->shut = true;
		shutdown(u->actor.fd, SHUT_WR);
	}
	do {
		next = response_reader_has_news(&x->answer) ? use_input(u)
							    : TUNNELLING;
		if (next != TUNNELLING)
			return next;
		r = fill(u);
	} while (r.outcome == IO_DONE);
	return r.outcome == IO_AGAIN ? TUNNELLING : reading_ended(u);
}

/* In:  TUNNELLING: the backend has switched protocols.  Out: SPENT (it has
 * closed, or nothing moved for too long). */
static enum state
tunnelling(struct upstream *u)
{
	struct proxy_actor *a = &u->actor;
	size_t sent, received;
	enum state next;

	if (a->exchange == NULL)
		return SPENT;
	if (a->latches & LATCH_TIMER)
		return timed_out(u);
	sent = a->exchange->now.sent;
	received = a->exchange->now.received;
	next = tunnel_through(u);
	if (next == TUNNELLING &&
	    (!a->armed || a->exchange->now.sent != sent ||
		a->exchange->now.received != received))
		actor_arm(a, options_of(u)->tunnel_timeout_ms);
	return next;
}

/* ------------------------------------------------------------------ idle -- */

/* Give the connection to the pool; who has no place there, goes. */
static void
park(struct upstream *u)
{
	struct pool_entry *out = pool_park(&u->server->pool, &u->entry);

	if (out != NULL)
		upstream_retire(upstream_of_entry(out));
	actor_arm(&u->actor, u->idle_ms);
}

/* In:  IDLE.  Out: SENDING, VERIFYING (an exchange was given), SPENT (it ended or spoke
 * out of turn, its time is over, nobody wants it). */
static enum state
idle(struct upstream *u)
{
	struct proxy_actor *a = &u->actor;
	char bytes[256];

	if (a->exchange != NULL)
		return ready(u);
	/* RFC 9112 9.2, 9.3: whatever comes now, answers nothing. */
	if (a->latches & LATCH_READABLE)
		u->retired |=
		    actor_read(a, bytes, sizeof bytes).outcome != IO_AGAIN;
	if (u->retired || (a->latches & LATCH_TIMER)) {
		pool_remove(&u->server->pool, &u->entry);
		return SPENT;
	}
	if (!u->entry.parked)
		park(u);
	return IDLE;
}

/* In:  SPENT.  Out: never; the driver releases it. */
static enum state
spent(struct upstream *u)
{
	return SPENT;
}

static void
release(struct proxy_actor *a)
{
	struct upstream *u = (struct upstream *)a;

	assert(a->exchange == NULL);
	if (u->ahead)
		made_ahead(u, SPENT);
	end_probe(u);
	pool_remove(&u->server->pool, &u->entry);
	a->proxy->n_upstreams--;
	actor_close(a);
	free(u);
}

/* A new connection to a server.  x NULL: a spare one.  Returns: NULL with the
 * error; told to the watcher is only what came to be. */
static struct upstream *
open_one(struct proxy *p, struct server *server, struct exchange *x, int *error)
{
	unsigned long serial = p->n_opened_upstreams + 1;
	struct upstream *u = calloc(1, sizeof *u);
	int fd = u == NULL ? -1 : io_socket();

	*error = u == NULL ? ENOMEM : errno;
	if (x != NULL) /* the watcher hears of the attempt as it opens */
		exchange_attempt(x, false, u, serial);
	if (fd >= 0) {
		u->server = server;
		u->limit = SIZE_MAX;
		u->ahead = x == NULL;
		u->n_uses = x != NULL;
		u->uses_max = (unsigned)p->options.max_uses;
		u->idle_ms = p->options.idle_timeout_ms;
		u->actor.exchange = x;
		if (actor_open(
			&u->actor, p, fd, &machine, CONNECTING, serial)) {
			p->n_opened_upstreams = serial;
			p->n_upstreams++;
			return u;
		}
		*error = ENOMEM;
		close(fd);
	}
	free(u);
	return NULL;
}

void
upstream_open(struct proxy *p, struct server *server, struct exchange *x)
{
	int error;

	if (open_one(p, server, x, &error) != NULL)
		return;
	x->upstream = 0;
	x->carrier = NULL;
	x->now.error = error;
	x->state = ATTEMPT_FAILED;
}

void
upstream_open_spares(struct proxy *p, struct server *server)
{
	size_t wanted = (size_t)p->options.spares;
	int error;

	while (server->pool.n + server->n_ahead < wanted) {
		server->n_ahead++;
		if (open_one(p, server, NULL, &error) == NULL) {
			server->n_ahead--;
			return;
		}
	}
}

void
upstream_ride(struct upstream *u, struct exchange *x)
{
	assert(u->actor.state == IDLE && u->actor.exchange == NULL);
	assert(!u->entry.parked);
	u->actor.exchange = x;
	u->n_uses++;
	exchange_attempt(x, true, u, u->actor.serial);
	actor_poke(&u->actor);
}

struct upstream *
upstream_of_entry(struct pool_entry *e)
{
	return (
	    struct upstream *)((char *)e - offsetof(struct upstream, entry));
}

bool
upstream_looks_alive(const struct upstream *u)
{
	return io_is_silent(u->actor.fd);
}

void
upstream_retire(struct upstream *u)
{
	pool_remove(&u->server->pool, &u->entry);
	u->retired = true;
	actor_poke(&u->actor);
}

void
upstream_abandon(struct upstream *u)
{
	u->actor.exchange->carrier = NULL;
	u->actor.exchange = NULL;
	u->retired = true;
	actor_poke(&u->actor);
}

void
upstream_close(struct proxy_actor *a)
{
	a->reset = true;
	release(a);
}

void
proxy_limit(struct proxy_actor *a, size_t size)
{
	assert(a->machine == &machine);
	((struct upstream *)a)->limit = size;
}

unsigned
upstream_n_uses(const struct upstream *u)
{
	return u->n_uses;
}

struct proxy_actor *
upstream_actor(struct upstream *u)
{
	return &u->actor;
}
