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
#include "proxy/upstream_states.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define X(symbol, function, wants)                                     \
	static int step_##function(struct proxy_actor *a)              \
	{                                                              \
		return (int)upstream_##function((struct upstream *)a); \
	}
UPSTREAM_STATES(X)
#undef X

static const struct actor_state states[] = {
#define X(symbol, function, wants) \
	[UPSTREAM_##symbol] = { "upstream." #function, step_##function, wants },
	UPSTREAM_STATES(X)
#undef X
};

static void release(struct proxy_actor *);

static const struct actor_machine machine = { states, UPSTREAM_SPENT, release,
	true };

static void
end_probe(struct upstream *u)
{
	if (u->probe == NULL)
		return;
	buffer_truncate(&u->probe->reader.in, 0);
	proxy_give_exchange(u->actor.proxy, u->probe);
	u->probe = NULL;
}

/* A connection that was made ahead is there, or will not be. */
static enum upstream_state
made_ahead(struct upstream *u, enum upstream_state next)
{
	u->ahead = false;
	u->server->n_ahead--;
	return next;
}

/* The connection may carry its exchange. */
static enum upstream_state
ready(struct upstream *u)
{
	struct proxy_actor *a = &u->actor;

	actor_arm(a, 0);
	if (upstream_options(u)->verify == VERIFY_OPTIONS && u->probe == NULL &&
	    !a->exchange->proven)
		return UPSTREAM_VERIFYING;
	a->exchange->now.verified = u->probe != NULL;
	end_probe(u);
	a->exchange->account.ready_us = proxy_now_us(a->proxy);
	return UPSTREAM_SENDING;
}

/* The address whose turn it is. */
static size_t
turn(const struct server *server, size_t n_tried)
{
	return (server->first + n_tried) % server->place->n;
}

static struct io_result
connect_to(const struct upstream *u)
{
	const struct place *place = u->server->place;
	size_t i = turn(u->server, u->n_tried);

	return io_connect(u->actor.fd, (const struct sockaddr *)&place->at[i],
	    place->size[i]);
}

/* This address has refused, or is silent: is there another one?  Then there is
 * a new socket for it. */
static bool
turns_to_next(struct upstream *u)
{
	const struct place *place = u->server->place;
	int fd = -1;

	while (fd < 0 && ++u->n_tried < place->n)
		fd =
		    io_socket(place->at[turn(u->server, u->n_tried)].ss_family);
	if (fd < 0)
		return false;
	actor_replace(&u->actor, fd);
	actor_arm(&u->actor, 0);
	u->dialled = false;
	return true;
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
	r = connect_to(u);
	/* On one machine it is made while connect() returns; to ask again is
	 * cheaper than to have the loop tell. */
	if (r.outcome == IO_AGAIN && !u->dialled)
		r = connect_to(u);
	return r;
}

/* What came of it is known.  A timeout may be the kernel's. */
static void
tell_server(struct upstream *u, bool timed_out)
{
	u->owes_outcome = false;
	if (timed_out)
		server_timed_out(
		    u->server, upstream_options(u)->connect_pause_ms);
	else
		server_replied(u->server);
}

/* In:  CONNECTING, writable.  Out: SENDING, VERIFYING, IDLE (a spare one),
 * SPENT (refused, too late). */
enum upstream_state
upstream_connecting(struct upstream *u)
{
	struct proxy_actor *a = &u->actor;
	struct io_result r;

	if (a->exchange == NULL && !u->ahead)
		return UPSTREAM_SPENT;
	if ((a->latches & LATCH_TIMER) && !turns_to_next(u)) {
		tell_server(u, true);
		return u->ahead ? made_ahead(u, UPSTREAM_SPENT)
				: upstream_timed_out(u);
	}
	do
		r = dial(u);
	while (r.outcome == IO_FAILED && turns_to_next(u));
	a->latches &= ~(unsigned)LATCH_WRITABLE;
	if (r.outcome != IO_AGAIN)
		tell_server(u, r.outcome == IO_FAILED && r.error == ETIMEDOUT);
	if (r.outcome == IO_FAILED && u->ahead)
		return made_ahead(u, UPSTREAM_SPENT);
	if (r.outcome == IO_FAILED) {
		a->error = r.error;
		/* Made, and reset before anybody looked. */
		a->peer_closed = r.error == ECONNRESET;
		return upstream_lost(u);
	}
	if (r.outcome == IO_AGAIN) {
		if (!u->dialled) {
			actor_arm(a, upstream_options(u)->connect_timeout_ms);
			actor_ask_for_writable(a);
		}
		u->dialled = true;
		return UPSTREAM_CONNECTING;
	}
	a->latches |= LATCH_WRITABLE;
	u->server->first = turn(u->server, u->n_tried);
	u->n_tried = 0;
	return u->ahead ? made_ahead(u, UPSTREAM_IDLE) : ready(u);
}

/* ------------------------------------------------------------- verifying -- */

static bool
begin_probe(struct upstream *u)
{
	u->probe = proxy_take_exchange(u->actor.proxy);
	if (u->probe == NULL)
		return false;
	exchange_reset(u->probe);
	actor_arm(&u->actor, upstream_options(u)->connect_timeout_ms);
	return exchange_begin_probe(u->probe, u->server->place);
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
		progress =
		    response_reader_look(&x->answer, x, upstream_head_bytes(u));
		if (progress == RESPONSE_BEGINS)
			progress = response_reader_read(
			    &x->answer, x, upstream_head_bytes(u));
		buffer_truncate(&x->down, 0); /* nobody wants to know it */
		if (progress != RESPONSE_MORE ||
		    (u->actor.latches & LATCH_READABLE) == 0)
			return progress;
		r = actor_fill(&u->actor, &x->answer.in, UPSTREAM_READ_SIZE);
		if (r.outcome == IO_AGAIN)
			return RESPONSE_MORE;
		if (r.outcome != IO_DONE)
			return RESPONSE_INVALID;
	}
}

