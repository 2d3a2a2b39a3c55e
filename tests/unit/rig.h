/* rig.h - a backend on a loopback port, a peer with plain sockets, and a clock
 * that only the test moves; everything in one thread, nothing sleeps. */
#ifndef TESTS_RIG_H
#define TESTS_RIG_H

#include <arpa/inet.h>
#include <errno.h>
#include <event2/event.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "backend/backend.h"

/* ----------------------------------------------------------------- clock -- */

#define RIG_TIMERS 256

struct rig_timer {
	bool used, armed;
	int64_t due;
	backend_fire_fn *fire;
	void *arg;
};

static struct rig_timer rig_timers[RIG_TIMERS];
static int64_t rig_now;

static void *
rig_timer_new(void *arg, backend_fire_fn *fire, void *fire_arg)
{
	for (int i = 0; i < RIG_TIMERS; i++)
		if (!rig_timers[i].used) {
			rig_timers[i] = (struct rig_timer){ true, false, 0,
				fire, fire_arg };
			return &rig_timers[i];
		}
	return NULL;
}

static void
rig_timer_arm(void *timer, int64_t ms)
{
	struct rig_timer *t = timer;

	t->armed = true;
	t->due = rig_now + ms;
}

static void
rig_timer_cancel(void *timer)
{
	((struct rig_timer *)timer)->armed = false;
}

static void
rig_timer_free(void *timer)
{
	if (timer != NULL)
		((struct rig_timer *)timer)->used = false;
}

static int64_t
rig_now_ms(void *arg)
{
	return rig_now;
}

/* ------------------------------------------------------------------- rig -- */

enum fate { OPEN, ENDED_BY_FIN, ENDED_BY_RESET };

#define RIG_EVENTS 512
#define RIG_BYTES  (64 * 1024)

struct rig {
	struct event_base *base;
	struct backend *backend;
	unsigned short port;
	struct backend_event events[RIG_EVENTS]; /* bytes not kept */
	char ids[RIG_EVENTS][64];
	size_t n_events;
	/* what the peer has received on the connection it looked at last */
	char got[RIG_BYTES];
	size_t n_got;
	enum fate fate;
	void (*also)(const struct backend_event *); /* or NULL */
};

static void
rig_watch(void *arg, const struct backend_event *e)
{
	struct rig *r = arg;

	if (r->also != NULL)
		r->also(e);
	if (r->n_events == RIG_EVENTS)
		return;
	strncpy(r->ids[r->n_events], e->id, 63);
	r->events[r->n_events] = *e;
	r->events[r->n_events].id = r->ids[r->n_events];
	r->n_events++;
}

static int
rig_listener(unsigned short *port)
{
	struct sockaddr_in sin = { .sin_family = AF_INET };
	socklen_t n = sizeof sin;
	int fd = socket(AF_INET, SOCK_STREAM, 0);

	sin.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	if (fd < 0 || bind(fd, (struct sockaddr *)&sin, sizeof sin) != 0 ||
	    listen(fd, 64) != 0 ||
	    getsockname(fd, (struct sockaddr *)&sin, &n) != 0) {
		perror("rig_listener");
		exit(2);
	}
	*port = ntohs(sin.sin_port);
	return fd;
}

static struct rig *
rig_open_with(const struct backend_options *o, const char *faults)
{
	struct rig *r = calloc(1, sizeof *r);
	struct backend_clock clock = { NULL, rig_timer_new, rig_timer_arm,
		rig_timer_cancel, rig_timer_free, rig_now_ms };
	char error[256], line[1024];
	struct fault f;
	int fd;

	r->base = event_base_new();
	r->backend =
	    backend_new(r->base, o, &clock, rig_watch, r, error, sizeof error);
	if (r->backend == NULL) {
		fprintf(stderr, "%s\n", error);
		exit(2);
	}
	while (faults != NULL && *faults != '\0') {
		size_t n = strcspn(faults, ";");

		memcpy(line, faults, n);
		line[n] = '\0';
		faults += n + (faults[n] == ';');
		if (fault_parse(&f, line, error, sizeof error) != 0) {
			fprintf(stderr, "%s: %s\n", line, error);
			exit(2);
		}
		backend_add_fault(r->backend, &f);
	}
	fd = rig_listener(&r->port);
	if (backend_listen(r->backend, fd) != 0)
		exit(2);
	return r;
}

