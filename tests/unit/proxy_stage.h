/* proxy_stage.h - the real proxy between a raw client and a raw backend that
 * the test plays by hand, all in one thread.
 *
 * Nothing sleeps: a wait is passes of the proxy's loop and polls of the peer,
 * both bounded.  Time goes by only in stage_advance().
 */
#ifndef TESTS_PROXY_STAGE_H
#define TESTS_PROXY_STAGE_H

#include <arpa/inet.h>
#include <errno.h>
#include <event2/event.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "proxy/proxy.h"

enum { STAGE_ATTEMPTS = 16, STAGE_TURNS = 2000 };

struct stage_timer {
	struct stage_timer *next;
	proxy_fire_fn *fire;
	void *arg;
	int64_t due; /* -1: not armed */
};

struct stage_attempt {
	struct attempt facts;
	bool good;
	enum retry_action action;
	char why[80];
	unsigned long upstream;
	unsigned n;
};

struct stage {
	struct event_base *base;
	struct proxy_options options;
	struct proxy_clock clock;
	struct proxy *proxy;
	int backend; /* listening */
	unsigned short front, back;
	struct stage_timer *timers;
	int64_t now_ms;

	const char *hold; /* checkpoint */
	unsigned n_holds; /* how many more */
	struct proxy_actor *held;
	long limit;	   /* put on an upstream that enters sending; -1 */
	bool hold_limited; /* the answer to LIMITED */

	struct stage_attempt attempts[STAGE_ATTEMPTS];
	unsigned n_attempts, n_opened, n_closed, n_limited;
	unsigned long n_upstreams;
	struct proxy_account account; /* the last one */
	unsigned n_accounts;
	void (*also)(struct stage *, const struct proxy_event *); /* or NULL */
	char seen[8192]; /* checkpoints, in order, each behind a space */
	char heard[65536];
};

/* ---------------------------------------------------------------- clock ---- */

static void *
stage_timer_new(void *arg, proxy_fire_fn *fire, void *fire_arg)
{
	struct stage *s = arg;
	struct stage_timer *t = calloc(1, sizeof *t);

	*t = (struct stage_timer){ s->timers, fire, fire_arg, -1 };
	s->timers = t;
	return t;
}

static struct stage *stage_of_clock;

static inline void
stage_timer_arm(void *timer, int64_t ms)
{
	((struct stage_timer *)timer)->due = stage_of_clock->now_ms + ms;
}

static inline void
stage_timer_cancel(void *timer)
{
	((struct stage_timer *)timer)->due = -1;
}

static inline void
stage_timer_free(void *timer)
{
	struct stage_timer **at = &stage_of_clock->timers;

	if (timer == NULL)
		return;
	while (*at != timer)
		at = &(*at)->next;
	*at = (*at)->next;
	free(timer);
}

static inline int64_t
stage_now_us(void *arg)
{
	struct stage *s = arg;

	return s->now_ms * 1000 + 1; /* 0 would mean: not reached */
}

/* ----------------------------------------------------------------- loop ---- */

static inline void
stage_turn(struct stage *s)
{
	event_base_loop(s->base, EVLOOP_ONCE | EVLOOP_NONBLOCK);
}

/* Let the proxy do all it can. */
static inline void
stage_settle(struct stage *s)
{
	for (int i = 0; i < 20; i++)
		stage_turn(s);
}

static inline void
stage_advance(struct stage *s, int64_t ms)
{
	int64_t end = s->now_ms + ms;

	stage_settle(s);
	for (;;) {
		struct stage_timer *first = NULL;

		for (struct stage_timer *t = s->timers; t; t = t->next)
			if (t->due >= 0 && t->due <= end &&
			    (first == NULL || t->due < first->due))
				first = t;
		if (first == NULL)
			break;
		s->now_ms = first->due;
		first->due = -1;
		first->fire(first->arg);
		stage_settle(s);
	}
	s->now_ms = end;
}

/* ---------------------------------------------------------------- watch ---- */

static inline void
stage_keep_attempt(struct stage *s, const struct proxy_event *e)
{
	struct stage_attempt *a = &s->attempts[s->n_attempts];

	if (s->n_attempts == STAGE_ATTEMPTS)
		return;
	s->n_attempts++;
	*a = (struct stage_attempt){ .facts = *e->facts,
		.good = e->decision == NULL,
		.upstream = e->upstream,
		.n = e->attempt };
	if (e->decision != NULL) {
		a->action = e->decision->action;
		snprintf(a->why, sizeof a->why, "%s", e->decision->why);
	}
}

