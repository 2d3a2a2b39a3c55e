/* actor.c - see actor.h.
 *
 *   event, timer, poke ──> latches ──> run ──> step ──> enter ──> step …
 *
 * enter() is the only place where a state changes, run() the only one where
 * an actor is freed in operation.  run() never runs inside itself: whoever
 * wants another actor to move pokes it, and it runs next.
 *
 * One event is one *turn*: of its actor, and of those that poke one another
 * from there.  A turn reads and steps only so much; what is left waits in the
 * proxy's list `later` for the loop's next pass.  event_active() would not do:
 * libevent goes on with what is active until nothing is, and only then asks
 * epoll for others.  A timer of no time at all fires in the next pass, after
 * what epoll has told; and as there is one for the whole list, the order is
 * that in which the actors came.
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
	LENT_MIN = 4096,     /* bytes that are worth more than a copy */
	TURN_BYTES = 262144, /* that are read in one turn */
	TURN_STEPS = 64	     /* in one turn; an exchange takes some ten */
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

/* --------------------------------------------------------------- running -- */

static void
leave_list(struct proxy_actor *a)
{
	TAILQ_REMOVE(a->waits_in, a, wait_link);
	a->waits_in = NULL;
}

static void
wait_in(struct proxy_actor *a, struct actor_list *list)
{
	a->waits_in = list;
	TAILQ_INSERT_TAIL(list, a, wait_link);
}

static void
ask_for_pass(struct proxy *p)
{
	const struct timeval at_once = { 0, 0 };

	if (event_add(p->pass, &at_once) != 0)
		event_active(p->pass, EV_TIMEOUT, 0);
}

/* It has more to do, but it is the others' turn. */
static void
defer(struct proxy_actor *a)
{
	struct proxy *p = a->proxy;

	if (TAILQ_EMPTY(&p->later))
		ask_for_pass(p);
	a->latches |= LATCH_POKED;
	a->deferred_in = p->n_passes;
	wait_in(a, &p->later);
}

static void
run(struct proxy_actor *a)
{
	struct proxy *p = a->proxy;
	int next;

	assert(!a->running);
	a->running = true;
	a->cut_short = false;
	while (p->steps_left > 0 && may_step(a)) {
		p->steps_left--;
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
	else if (a->cut_short || (p->steps_left == 0 && may_step(a)))
		defer(a);
}

/* Run an actor, and then whom it poked: most pokes need no event. */
static void
take_turn(struct proxy_actor *a)
{
	struct proxy *p = a->proxy;

	p->running = true;
	p->steps_left = TURN_STEPS;
	p->bytes_left = TURN_BYTES;
	run(a);
	while ((a = TAILQ_FIRST(&p->ready)) != NULL) {
		leave_list(a);
		if (p->steps_left > 0)
			run(a);
		else
			defer(a);
	}
	p->running = false;
}

void
actor_pass(struct proxy *p)
{
	struct proxy_actor *a;

	p->n_passes++;
	while ((a = TAILQ_FIRST(&p->later)) != NULL &&
	    a->deferred_in != p->n_passes) {
		leave_list(a);
		take_turn(a);
	}
	if (a != NULL)
		ask_for_pass(p);
}

static void
on_event(evutil_socket_t fd, short what, void *arg)
{
	struct proxy_actor *a = arg;

	note_edge(a, what);
	if (a->waits_in == NULL)
		take_turn(a); /* else it will have one in the list's */
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
	if (a->waits_in != NULL)
		leave_list(a);
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
	if (a->running || a->waits_in != NULL)
		return;
	if (p->running)
		wait_in(a, &p->ready);
	else
		event_active(a->event, EV_TIMEOUT, 0);
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
	struct proxy *p = a->proxy;

	a->cut_short = p->bytes_left == 0;
	if (a->cut_short)
		return r;
	r = io_read(a->fd, bytes, size);
	p->bytes_left -= r.n < p->bytes_left ? r.n : p->bytes_left;
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
	/* What has failed fails again, and has to: once a write was told of a
	 * reset, reading only shows an end, and no edge tells of either. */
	if (r.outcome == IO_AGAIN) {
		a->latches &= ~(unsigned)LATCH_WRITABLE;
		actor_ask_for_writable(a);
	}
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