static inline struct rig *
rig_open(const char *faults)
{
	struct backend_options o;

	backend_options_init(&o);
	return rig_open_with(&o, faults);
}

static void
rig_close(struct rig *r)
{
	backend_free(r->backend);
	event_base_free(r->base);
	free(r);
}

/* Let the backend do all it can. */
static void
rig_pump(struct rig *r)
{
	for (int i = 0; i < 8; i++)
		event_base_loop(r->base, EVLOOP_NONBLOCK);
}

static inline void
rig_advance(struct rig *r, int64_t ms)
{
	rig_now += ms;
	for (int i = 0; i < RIG_TIMERS; i++)
		if (rig_timers[i].used && rig_timers[i].armed &&
		    rig_timers[i].due <= rig_now) {
			rig_timers[i].armed = false;
			rig_timers[i].fire(rig_timers[i].arg);
		}
	rig_pump(r);
}

/* ------------------------------------------------------------------ peer -- */

static int
peer_dial(struct rig *r)
{
	struct sockaddr_in sin = { .sin_family = AF_INET,
		.sin_port = htons(r->port) };
	int fd = socket(AF_INET, SOCK_STREAM, 0), on = 1;

	sin.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	if (connect(fd, (struct sockaddr *)&sin, sizeof sin) != 0) {
		perror("connect");
		exit(2);
	}
	setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
	rig_pump(r);
	return fd;
}

/* Send without letting the backend move. */
static ssize_t
peer_put(int fd, const char *text)
{
	return send(fd, text, strlen(text), MSG_NOSIGNAL);
}

/* Receive what is there into got, behind what stands there. */
static void
peer_look(struct rig *r, int fd)
{
	ssize_t n;

	rig_pump(r);
	r->fate = OPEN;
	for (;;) {
		n = recv(fd, r->got + r->n_got, sizeof r->got - 1 - r->n_got,
		    MSG_DONTWAIT);
		if (n <= 0)
			break;
		r->n_got += (size_t)n;
		rig_pump(r);
	}
	if (n == 0)
		r->fate = ENDED_BY_FIN;
	else if (errno != EAGAIN)
		r->fate = ENDED_BY_RESET;
	r->got[r->n_got] = '\0';
}

/* One request, and what comes back. */
static inline void
peer_ask(struct rig *r, int fd, const char *request)
{
	r->n_got = 0;
	r->got[0] = '\0';
	(void)!peer_put(fd, request);
	peer_look(r, fd);
}

static inline const struct ledger_attempt *
rig_attempt(const struct rig *r, size_t n)
{
	static const struct ledger_attempt none = { .id = "none" };
	const struct ledger_attempt *a =
	    ledger_attempt(backend_ledger(r->backend), n);

	return a != NULL ? a : &none;
}

/* Without CAP_NET_RAW an entry may say that more could have been sent, which
 * could not be seen; it is not counted. */
static inline size_t
rig_n_attempts(const struct rig *r)
{
	const struct ledger *l = backend_ledger(r->backend);
	size_t n = 0;

	for (size_t i = 0; i < ledger_n_attempts(l); i++)
		n += !ledger_attempt(l, i)->unseen;
	return n;
}

/* How often something happened; *last is its latest event. */
static inline int
rig_count(const struct rig *r, enum backend_what what,
    const struct backend_event **last)
{
	int n = 0;

	for (size_t i = 0; i < r->n_events; i++)
		if (r->events[i].what == what) {
			n++;
			if (last != NULL)
				*last = &r->events[i];
		}
	return n;
}

#endif