static enum proxy_answer
stage_watch(void *arg, const struct proxy_event *e)
{
	struct stage *s = arg;
	size_t n = strlen(s->seen);

	if (s->also != NULL)
		s->also(s, e);
	switch (e->what) {
	case PROXY_OPENED:
		s->n_opened++;
		if (strncmp(e->checkpoint, "upstream", 8) == 0)
			s->n_upstreams = e->serial;
		break;
	case PROXY_CLOSED:
		s->n_closed++;
		if (e->actor == s->held)
			s->held = NULL;
		break;
	case PROXY_DONE:
		s->account = *e->account;
		s->n_accounts++;
		break;
	case PROXY_ATTEMPT:
		stage_keep_attempt(s, e);
		break;
	case PROXY_LIMITED:
		s->n_limited++;
		s->held = s->hold_limited ? e->actor : s->held;
		return s->hold_limited ? PROXY_HOLD : PROXY_GO;
	case PROXY_ENTERED:
		if (n + strlen(e->checkpoint) + 2 < sizeof s->seen)
			sprintf(s->seen + n, " %s", e->checkpoint);
		if (s->limit >= 0 &&
		    strcmp(e->checkpoint, "upstream.sending") == 0) {
			proxy_limit(e->actor, (size_t)s->limit);
			s->limit = -1;
		}
		if (s->n_holds == 0 || strcmp(e->checkpoint, s->hold) != 0)
			break;
		s->n_holds--;
		s->held = e->actor;
		return PROXY_HOLD;
	default:
		break;
	}
	return PROXY_GO;
}

/* -------------------------------------------------------------- sockets ---- */

static inline int
stage_listen(unsigned short *port)
{
	struct sockaddr_in sin = { .sin_family = AF_INET };
	socklen_t size = sizeof sin;
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);

	sin.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	if (bind(fd, (struct sockaddr *)&sin, sizeof sin) != 0 ||
	    listen(fd, 64) != 0 ||
	    getsockname(fd, (struct sockaddr *)&sin, &size) != 0)
		abort();
	*port = ntohs(sin.sin_port);
	return fd;
}

/* What is said is to arrive at once, however little it is. */
static inline int
stage_no_delay(int fd)
{
	int on = 1;

	setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
	return fd;
}

/* Options are "name=value", ended by NULL. */
static inline void
stage_open(struct stage *s, const char *const *options)
{
	static const struct stage empty;
	char name[64], error[512];
	int fd;

	*s = empty;
	s->limit = -1;
	s->clock = (struct proxy_clock){ s, stage_timer_new, stage_timer_arm,
		stage_timer_cancel, stage_timer_free, stage_now_us, NULL };
	stage_of_clock = s;
	s->base = event_base_new();
	s->backend = stage_listen(&s->back);
	proxy_options_init(&s->options);
	place_of(&s->options.upstreams[0],
	    &(struct sockaddr_in){ .sin_family = AF_INET,
		.sin_addr.s_addr = htonl(INADDR_LOOPBACK),
		.sin_port = htons(s->back) });
	s->options.n_upstreams = 1;
	for (; options != NULL && *options != NULL; options++) {
		const char *equals = strchr(*options, '=');

		snprintf(name, sizeof name, "%.*s", (int)(equals - *options),
		    *options);
		if (proxy_options_set(&s->options, name, equals + 1, error,
			sizeof error) != 0) {
			fprintf(stderr, "%s\n", error);
			abort();
		}
	}
	s->proxy = proxy_new(s->base, &s->options, &s->clock, stage_watch, s);
	fd = stage_listen(&s->front);
	if (s->proxy == NULL || proxy_listen(s->proxy, fd) != 0)
		abort();
}

static inline void
stage_close(struct stage *s)
{
	proxy_free(s->proxy);
	if (s->backend >= 0)
		close(s->backend);
	event_base_free(s->base);
}

static inline int
stage_client(struct stage *s)
{
	struct sockaddr_in sin = { .sin_family = AF_INET };
	int fd = socket(AF_INET, SOCK_STREAM, 0);

	sin.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	sin.sin_port = htons(s->front);
	if (connect(fd, (struct sockaddr *)&sin, sizeof sin) != 0)
		abort();
	fcntl(fd, F_SETFL, O_NONBLOCK);
	return stage_no_delay(fd);
}

