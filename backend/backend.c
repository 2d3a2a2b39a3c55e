/* backend.c - the listener, the connections, and what backend.h says. */
#include "backend/backend.h"

#include <assert.h>
#include <errno.h>
#include <event2/event.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "backend/ending.h"
#include "backend/stream.h"
#include "backend/valve.h"
#include "backend/witness.h"

struct backend {
	struct valve_home home; /* first: the valves know only this */
	struct valve **valves;	/* by number, from 1; NULL: closed */
	unsigned n, room;
	int listen_fd;
	struct event *listener;
	bool starved; /* no descriptor was left for accept() */
	bool held;    /* nobody is accepted by itself */
	struct witness *witness;
	bool blind; /* there can be none */
	struct event *unfinished;
	size_t faults_room;
};

/* ---------------------------------------------------------------- valves -- */

static struct valve *
valve_at(const struct backend *b, unsigned conn)
{
	assert(conn >= 1 && conn <= b->n && b->valves[conn - 1] != NULL);
	return b->valves[conn - 1];
}

static void
each_valve(struct backend *b, void (*call)(struct valve *))
{
	for (unsigned i = 0; i < b->n; i++)
		if (b->valves[i] != NULL)
			call(b->valves[i]);
}

static void on_listener(evutil_socket_t, short, void *);

/* A level-triggered listener tells as long as somebody waits: one accept a turn
 * is enough, and none is in vain.  But without a descriptor to accept with it
 * would spin; an edge-triggered one then tells of the next peer only. */
static int
listen_by(struct backend *b, int fd, short trigger)
{
	event_assign(b->listener, b->home.base, fd,
	    EV_READ | EV_PERSIST | trigger, on_listener, b);
	return event_add(b->listener, NULL);
}

static void
set_starved(struct backend *b, bool starved)
{
	if (b->listener == NULL || b->starved == starved || b->held)
		return;
	b->starved = starved;
	event_del(b->listener);
	listen_by(b, b->listen_fd, starved ? EV_ET : 0);
}

static void
on_gone(struct valve_home *home, unsigned conn)
{
	struct backend *b = (struct backend *)home;

	b->valves[conn - 1] = NULL;
	set_starved(b, false);
}

static struct witness *
find_witness(struct valve_home *home)
{
	struct backend *b = (struct backend *)home;
	struct sockaddr_in sin = { 0 };
	socklen_t n = sizeof sin;

	if (b->witness != NULL || b->blind)
		return b->witness;
	/* It looks at packets of IPv4 alone. */
	if (getsockname(b->listen_fd, (struct sockaddr *)&sin, &n) == 0 &&
	    sin.sin_family == AF_INET)
		b->witness = witness_new(home->base, ntohs(sin.sin_port));
	b->blind = b->witness == NULL;
	return b->witness;
}

/* The origin stopped halfway: have every valve drive it on. */
static void
on_unfinished(evutil_socket_t fd, short what, void *arg)
{
	struct backend *b = arg;

	for (unsigned i = 0; i < b->n; i++)
		if (b->valves[i] != NULL)
			valve_ready(b->valves[i]);
}

static void
drive_later(void *arg)
{
	const struct timeval at_once = { 0, 0 };
	struct backend *b = arg;

	/* In the loop's next pass; event_active() would mean this one. */
	event_add(b->unfinished, &at_once);
}

/* -------------------------------------------------------------- listener -- */

static bool
make_room(struct backend *b)
{
	unsigned room = b->room == 0 ? 8 : b->room * 2;
	struct backend_conn *conns;
	struct valve **valves;

	if (b->n < b->room)
		return true;
	conns = realloc(b->home.conns, room * sizeof *conns);
	if (conns == NULL)
		return false;
	b->home.conns = conns;
	valves = realloc(b->valves, room * sizeof *valves);
	if (valves == NULL)
		return false;
	b->valves = valves;
	b->room = room;
	return true;
}

static void
welcome(struct backend *b, int fd, const struct sockaddr_in *peer)
{
	struct valve *v = NULL;

	if (!make_room(b)) {
		ending_reset(fd);
		return;
	}
	v = valve_new(&b->home, b->n + 1, fd, peer);
	if (v == NULL)
		return;
	b->home.conns[b->n] = (struct backend_conn){ .n = b->n + 1,
		.fd = fd,
		.peer_port = ntohs(peer->sin_port),
		.idle = true,
		.ended_on = N_POINTS,
		.ending = N_ENDINGS };
	b->valves[b->n++] = v;
	witness_forget(b->witness, peer);
	valve_tell(v, (struct backend_event){ .what = BACKEND_ACCEPTED });
	v->fault = fault_choose_accept(b->home.faults, b->home.n_faults, v->n);
	if (v->fault >= 0)
		finale_due(v, POINT_ACCEPT, "");
	valve_run(v);
}

