/* actor.c - see actor.h.
 *
 *   event, timer, poke ──> latches ──> run ──> step ──> enter ──> step …
 *
 * enter() is the only place where a state changes, run() the only one where
 * an actor is freed in operation.  run() never runs inside itself: whoever
 * wants another actor to move pokes it, and it runs next.
 */
#include "proxy/actor.h"

#include <assert.h>
#include <errno.h>
#include <event2/event.h>
#include <event2/event_struct.h>
#include <string.h>
#include <unistd.h>

#include "proxy/exchange.h"
#include "proxy/internal.h"

enum {
	READS_MAX = 64,	 /* of one actor in one run */
	LENT_MIN = 4096, /* bytes that are worth more than a copy */
	RUNS_MAX = 16	 /* of poked actors, before the loop has its turn */
};

struct proxy_event
actor_event(struct proxy_actor *a, enum proxy_what what)
{
	const struct exchange *x = a->exchange;
	struct proxy_event e = { .what = what,
		.actor = a,
		.fd = a->fd,
		.serial = a->serial,
		.checkpoint = a->machine->states[a->state].checkpoint };

	if (x != NULL) {
		e.exchange = x->serial;
		e.attempt = x->attempt;
		e.head = buffer_bytes(&x->head);
		e.head_size = buffer_size(&x->head);
	}
	return e;
}

enum proxy_answer
actor_tell(struct proxy_actor *a, const struct proxy_event *e)
{
	struct proxy *p = a->proxy;

	return proxy_tells(p, e->what) ? p->watch(p->watch_arg, e) : PROXY_GO;
}

/* The only place where the state changes.  The watcher is told before
 * anything is done in the new state. */
static void
enter(struct proxy_actor *a, int next)
{
	struct proxy_event e;

	a->state = next;
	a->entered = true;
	if (!proxy_tells(a->proxy, PROXY_ENTERED))
		return;
	e = actor_event(a, PROXY_ENTERED);
	if (actor_tell(a, &e) == PROXY_HOLD)
		a->held = true;
}

static bool
may_step(const struct proxy_actor *a)
{
	unsigned wants = a->machine->states[a->state].wants | LATCH_POKED;

	return !a->held && a->state != a->machine->last &&
	    (a->entered || (a->latches & wants) != 0);
}

/* ------------------------------------------------------------- readiness -- */

/* An edge that brought nothing but data is done with when a read came back
 * short: whatever comes later has an edge of its own.  That saves one call in
 * every request.  But a FIN or a reset may stand behind the data already and be
 * told by that very edge.  A FIN is: as EV_CLOSED.  Of an error, libevent makes
 * EV_READ|EV_WRITE, and then passes on what the event has asked for.  So an
 * event that waits for reading only is made to ask for both, behind the back of
 * epoll; all the time that it is registered, and at no other.
 */
static int
listen_to(struct proxy_actor *a)
{
	int error = event_add(a->event, NULL);

	if (error == 0)
		a->event->ev_events |= EV_WRITE;
	return error;
}

static void
turn_away(struct proxy_actor *a)
{
	if (!a->wants_write)
		a->event->ev_events &= ~EV_WRITE;
	event_del(a->event);
}

void
actor_ask_for_writable(struct proxy_actor *a)
{
	if (a->wants_write)
		return; /* it does so already */
	turn_away(a);
	a->wants_write = true;
	a->event->ev_events |= EV_WRITE;
	if (listen_to(a) != 0)
		event_active(a->event, EV_READ | EV_WRITE, 0);
}

static void
note_edge(struct proxy_actor *a, short what)
{
	if ((what & EV_READ) && (a->latches & LATCH_READABLE) == 0)
		a->end_behind = false;
	if (what & EV_READ)
		a->latches |= LATCH_READABLE;
	if (what & EV_WRITE)
		a->latches |= LATCH_WRITABLE;
	if (what & (EV_WRITE | EV_CLOSED))
		a->end_behind = true;
}

/* There is more to read, but it is somebody else's turn.  An edge-triggered
 * socket tells what is there already only when it is registered anew. */
static void
yield(struct proxy_actor *a)
{
	turn_away(a);
	if (listen_to(a) != 0)
		event_active(a->event, EV_READ, 0);
}

/* --------------------------------------------------------------- running -- */