/* The answer's head is there, and says that the connection ends behind it. */
static bool
is_last_answer(const struct exchange *x)
{
	return x->answer.has_head &&
	    (x->response.announces_close || x->response.odd ||
		x->response.framing == FRAMING_CLOSE);
}

/* The connection cannot carry the exchange.  But any answer proves that the
 * backend is alive: then a fresh one need not be asked.  Out: SPENT. */
static enum upstream_state
probe_ended(struct upstream *u)
{
	struct exchange *x = u->actor.exchange;

	x->now.probing = true;
	x->now.probe_answered = x->proven = u->probe->answer.has_head;
	/* For the exchange it is as good as closed: nothing was sent. */
	u->actor.peer_closed = true;
	if ((u->actor.latches & LATCH_TIMER) && !x->proven)
		return upstream_timed_out(u);
	return upstream_lost(u);
}

/* In:  VERIFYING, an exchange waits for it.  Out: SENDING (the backend has
 * answered, and goes on), SPENT. */
enum upstream_state
upstream_verifying(struct upstream *u)
{
	struct proxy_actor *a = &u->actor;
	enum response_progress progress;

	if (a->exchange == NULL)
		return UPSTREAM_SPENT;
	if (u->probe == NULL && !begin_probe(u))
		return upstream_lacks_memory(u);
	progress = a->latches & LATCH_TIMER ? RESPONSE_INVALID : probe(u);
	if (progress == RESPONSE_MORE && !is_last_answer(u->probe))
		return UPSTREAM_VERIFYING;
	if (progress == RESPONSE_NO_MEMORY)
		return upstream_lacks_memory(u);
	if (progress == RESPONSE_WHOLE && !is_last_answer(u->probe) &&
	    buffer_size(&u->probe->answer.in) == 0 && upstream_looks_alive(u))
		return ready(u);
	return probe_ended(u);
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
enum upstream_state
upstream_idle(struct upstream *u)
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
		return UPSTREAM_SPENT;
	}
	/* Who was cut short has not looked at what lies there. */
	if (!u->entry.parked && !a->cut_short)
		park(u);
	return UPSTREAM_IDLE;
}

/* In:  SPENT.  Out: never; the driver releases it. */
enum upstream_state
upstream_spent(struct upstream *u)
{
	return UPSTREAM_SPENT;
}

static void
release(struct proxy_actor *a)
{
	struct upstream *u = (struct upstream *)a;

	assert(a->exchange == NULL);
	if (u->ahead)
		made_ahead(u, UPSTREAM_SPENT);
	if (u->owes_outcome)
		server_gave_up(u->server);
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
	int fd = u == NULL
	    ? -1
	    : io_socket(server->place->at[server->first].ss_family);

	*error = u == NULL ? ENOMEM : errno;
	if (x != NULL) /* the watcher hears of the attempt as it opens */
		exchange_attempt(x, false, u, serial);
	if (fd >= 0) {
		u->server = server;
		u->owes_outcome = server->reach == SERVER_TRIED;
		u->limit = SIZE_MAX;
		u->ahead = x == NULL;
		u->n_uses = x != NULL;
		u->uses_max = (unsigned)p->options.max_uses;
		u->idle_ms = p->options.idle_timeout_ms;
		u->actor.exchange = x;
		if (actor_open(&u->actor, p, fd, &machine, UPSTREAM_CONNECTING,
			serial)) {
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
	int error = 0;
	bool admitted = server_admits(server);

	if (admitted && open_one(p, server, x, &error) != NULL)
		return;
	if (admitted)
		server_gave_up(server);
	else
		exchange_attempt(x, false, NULL, 0);
	x->now.shunned = !admitted;
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

	while (server->reach == SERVER_OPEN &&
	    server->pool.n + server->n_ahead < wanted) {
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
	assert(u->actor.state == UPSTREAM_IDLE && u->actor.exchange == NULL);
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