/* Returns: somebody was accepted. */
static bool
accept_one(struct backend *b)
{
	union {
		struct sockaddr any;
		struct sockaddr_in four;
		struct sockaddr_in6 six;
	} peer = { { 0 } };
	socklen_t n = sizeof peer;
	int conn =
	    accept4(b->listen_fd, &peer.any, &n, SOCK_NONBLOCK | SOCK_CLOEXEC);
	bool come_again = conn >= 0 || errno == EAGAIN || errno == EINTR ||
	    errno == ECONNABORTED;

	set_starved(b, !come_again);
	/* Of IPv6 the port is enough: no witness looks for the address. */
	if (peer.any.sa_family == AF_INET6)
		peer.four =
		    (struct sockaddr_in){ .sin_port = peer.six.sin6_port };
	if (conn >= 0)
		welcome(b, conn, &peer.four);
	return conn >= 0;
}

static void
on_listener(evutil_socket_t fd, short what, void *arg)
{
	accept_one(arg);
}

void
backend_hold_accepting(struct backend *b)
{
	set_starved(b, false);
	if (b->listener != NULL)
		event_del(b->listener);
	b->held = true;
}

void
backend_release_accepting(struct backend *b)
{
	if (b->held && b->listener != NULL)
		event_add(b->listener, NULL);
	b->held = false;
}

bool
backend_holds_accepting(const struct backend *b)
{
	return b->held;
}

unsigned
backend_accept_waiting(struct backend *b)
{
	unsigned n = 0;

	assert(b->held);
	while (accept_one(b))
		n++;
	return n;
}

int
backend_listen(struct backend *b, int fd)
{
	int err, on = 1;

	assert(b->listener == NULL);
	fcntl(fd, F_SETFD, FD_CLOEXEC);
	/* What it accepts inherits it. */
	setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
	b->listener = fcntl(fd, F_SETFL, O_NONBLOCK) != 0
	    ? NULL
	    : event_new(b->home.base, fd, EV_READ, on_listener, b);
	if (b->listener == NULL || listen_by(b, fd, 0) != 0) {
		err = errno != 0 ? errno : ENOMEM;
		if (b->listener != NULL)
			event_free(b->listener);
		b->listener = NULL;
		close(fd);
		errno = err;
		return -1;
	}
	b->listen_fd = fd;
	return 0;
}

/* ------------------------------------------------------------------ life -- */

static bool
set_up(struct backend *b)
{
	const struct backend_options *o = &b->home.options;
	struct origin_calls calls = { valve_executed, valve_ready, drive_later,
		b };
	int hint = o->keep_alive_hint ? o->keep_alive_ms : 0;

	b->home.ledger = ledger_new();
	b->home.scratch = malloc(VALVE_SCRATCH_SIZE);
	b->unfinished = event_new(b->home.base, -1, 0, on_unfinished, b);
	if (!pass_init(&b->home.pass, b->home.base, valve_run_entry))
		return false;
	if (b->home.ledger == NULL || b->home.scratch == NULL ||
	    b->unfinished == NULL)
		return false;
	if (o->upstream.n > 0)
		return true;
	b->home.origin =
	    origin_new(&b->home.clock, b->home.ledger, hint, &calls);
	return b->home.origin != NULL;
}

struct backend *
backend_new(struct event_base *base, const struct backend_options *options,
    const struct backend_clock *clock, backend_watch_fn *watch, void *watch_arg,
    char *error, size_t error_size)
{
	struct backend *b = calloc(1, sizeof *b);

	if (b == NULL) {
		snprintf(error, error_size, "out of memory");
		return NULL;
	}
	b->listen_fd = -1;
	b->home.base = base;
	b->home.options = *options;
	b->home.clock = clock != NULL ? *clock : backend_clock_libevent(base);
	b->home.watch = watch;
	b->home.watch_arg = watch_arg;
	b->home.witness = find_witness;
	b->home.gone = on_gone;
	b->home.spare_fd = -1;
	if (!set_up(b)) {
		snprintf(error, error_size,
		    "the backend could not be made: out of memory or "
		    "descriptors");
		backend_free(b);
		return NULL;
	}
	return b;
}

/* What remains of connections that have ended is told to their peers, or is
 * forgotten. */
static void
clear_remains(struct valve_home *home, void (*how)(struct remains *))
{
	unsigned n =
	    home->n_remains < REMAINS_MAX ? home->n_remains : REMAINS_MAX;

	for (unsigned i = 0; i < n; i++)
		how(&home->remains[i]);
	home->n_remains = 0;
}

