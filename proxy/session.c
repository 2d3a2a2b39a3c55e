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
#include "proxy/session_states.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "proxy/reply.h"
#include "proxy/upstream.h"

enum { READ_SIZE = 16384 };

#define X(symbol, function, wants)                                   \
	static int step_##function(struct proxy_actor *a)            \
	{                                                            \
		return (int)session_##function((struct session *)a); \
	}
SESSION_STATES(X)
#undef X

static const struct actor_state states[] = {
#define X(symbol, function, wants) \
	[SESSION_##symbol] = { "session." #function, step_##function, wants },
	SESSION_STATES(X)
#undef X
};

static void release(struct proxy_actor *);

static const struct actor_machine machine = { states, SESSION_ENDED, release,
	false };

void
session_expect_client(struct session *s)
{
	actor_arm(&s->actor, session_options(s)->client_timeout_ms);
}

/* Read once into in, where there is room.  AGAIN also where there is none, or
 * where nothing more can come. */
struct io_result
session_fill(struct session *s)
{
	struct io_result r = { IO_AGAIN, 0, 0 };
	size_t room = (size_t)session_options(s)->head_bytes;

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
void
session_blame(struct session *s, char who, const char *why)
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
	struct proxy_account *account;
	struct proxy_event e;

	if (!s->accounted)
		return;
	s->accounted = false;
	if (!proxy_tells(s->actor.proxy, PROXY_DONE))
		return;
	account = &s->x->account;
	if (account->who == '\0') {
		account->who = account->when = '-';
		account->why = s->x->again != NULL ? s->x->again : "";
	}
	if (!s->x->final_given)
		account->status = 0;
	account->received = buffer_size(&s->x->head) + s->x->n_body;
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

enum session_state
session_gone(struct session *s)
{
	session_blame(s, 'C', "the client is gone");
	abandon(s);
	return SESSION_ENDED;
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
enum session_state
session_next_request(struct session *s)
{
	actor_arm(&s->actor, 0);
	close_account(s);
	s->actor.exchange = NULL;
	if (!s->x->close && !s->actor.proxy->draining) {
		drop_exchange(s);
		return SESSION_WAITING;
	}
	return s->client_eof ? SESSION_ENDED : SESSION_LINGERING;
}

/* Answer in the backend's stead.  Needs: nothing of a final response given.
 */
enum session_state
session_answer(struct session *s, struct reply r)
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
		return SESSION_ENDED;
	return SESSION_ANSWERING;
}

/* The request itself is at fault: what follows it cannot be trusted. */
enum session_state
session_refuse(struct session *s, int status, const char *why)
{
	struct reply r = { .status = status,
		.error = status == 503 ? "proxy_internal_error"
				       : "http_request_error",
		.details = why };

	session_blame(s, status == 503 ? 'I' : status == 408 ? 'c' : 'P', why);
	if (s->x->final_given)
		return session_gone(s);
	s->x->close = true;
	return session_answer(s, r);
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
		s->x->give = session_give_now;
	}
	if (s->x == NULL)
		return r;
	do {
		if (request_reader_begin(&s->x->reader, &s->n_empty_lines))
			return (struct io_result){ IO_DONE, 0, 0 };
		r = session_fill(s);
	} while (r.outcome == IO_DONE);
	return r;
}

/* In:  WAITING, between two requests.  Out: PARSING (bytes of the next), ENDED
 * (the client left, its time is over, we are draining). */
enum session_state
session_waiting(struct session *s)
{
	struct io_result r = await_request(s);

	if (r.outcome == IO_AGAIN && !s->client_eof &&
	    !s->actor.proxy->draining &&
	    (s->actor.latches & LATCH_TIMER) == 0) {
		drop_exchange(s);
		if (!s->actor.armed) /* an empty line buys no time */
			session_expect_client(s);
		return SESSION_WAITING;
	}
	if (r.outcome != IO_DONE)
		return SESSION_ENDED;
	s->n_empty_lines = 0;
	exchange_reset(s->x);
	s->accounted = true;
	s->x->account.begun_us = proxy_now_us(s->actor.proxy);
	s->n_retries = 0;
	actor_arm(&s->actor, session_options(s)->head_timeout_ms);
	return SESSION_PARSING;
}

/* A complete head is in front of the reader. */
static enum session_state
begin_exchange(struct session *s)
{
	const char *why;
	int status = exchange_begin(s->x, session_options(s), &why);

	if (status != 0)
		return session_refuse(s, status, why);
	s->x->account.asked_us = proxy_now_us(s->actor.proxy);
	s->x->serial = ++s->actor.proxy->n_exchanges;
	s->actor.exchange = s->x;
	actor_arm(&s->actor, 0);
	return session_serve(s);
}

/* In:  PARSING, bytes of a request.  Out: CHOOSING (its head is complete),
 * ANSWERING (refused), ENDED. */
enum session_state
session_parsing(struct session *s)
{
	size_t head_bytes = (size_t)session_options(s)->head_bytes;
	struct io_result r;
	const char *why;
	int status;

	for (;;) {
		switch (request_reader_head(
		    &s->x->reader, head_bytes, &status, &why)) {
		case REQUEST_BAD:
			return session_refuse(s, status, why);
		case REQUEST_HEAD:
			return begin_exchange(s);
		default:
			break;
		}
		r = session_fill(s);
		if (r.outcome == IO_FAILED)
			return session_gone(s);
		if (r.outcome != IO_DONE)
			break;
	}
	if (s->client_eof)
		return session_refuse(s, 400, "half a request");
	if (s->actor.latches & LATCH_TIMER)
		return session_refuse(s, 408, "the request head took too long");
	return SESSION_PARSING;
}

/* In:  ANSWERING, an answer of our own.  Out: WAITING, LINGERING, ENDED. */
enum session_state
session_answering(struct session *s)
{
	bool progress = false;

	if (s->actor.latches & LATCH_TIMER)
		return session_client_timed_out(s);
	if (!session_give(s, &progress))
		return session_gone(s);
	if (buffer_size(&s->x->down) == 0)
		return session_next_request(s);
	if (progress || !s->actor.armed)
		session_expect_client(s);
	return SESSION_ANSWERING;
}

/* In:  LINGERING: the last answer was given whole.  Out: ENDED (the client has
 * closed too, or took too long). */
enum session_state
session_lingering(struct session *s)
{
	char discarded[4096];
	struct io_result r;

	if (!s->lingers) {
		s->lingers = true;
		shutdown(s->actor.fd, SHUT_WR);
		actor_arm(&s->actor, session_options(s)->linger_ms);
	}
	if (session_options(s)->linger_ms == 0 ||
	    (s->actor.latches & LATCH_TIMER))
		return SESSION_ENDED;
	do
		r = actor_read(&s->actor, discarded, sizeof discarded);
	while (r.outcome == IO_DONE);
	return r.outcome == IO_AGAIN ? SESSION_LINGERING : SESSION_ENDED;
}

/* In:  ENDED.  Out: never; the driver releases it. */
enum session_state
session_ended(struct session *s)
{
	return SESSION_ENDED;
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
	if (!actor_open(&s->actor, p, fd, &machine, SESSION_WAITING, serial)) {
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
	struct session *s = (struct session *)a;

	if (s->accounted)
		session_blame(s, 'I', "the proxy ends");
	a->reset = true;
	release(a);
}