static void
leave_ready(struct proxy_actor *a)
{
	TAILQ_REMOVE(&a->proxy->ready, a, ready_link);
	a->ready = false;
}

static void
run(struct proxy_actor *a)
{
	int next;

	assert(!a->running);
	a->running = true;
	a->n_reads = 0;
	while (may_step(a)) {
		a->entered = false;
		a->latches &= ~(unsigned)LATCH_POKED;
		next = a->machine->states[a->state].step(a);
		if (next != a->state)
			enter(a, next);
		else if ((a->latches & LATCH_POKED) == 0)
			break; /* it did what it could */
	}
	a->running = false;
	if (a->state == a->machine->last && !a->held)
		a->machine->release(a);
	else if (a->n_reads > READS_MAX)
		yield(a);
}

/* Run an actor, and then whom it poked: most pokes need no event. */
static void
run_all(struct proxy_actor *a)
{
	struct proxy *p = a->proxy;

	p->running = true;
	run(a);
	for (int i = 0; i < RUNS_MAX && (a = TAILQ_FIRST(&p->ready)); i++) {
		leave_ready(a);
		run(a);
	}
	p->running = false;
	while ((a = TAILQ_FIRST(&p->ready)) != NULL) {
		leave_ready(a);
		event_active(a->event, EV_TIMEOUT, 0);
	}
}

static void
on_event(evutil_socket_t fd, short what, void *arg)
{
	struct proxy_actor *a = arg;

	note_edge(a, what);
	run_all(a);
}

static void
on_timer(void *arg)
{
	struct proxy_actor *a = arg;

	a->armed = false;
	a->latches |= LATCH_TIMER;
	/* A replaced clock may fire anywhere; stepping is the loop's. */
	event_active(a->event, EV_TIMEOUT, 0);
}

bool
actor_open(struct proxy_actor *a, struct proxy *p, int fd,
    const struct actor_machine *machine, int first, unsigned long serial)
{
	struct proxy_event e;

	a->proxy = p;
	a->machine = machine;
	a->fd = fd;
	a->state = first;
	a->serial = serial;
	a->latches = LATCH_WRITABLE; /* until a write says otherwise */
	a->timer = p->clock.timer_new(p->clock.arg, on_timer, a);
	if (a->timer == NULL)
		return false;
	a->event = event_new(
	    p->base, fd, EV_READ | EV_CLOSED | EV_ET | EV_PERSIST, on_event, a);
	if (a->event == NULL || listen_to(a) != 0) {
		if (a->event != NULL)
			event_free(a->event);
		p->clock.timer_free(a->timer);
		return false;
	}
	TAILQ_INSERT_TAIL(
	    machine->is_upstream ? &p->upstreams : &p->sessions, a, link);
	e = actor_event(a, PROXY_OPENED);
	actor_tell(a, &e);
	enter(a, first);
	actor_poke(a);
	return true;
}

void
actor_replace(struct proxy_actor *a, int fd)
{
	turn_away(a);
	close(a->fd);
	a->fd = fd;
	a->latches &= LATCH_POKED;
	a->latches |= LATCH_WRITABLE;
	a->wants_write = a->end_behind = false;
	event_assign(a->event, a->proxy->base, fd,
	    EV_READ | EV_CLOSED | EV_ET | EV_PERSIST, on_event, a);
	if (listen_to(a) != 0)
		event_active(a->event, EV_READ | EV_WRITE, 0);
}

void
actor_close(struct proxy_actor *a)
{
	struct proxy *p = a->proxy;
	struct proxy_event e = actor_event(a, PROXY_CLOSED);

	actor_tell(a, &e);
	if (a->ready)
		leave_ready(a);
	TAILQ_REMOVE(
	    a->machine->is_upstream ? &p->upstreams : &p->sessions, a, link);
	p->clock.timer_free(a->timer);
	turn_away(a);
	event_free(a->event);
	if (a->reset)
		io_reset(a->fd);
	else
		close(a->fd);
	proxy_regained_descriptor(p);
}

void
actor_poke(struct proxy_actor *a)
{
	struct proxy *p = a->proxy;

	a->latches |= LATCH_POKED;
	if (a->running || a->ready)
		return;
	if (!p->running) {
		event_active(a->event, EV_TIMEOUT, 0);
		return;
	}
	a->ready = true;
	TAILQ_INSERT_TAIL(&p->ready, a, ready_link);
}