void
backend_free(struct backend *b)
{
	if (b == NULL)
		return;
	if (b->listener != NULL) {
		event_free(b->listener);
		b->listener = NULL;
		close(b->listen_fd);
	}
	each_valve(b, valve_free);
	clear_remains(&b->home, ending_forget);
	valve_home_close_spare(&b->home);
	pass_free(&b->home.pass);
	origin_free(b->home.origin);
	witness_free(b->witness);
	if (b->unfinished != NULL)
		event_free(b->unfinished);
	ledger_free(b->home.ledger);
	free(b->home.scratch);
	free(b->home.faults);
	free(b->home.conns);
	free(b->valves);
	free(b);
}

void
backend_reset(struct backend *b)
{
	each_valve(b, valve_free);
	clear_remains(&b->home, ending_tell);
	event_del(b->unfinished);
	witness_free(b->witness);
	b->witness = NULL;
	backend_release_accepting(b);
	set_starved(b, false);
	b->n = 0;
	b->home.n_faults = 0;
	ledger_clear(b->home.ledger);
}

void
backend_refuse_waiting(struct backend *b)
{
	int fd;

	while (b->listener != NULL &&
	    (fd = accept4(b->listen_fd, NULL, NULL, SOCK_CLOEXEC)) >= 0)
		ending_reset(fd);
}

/* ---------------------------------------------------------------- faults -- */

int
backend_add_fault(struct backend *b, const struct fault *fault)
{
	size_t room = b->faults_room == 0 ? 4 : b->faults_room * 2;
	struct fault *grown = b->home.faults;

	if (b->home.n_faults == b->faults_room) {
		grown = realloc(grown, room * sizeof *grown);
		if (grown == NULL)
			return -1;
		b->home.faults = grown;
		b->faults_room = room;
	}
	grown[b->home.n_faults] = *fault;
	grown[b->home.n_faults].n_fired = 0;
	b->home.n_faults++;
	if (fault->on == POINT_IDLE)
		each_valve(b, valve_faults_changed);
	return (int)b->home.n_faults - 1;
}

size_t
backend_n_faults(const struct backend *b)
{
	return b->home.n_faults;
}

const struct fault *
backend_fault(const struct backend *b, size_t n)
{
	return n < b->home.n_faults ? &b->home.faults[n] : NULL;
}

void
backend_clear_faults(struct backend *b)
{
	each_valve(b, valve_faults_cleared);
	b->home.n_faults = 0;
}

/* ----------------------------------------------------------- connections -- */

const struct ledger *
backend_ledger(const struct backend *b)
{
	return b->home.ledger;
}

void
backend_bound_ledger(struct backend *b, size_t max)
{
	ledger_bound(b->home.ledger, max);
}

unsigned
backend_n_conns(const struct backend *b)
{
	return b->n;
}

bool
backend_conn(const struct backend *b, unsigned n, struct backend_conn *facts)
{
	if (n < 1 || n > b->n)
		return false;
	*facts = b->home.conns[n - 1];
	return true;
}

size_t
backend_unread(const struct backend *b, unsigned n)
{
	const struct valve *v = n >= 1 && n <= b->n ? b->valves[n - 1] : NULL;

	return v == NULL || v->fd_closed ? 0 : stream_unread(v->fd);
}

void
backend_hold(struct backend *b, unsigned conn, enum backend_direction way)
{
	struct valve *v = valve_at(b, conn);

	if (way == BACKEND_SENDING) {
		valve_facts(v)->sending_held = true;
		return;
	}
	valve_facts(v)->reading_held = true;
	v->arrived = 0;
	if (stream_unread(v->fd) > 0) { /* it arrived before: tell */
		v->edge = true;
		valve_wake(v);
	}
}

void
backend_release(struct backend *b, unsigned conn, enum backend_direction way)
{
	struct valve *v = valve_at(b, conn);

	if (way == BACKEND_SENDING) {
		assert(valve_facts(v)->sending_held);
		valve_facts(v)->sending_held = false;
	} else {
		assert(valve_facts(v)->reading_held);
		valve_facts(v)->reading_held = false;
		v->readable = v->edge = true;
	}
	valve_wake(v);
}

int
backend_end(struct backend *b, unsigned conn, enum ending ending,
    const void *say, size_t say_size, char *error, size_t error_size)
{
	struct valve *v = valve_at(b, conn);

	assert(!valve_facts(v)->ended);
	return valve_end_by_hand(v, ending, say, say_size, error, error_size);
}

void
backend_forked(void)
{
	witness_forked();
}

const char *
backend_cannot_vanish(void)
{
	return ending_cannot_vanish();
}

const char *
backend_cannot_witness(void)
{
	return witness_lacks();
}