static inline void
stage_say(struct stage *s, int fd, const char *text)
{
	size_t size = strlen(text);
	ssize_t n = send(fd, text, size, MSG_NOSIGNAL);

	if (n != (ssize_t)size)
		fprintf(stderr, "# short send: %zd of %zu\n", n, size);
	stage_settle(s);
}

/* The next connection that the proxy opens to the backend, or -1. */
static inline int
stage_accept(struct stage *s)
{
	for (int i = 0; i < STAGE_TURNS; i++) {
		struct pollfd p = { s->backend, POLLIN, 0 };
		int fd;

		stage_turn(s);
		if (poll(&p, 1, i > 20) <= 0)
			continue;
		fd = accept4(s->backend, NULL, NULL, SOCK_NONBLOCK);
		if (fd >= 0)
			return stage_no_delay(fd);
	}
	return -1;
}

/* Read until the text contains what is awaited (NULL: until the end).  The end
 * shows as "<fin>" or "<rst>", a wait in vain as "<nothing>". */
static inline const char *
stage_hear(struct stage *s, int fd, const char *awaited)
{
	size_t n = 0;

	s->heard[0] = '\0';
	for (int i = 0; i < STAGE_TURNS; i++) {
		struct pollfd p = { fd, POLLIN, 0 };
		ssize_t r;

		stage_turn(s);
		if (poll(&p, 1, i > 20) <= 0)
			continue;
		r = recv(fd, s->heard + n, sizeof s->heard - n - 16, 0);
		if (r > 0) {
			n += (size_t)r;
			s->heard[n] = '\0';
			if (awaited != NULL && strstr(s->heard, awaited))
				return s->heard;
		} else if (r == 0) {
			strcpy(s->heard + n, "<fin>");
			return s->heard;
		} else if (errno == ECONNRESET) {
			strcpy(s->heard + n, "<rst>");
			return s->heard;
		}
	}
	strcpy(s->heard + n, "<nothing>");
	return s->heard;
}

/* Is the text in what is heard up to what is awaited? */
static inline bool
stage_hears(struct stage *s, int fd, const char *awaited, const char *text)
{
	return strstr(stage_hear(s, fd, awaited), text) != NULL;
}

static inline void
stage_reset(struct stage *s, int fd)
{
	struct linger at_once = { 1, 0 };

	setsockopt(fd, SOL_SOCKET, SO_LINGER, &at_once, sizeof at_once);
	close(fd);
	stage_settle(s);
}

static inline void
stage_fin(struct stage *s, int fd)
{
	shutdown(fd, SHUT_WR);
	stage_settle(s);
}

static inline void
stage_hold(struct stage *s, const char *checkpoint, unsigned times)
{
	s->hold = checkpoint;
	s->n_holds = times;
}

static inline void
stage_release(struct stage *s)
{
	struct proxy_actor *a = s->held;

	s->held = NULL;
	if (a != NULL)
		proxy_release(a);
	stage_settle(s);
}

#define OK_2 "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
#define GET  "GET /g HTTP/1.1\r\nHost: t\r\n\r\n"
#define POST "POST /p HTTP/1.1\r\nHost: t\r\nContent-Length: 3\r\n\r\nabc"

#define UPGRADE                                                    \
	"GET /chat HTTP/1.1\r\nHost: t\r\nConnection: Upgrade\r\n" \
	"Upgrade: chat\r\n\r\n"
#define SWITCHED                               \
	"HTTP/1.1 101 Switching Protocols\r\n" \
	"Connection: upgrade\r\nUpgrade: chat\r\n\r\n"

/* One exchange that leaves an idle connection in the pool.  Returns: the
 * backend's end of it. */
static inline int
stage_warm(struct stage *s, int client)
{
	int conn;

	stage_say(s, client, "GET /warm HTTP/1.1\r\nHost: t\r\n\r\n");
	conn = stage_accept(s);
	stage_hear(s, conn, "\r\n\r\n");
	stage_say(s, conn, OK_2);
	stage_hear(s, client, "ok");
	s->n_attempts = 0;
	return conn;
}

static inline void
stage_count_one(void *arg, const struct proxy_pooled *pooled)
{
	++*(unsigned *)arg;
}

static inline unsigned
stage_n_pooled(const struct stage *s)
{
	unsigned n = 0;

	proxy_pool(s->proxy, stage_count_one, &n);
	return n;
}

#endif