void
actor_arm(struct proxy_actor *a, int ms)
{
	bool was_armed = a->armed;

	a->latches &= ~(unsigned)LATCH_TIMER;
	a->armed = ms > 0;
	if (ms > 0)
		a->proxy->clock.timer_arm(a->timer, ms);
	else if (was_armed)
		a->proxy->clock.timer_cancel(a->timer);
}

/* The first error is the cause, what follows it only its echo. */
static void
keep_error(struct proxy_actor *a, const struct io_result *r)
{
	if (r->outcome == IO_FAILED && a->error == 0)
		a->error = r->error;
	if (r->outcome == IO_FAILED || r->outcome == IO_EOF)
		a->peer_closed = true;
}

static void
tell_bytes(
    struct proxy_actor *a, enum proxy_what what, const void *bytes, size_t size)
{
	struct proxy_event e;

	if (!proxy_tells(a->proxy, what))
		return;
	e = actor_event(a, what);
	e.bytes = bytes;
	e.size = size;
	actor_tell(a, &e);
}

struct io_result
actor_read(struct proxy_actor *a, void *bytes, size_t size)
{
	struct io_result r = { IO_AGAIN, 0, 0 };

	if (++a->n_reads > READS_MAX)
		return r;
	r = io_read(a->fd, bytes, size);
	if (r.outcome == IO_DONE)
		tell_bytes(a, PROXY_READ, bytes, r.n);
	if (r.outcome != IO_DONE || (r.n < size && !a->end_behind))
		a->latches &= ~(unsigned)LATCH_READABLE;
	keep_error(a, &r);
	return r;
}

struct io_result
actor_fill(struct proxy_actor *a, struct buffer *b, size_t size)
{
	struct buffer *scratch = &a->proxy->scratch, empty = *b;
	struct io_result r = { IO_FAILED, 0, ENOMEM };
	char *to;

	if (size > PROXY_SCRATCH_SIZE)
		size = PROXY_SCRATCH_SIZE;
	to = buffer_reserve(scratch, PROXY_SCRATCH_SIZE);
	if (to == NULL)
		return r;
	r = actor_read(a, to, size);
	if (r.outcome != IO_DONE)
		return r;
	if (r.n >= LENT_MIN && buffer_size(b) == 0) {
		*b = *scratch;
		buffer_commit(b, r.n);
		*scratch = empty;
	} else if (!buffer_append(b, to, r.n)) {
		return (struct io_result){ IO_FAILED, 0, ENOMEM };
	}
	return r;
}

void
actor_drained(struct proxy_actor *a, struct buffer *b)
{
	struct buffer *scratch = &a->proxy->scratch, lent = *b;

	if (buffer_size(b) > 0 || b->capacity < PROXY_SCRATCH_SIZE ||
	    scratch->capacity >= PROXY_SCRATCH_SIZE)
		return;
	*b = *scratch;
	*scratch = lent;
}

static struct io_result
after_write(struct proxy_actor *a, struct io_result r)
{
	if (r.outcome != IO_DONE)
		a->latches &= ~(unsigned)LATCH_WRITABLE;
	if (r.outcome == IO_AGAIN)
		actor_ask_for_writable(a);
	keep_error(a, &r);
	return r;
}

struct io_result
actor_write(struct proxy_actor *a, const void *bytes, size_t size)
{
	struct io_result r = io_write(a->fd, bytes, size);

	if (r.outcome == IO_DONE)
		tell_bytes(a, PROXY_SENT, bytes, r.n);
	return after_write(a, r);
}

struct io_result
actor_write_two(struct proxy_actor *a, const void *first, size_t first_size,
    const void *second, size_t second_size)
{
	struct io_result r =
	    io_write_two(a->fd, first, first_size, second, second_size);

	if (r.outcome == IO_DONE)
		tell_bytes(
		    a, PROXY_SENT, first, r.n < first_size ? r.n : first_size);
	if (r.outcome == IO_DONE && r.n > first_size)
		tell_bytes(a, PROXY_SENT, second, r.n - first_size);
	return after_write(a, r);
}

void
proxy_release(struct proxy_actor *a)
{
	assert(a->held);
	a->held = false;
	actor_poke(a);
}
