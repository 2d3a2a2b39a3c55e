/* scene.c - see scene.h. */
#include "scene.h"

#include <arpa/inet.h>
#include <errno.h>
#include <inttypes.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

enum { PASSES_MAX = 20000, FIRES_MAX = 2000 };

/* A listener of each side serves all plays of the process. */
static int front_listener = -1, back_listener;
static struct sockaddr_in front, back;

struct scene_timer {
	struct scene_timer *next;
	proxy_fire_fn *fire;
	void *arg;
	int64_t due; /* -1: not armed */
};

static void
no_delay(int fd)
{
	int on = 1;

	setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
}

static struct scene *on_stage; /* timers know nothing of their scene */

void
scene_fail(const char *file, int line, const char *format, ...)
{
	va_list args;

	fprintf(stderr, "%s:%d: ", file, line);
	va_start(args, format);
	vfprintf(stderr, format, args);
	va_end(args);
	fprintf(stderr, "\n");
	fflush(NULL);
	abort();
}

/* ----------------------------------------------------------------- clock ---- */

static void *
timer_new(void *arg, proxy_fire_fn *fire, void *fire_arg)
{
	struct scene *s = arg;
	struct scene_timer *t = calloc(1, sizeof *t);

	if (t == NULL)
		return NULL;
	*t = (struct scene_timer){ s->timers, fire, fire_arg, -1 };
	s->timers = t;
	return t;
}

static void
timer_arm(void *timer, int64_t ms)
{
	((struct scene_timer *)timer)->due = on_stage->now_ms + ms;
}

static void
timer_cancel(void *timer)
{
	((struct scene_timer *)timer)->due = -1;
}

static void
timer_free(void *timer)
{
	struct scene_timer **at = &on_stage->timers;

	if (timer == NULL)
		return;
	while (*at != timer)
		at = &(*at)->next;
	*at = (*at)->next;
	free(timer);
}

bool
scene_fire(struct scene *s)
{
	struct scene_timer *first = NULL;

	for (struct scene_timer *t = s->timers; t != NULL; t = t->next)
		if (t->due >= 0 && (first == NULL || t->due < first->due))
			first = t;
	if (first == NULL)
		return false;
	s->was_fired = true;
	s->now_ms = first->due;
	first->due = -1;
	first->fire(first->arg);
	scene_settle(s);
	return true;
}

/* ----------------------------------------------------------------- watch ---- */

/* Which bytes of a connection belong to which attempt. */
static void
note_sent(struct scene *s, const struct proxy_event *e)
{
	struct sockaddr_in sin = { 0 };
	socklen_t size = sizeof sin;
	struct scene_flight *f;

	MUST(e->exchange > 0, "bytes of no exchange went to the backend");
	MUST(e->serial < SCENE_CONNS && e->exchange < SCENE_EXCHANGES,
	    "far too many connections, or exchanges");
	if (s->last_try[e->exchange] != e->attempt) {
		s->last_try[e->exchange] = e->attempt;
		s->n_tries[e->exchange]++;
		f = &s->flights[s->n_flights++];
		MUST(s->n_flights < SCENE_FLIGHTS, "far too many attempts");
		getsockname(e->fd, (struct sockaddr *)&sin, &size);
		*f = (struct scene_flight){ e->serial, e->exchange, e->attempt,
			ntohs(sin.sin_port), s->flown[e->serial], 0 };
		for (size_t i = 0; i < s->n_conns; i++)
			if (s->conns[i]->port == f->port)
				f->out_at = s->conns[i]->peer.sent;
	}
	s->flown[e->serial] += e->size;
}

static enum proxy_answer
hold(struct scene *s, struct proxy_actor *a)
{
	for (size_t i = 0; i < s->n_held; i++)
		if (s->held[i] == a)
			return PROXY_HOLD;
	if (s->n_held == SCENE_HELD || s->is_calm)
		return PROXY_GO;
	s->held[s->n_held++] = a;
	s->was_held = true;
	return PROXY_HOLD;
}

static void
forget(struct scene *s, const struct proxy_actor *a)
{
	for (size_t i = 0; i < s->n_held; i++)
		if (s->held[i] == a)
			s->held[i--] = s->held[--s->n_held];
}

static enum proxy_answer
enters(struct scene *s, const struct proxy_event *e)
{
	if (s->limit > 0 && strcmp(e->checkpoint, "upstream.sending") == 0) {
		proxy_limit(e->actor, s->limit);
		s->limit = 0;
	}
	if (s->hold == NULL || strcmp(s->hold, e->checkpoint) != 0)
		return PROXY_GO;
	s->hold = NULL;
	return hold(s, e->actor);
}

static enum proxy_answer
watch(void *arg, const struct proxy_event *e)
{
	bool is_upstream = strncmp(e->checkpoint, "upstream", 8) == 0;
	struct scene *s = arg;

	s->n_moves++;
	switch (e->what) {
	case PROXY_OPENED:
		if (s->small_buffers > 0)
			setsockopt(e->fd, SOL_SOCKET, SO_SNDBUF,
			    &s->small_buffers, sizeof s->small_buffers);
		break;
	case PROXY_ENTERED:
		return enters(s, e);
	case PROXY_LIMITED:
		return hold(s, e->actor);
	case PROXY_SENT:
		if (is_upstream)
			note_sent(s, e);
		break;
	case PROXY_CLOSED:
		forget(s, e->actor);
		break;
	case PROXY_READ:
	case PROXY_ATTEMPT:
	case PROXY_DONE:
		break;
	}
	return PROXY_GO;
}

void
scene_hold(struct scene *s, unsigned checkpoint)
{
	const char *const *all = proxy_checkpoints();
	unsigned n = 0;

	while (all[n] != NULL)
		n++;
	s->hold = all[checkpoint % n];
}

void
scene_release(struct scene *s)
{
	s->hold = NULL;
	while (s->n_held > 0)
		proxy_release(s->held[--s->n_held]);
	scene_settle(s);
}

/* ----------------------------------------------------------------- peers ---- */

static void
append(struct scene_bytes *b, const void *bytes, size_t size)
{
	if (size == 0)
		return;
	if (b->room - b->size < size) {
		b->room = 2 * b->room + size;
		b->p = realloc(b->p, b->room);
		if (b->p == NULL)
			abort();
	}
	memcpy(b->p + b->size, bytes, size);
	b->size += size;
}

static void
free_peer(struct scene *s, struct scene_peer *p)
{
	scene_rst(s, p);
	free(p->in.p);
	free(p->out.p);
	*p = (struct scene_peer){ .fd = -1 };
}

static void
flush_peer(struct scene *s, struct scene_peer *p)
{
	ssize_t n;

	while (p->fd >= 0 && !p->broken && p->sent < p->out.size) {
		n = send(p->fd, p->out.p + p->sent, p->out.size - p->sent,
		    MSG_DONTWAIT | MSG_NOSIGNAL);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0 && errno == EAGAIN)
			return;
		s->n_moves++;
		p->broken = n < 0;
		p->sent += n < 0 ? 0 : (size_t)n;
	}
	if (p->fd >= 0 && p->fin_wanted && !p->fin_sent) {
		p->fin_sent = true;
		s->n_moves++;
		shutdown(p->fd, SHUT_WR);
	}
}

static void
read_peer(struct scene *s, struct scene_peer *p)
{
	static char bytes[65536];
	int on = 1;
	ssize_t n;

	while (p->fd >= 0 && !p->deaf && !p->eof && !p->reset) {
		n = recv(p->fd, bytes, sizeof bytes, MSG_DONTWAIT);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0 && errno == EAGAIN)
			return;
		s->n_moves++;
		if (n > 0)
			append(&p->in, bytes, (size_t)n);
		p->eof = n == 0;
		p->reset = n < 0;
		/* A small buffer of the proxy's waits for each ACK. */
		if (s->small_buffers > 0)
			setsockopt(
			    p->fd, IPPROTO_TCP, TCP_QUICKACK, &on, sizeof on);
	}
}

void
scene_send(
    struct scene *s, struct scene_peer *p, const void *bytes, size_t size)
{
	if (p->fd < 0 || p->fin_wanted || p->broken)
		return;
	append(&p->out, bytes, size);
	flush_peer(s, p);
}

void
scene_fin(struct scene *s, struct scene_peer *p)
{
	p->fin_wanted = true;
	flush_peer(s, p);
}

void
scene_rst(struct scene *s, struct scene_peer *p)
{
	struct linger at_once = { 1, 0 };

	if (p->fd < 0)
		return;
	s->n_moves++;
	setsockopt(p->fd, SOL_SOCKET, SO_LINGER, &at_once, sizeof at_once);
	close(p->fd);
	p->fd = -1;
}

void
scene_connect(struct scene *s)
{
	int failed;

	free_peer(s, &s->client);
	s->client.fd = socket(AF_INET, SOCK_STREAM, 0);
	/* A fuzzer's alarm may come in between; then it goes on by itself. */
	do
		failed = connect(
		    s->client.fd, (struct sockaddr *)&front, sizeof front);
	while (failed && errno == EINTR);
	if (failed && errno != EISCONN)
		FAIL("connect: %s", strerror(errno));
	no_delay(s->client.fd);
	scene_settle(s);
}

/* --------------------------------------------------------------- backend ---- */

static void
accept_conns(struct scene *s)
{
	struct sockaddr_in sin;
	socklen_t size = sizeof sin;
	struct scene_conn *c;
	int fd;

	while ((fd = accept4(s->listener, (struct sockaddr *)&sin, &size,
		    SOCK_NONBLOCK)) >= 0) {
		MUST(s->n_conns < SCENE_CONNS, "far too many connections");
		c = calloc(1, sizeof *c);
		if (c == NULL)
			abort();
		no_delay(fd);
		c->peer.fd = fd;
		c->port = ntohs(sin.sin_port);
		s->conns[s->n_conns++] = c;
		s->n_moves++;
	}
}

void
scene_answer(const struct scene *s, const struct scene_conn *c,
    const struct scene_arrival *a, struct scene_answer *answer)
{
	const struct scene_peer *p = &c->peer;
	bool ended = p->fin_sent;
	const char *bytes = p->out.p == NULL ? "" : p->out.p;
	size_t at = a->out_at, end = p->sent;
	struct strict_message *m = &answer->final;

	answer->n_interim = 0;
	if (a + 1 < c->arrivals + c->n_arrivals) {
		end = a[1].out_at;
		ended = false;
	}
	for (;; answer->n_interim++) {
		strict_response(m, bytes + at, end - at, a->is_head, ended,
		    (size_t)s->options.head_bytes);
		if (m->status >= 200 || m->verdict == STRICT_MORE ||
		    m->verdict == STRICT_BAD)
			break;
		at += m->size;
		strict_free(m);
	}
	answer->bytes = bytes + at;
	answer->n_bytes = end - at;
}

bool
scene_last_arrival(const struct scene *s, unsigned long exchange,
    const struct scene_conn **conn, const struct scene_arrival **arrival)
{
	*arrival = NULL;
	for (size_t i = 0; i < s->n_conns; i++) {
		const struct scene_conn *c = s->conns[i];

		for (size_t k = 0; k < c->n_arrivals; k++) {
			const struct scene_arrival *a = &c->arrivals[k];

			if (a->exchange != exchange ||
			    (*arrival != NULL && (*arrival)->order > a->order))
				continue;
			*conn = c;
			*arrival = a;
		}
	}
	return *arrival != NULL;
}

/* RFC 9112 9.2: a connection is used again only behind a whole response, and
 * not if it spoke once more; but who was held in front of its send cannot know
 * that. */
static void
check_reuse(struct scene *s, struct scene_conn *c, struct scene_arrival *a)
{
	struct scene_answer answer;
	struct strict_message *m = &answer.final;
	size_t end;

	scene_answer(s, c, a - 1, &answer);
	MUST(m->verdict == STRICT_GOOD || m->verdict == STRICT_MAY,
	    "a connection was used again behind a response that was %s",
	    m->why == NULL ? "not whole" : m->why);
	MUST(!m->last, "a connection was used again that was to be closed");
	end = (size_t)(answer.bytes - c->peer.out.p) + m->size;
	MUST(end == a->out_at || s->was_held,
	    "a request rode a connection that had spoken");
	a->out_at = end;
	strict_free(m);
}

/* A new request begins on the connection. */
static struct scene_arrival *
begin_arrival(struct scene *s, struct scene_conn *c, size_t in_at)
{
	struct scene_arrival *a = &c->arrivals[c->n_arrivals++];

	MUST(c->n_arrivals < SCENE_ARRIVALS, "far too many requests");
	a->order = ++s->n_arrivals;
	a->in_at = in_at;
	for (size_t i = 0; i < s->n_flights; i++)
		if (s->flights[i].port == c->port &&
		    s->flights[i].begin == in_at) {
			a->exchange = s->flights[i].exchange;
			a->out_at = s->flights[i].out_at;
		}
	MUST(a->exchange > 0,
	    "what the backend reads as a request is none of the proxy's");
	if (a > c->arrivals)
		check_reuse(s, c, a);
	return a;
}

static void
answer_plainly(
    struct scene *s, struct scene_conn *c, const struct strict_message *m)
{
	char text[128];
	int n = snprintf(text, sizeof text,
	    "HTTP/1.1 200 OK\r\nX-Sum: %016" PRIx64
	    "\r\nContent-Length: 2\r\n\r\nok",
	    scene_sum(m, true));

	scene_send(s, &c->peer, text, (size_t)n);
}

/* What the proxy says of the connection is its own. */
static void
check_connection(const struct strict_message *m)
{
	MUST(strict_count(m, "connection") <= 1, "two Connection fields");
	if (strict_count(m, "connection") == 1)
		MUST(strict_is(strict_value(m, "connection"), "close") ||
			strict_is(strict_value(m, "connection"), "upgrade"),
		    "a Connection field that the proxy cannot mean");
}

/* Follow the newest request.  Returns: true where it has become whole. */
static bool
follow(struct scene *s, struct scene_conn *c)
{
	struct scene_arrival *a = &c->arrivals[c->n_arrivals - 1];
	struct strict_message m;

	strict_request(
	    &m, c->peer.in.p + a->in_at, c->peer.in.size - a->in_at, SIZE_MAX);
	if (m.verdict == STRICT_BAD)
		FAIL("what comes to the backend is malformed: %s", m.why);
	if (m.head_size > 0 && !a->head) {
		a->head = true;
		a->is_head = strict_is_head(&m);
		MUST(m.minor == 1, "the backend is not spoken to in HTTP/1.1");
		MUST(strict_count(&m, "host") == 1, "no Host");
		MUST(strict_count(&m, "content-length") <= 1, "two lengths");
		check_connection(&m);
		if (s->on_head != NULL && !s->plain)
			s->on_head(s, c, a, &m);
	}
	if (m.verdict != STRICT_MORE && !a->whole) {
		a->whole = true;
		a->in_end = a->in_at + m.size;
		if (s->plain)
			answer_plainly(s, c, &m);
		else
			s->on_whole(s, c, a, &m);
	}
	strict_free(&m);
	return a->whole;
}

static void
read_requests(struct scene *s, struct scene_conn *c)
{
	struct scene_arrival *a;
	size_t at;

	for (;;) {
		a = c->n_arrivals == 0 ? NULL : &c->arrivals[c->n_arrivals - 1];
		if (a != NULL && !a->whole && !follow(s, c))
			return;
		at = a == NULL ? 0 : a->in_end;
		if (at == c->peer.in.size)
			return;
		a = begin_arrival(s, c, at);
		if (s->on_begin != NULL && !s->plain)
			s->on_begin(s, c, a);
	}
}

static void
move_conn(struct scene *s, struct scene_conn *c)
{
	size_t before = c->peer.in.size;

	flush_peer(s, &c->peer);
	read_peer(s, &c->peer);
	if (c->peer.in.size > before)
		read_requests(s, c);
}

/* ------------------------------------------------------------------ loop ---- */

/* The other ends' turn. */
static void
move_peers(struct scene *s)
{
	accept_conns(s);
	for (size_t i = 0; i < s->n_conns; i++)
		move_conn(s, s->conns[i]);
	flush_peer(s, &s->client);
	read_peer(s, &s->client);
}

void
scene_settle(struct scene *s)
{
	unsigned long before, n = 0;

	do {
		MUST(n++ < PASSES_MAX, "it never comes to rest");
		before = s->n_moves;
		event_base_loop(s->base, EVLOOP_ONCE | EVLOOP_NONBLOCK);
		/* Where the proxy did nothing, nobody has got anything. */
		if (s->n_moves != s->n_seen)
			move_peers(s);
		s->n_seen = s->n_moves;
	} while (s->n_moves != before ||
	    event_base_get_num_events(s->base, EVENT_BASE_COUNT_ACTIVE) > 0);
}

static int
listen_on(struct sockaddr_in *sin)
{
	socklen_t size = sizeof *sin;
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);

	*sin = (struct sockaddr_in){ .sin_family = AF_INET };
	sin->sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	if (bind(fd, (struct sockaddr *)sin, sizeof *sin) != 0 ||
	    listen(fd, 64) != 0 ||
	    getsockname(fd, (struct sockaddr *)sin, &size) != 0)
		FAIL("listen: %s", strerror(errno));
	return fd;
}

static void
read_options(struct scene *s, const uint8_t *b)
{
	static const int heads[] = { 32768, 256, 300, 1024 };
	static const int replays[] = { 65536, 0, 2, 1000 };
	static const int pools[] = { 128, 0, 1, 2 };
	struct proxy_options *o = &s->options;
	char error[256];

	proxy_options_init(o);
	place_of(&o->upstreams[0], &back);
	o->n_upstreams = 1;
	o->retry = (RETRY_IDEMPOTENT + b[0]) % N_RETRY;
	o->reuse = (REUSE_ALWAYS + b[0] / N_RETRY) % N_REUSE;
	o->retries = (1 + b[0] / (N_RETRY * N_REUSE)) % 4;
	o->head_bytes = heads[b[1] % 4];
	o->replay_bytes = replays[b[1] / 4 % 4];
	o->pool_size = pools[b[1] / 16 % 4];
	o->max_uses = b[1] / 64;
	o->verify = b[2] & 1 ? VERIFY_NONE : VERIFY_PEEK;
	o->backoff_ms = b[2] & 2 ? 10 : 0;
	o->linger_ms = b[2] & 4 ? 0 : 2000;
	o->honour_keep_alive = b[2] & 8 ? 0 : 1;
	o->persist_client = b[2] & 32 ? 0 : 1;
	o->spares = b[2] & 64 ? 1 : 0;
	o->probe_unsafe = b[2] & 128 ? PROBE_FRESH : PROBE_NONE;
	if (o->reuse == REUSE_NEVER || o->pool_size == 0)
		o->spares = 0;
	MUST(proxy_options_check(o, error, sizeof error) == 0, "%s", error);
	s->small_buffers = b[2] & 16 ? 1 : 0;
}

void
scene_open(struct scene *s, const uint8_t *options)
{
	static const struct scene empty;
	struct proxy_clock clock = { s, timer_new, timer_arm, timer_cancel,
		timer_free, NULL, NULL };

	if (front_listener < 0) {
		front_listener = listen_on(&front);
		back_listener = listen_on(&back);
	}
	*s = empty;
	on_stage = s;
	s->client.fd = -1;
	s->listener = back_listener;
	s->base = event_base_new();
	read_options(s, options);
	s->proxy = proxy_new(s->base, &s->options, &clock, watch, s);
	if (s->proxy == NULL ||
	    proxy_listen(s->proxy, dup(front_listener)) != 0)
		abort();
}

void
scene_close(struct scene *s)
{
	free_peer(s, &s->client);
	for (size_t i = 0; i < s->n_conns; i++) {
		free_peer(s, &s->conns[i]->peer);
		free(s->conns[i]);
	}
	proxy_refuse_waiting(s->proxy);
	proxy_free(s->proxy);
	MUST(s->timers == NULL, "a timer is left behind");
	MUST(event_base_get_num_events(s->base, EVENT_BASE_COUNT_ADDED) == 0,
	    "an event is left behind");
	event_base_free(s->base);
}

/* --------------------------------------------------------------- judging ---- */

uint64_t
scene_sum(const struct strict_message *m, bool with_body)
{
	const struct strict_text parts[] = { m->method, m->path,
		{ m->body, with_body ? m->body_size : 0 } };
	uint64_t sum = 14695981039346656037u;

	for (size_t i = 0; i < 3; i++) {
		for (size_t k = 0; k < parts[i].size; k++)
			sum = (sum ^ (unsigned char)parts[i].bytes[k]) *
			    1099511628211u;
		sum = (sum ^ 0x100) * 1099511628211u;
	}
	return sum;
}

bool
scene_request(const struct scene_peer *client, size_t n, size_t head_bytes,
    struct strict_message *m)
{
	const char *bytes = client->out.p;
	size_t left = client->sent, i = 0;

	for (;;) {
		while (left >= 2 && memcmp(bytes, "\r\n", 2) == 0) {
			bytes += 2;
			left -= 2;
		}
		if (left == 0 || (left == 1 && *bytes == '\r'))
			return false;
		strict_request(m, bytes, left, head_bytes);
		if (i++ == n)
			return true;
		if (m->last || m->verdict == STRICT_MORE ||
		    m->verdict == STRICT_BAD) {
			strict_free(m);
			return false;
		}
		bytes += m->size;
		left -= m->size;
		strict_free(m);
	}
}

static bool
begins(struct strict_text t, const char *with)
{
	size_t n = strlen(with);

	return t.size >= n && memcmp(t.bytes, with, n) == 0;
}

static bool
ends(struct strict_text t, const char *with)
{
	size_t n = strlen(with);

	return t.size >= n && memcmp(t.bytes + t.size - n, with, n) == 0;
}

bool
scene_is_own(const struct strict_message *m)
{
	return begins(strict_value(m, "proxy-status"), "closerace; error=") ||
	    begins(strict_value(m, "proxy-status"),
		"closerace; details=\"Max-Forwards");
}

static bool
is_of_proxy(const struct strict_field *f)
{
	return (strict_is(f->name, "via") && ends(f->value, "closerace")) ||
	    (strict_is(f->name, "proxy-status") &&
		begins(f->value, "closerace; details="));
}

/* The next field that is meant for the other end. */
static bool
next_field(const struct strict_message *in, const struct strict_message *m,
    bool is_out, size_t *at, struct strict_field *f)
{
	while (strict_next(m, at, f)) {
		if (is_out ? strict_is(f->name, "connection") ||
			    strict_is(f->name, "transfer-encoding") ||
			    strict_is(f->name, "upgrade")
			   : strict_is_hop(m, f->name))
			continue;
		if (is_of_proxy(f))
			continue;
		if (strict_is(f->name, "expect") && in->minor == 0)
			continue;
		/* RFC 9110 7.6.2: it is made anew. */
		if (strict_is(f->name, "max-forwards") && strict_is_counted(in))
			continue;
		/* RFC 9112 3.2.2: it may be made anew. */
		if (strict_is(f->name, "host"))
			continue;
		/* RFC 9110 8.6: it must not be there. */
		if (strict_is(f->name, "content-length") &&
		    (in->status == 204 || in->status / 100 == 1))
			continue;
		return true;
	}
	return false;
}

static bool
same_text(struct strict_text a, struct strict_text b)
{
	return a.size == b.size &&
	    (a.size == 0 || memcmp(a.bytes, b.bytes, a.size) == 0);
}

void
scene_same_fields(
    const struct strict_message *in, const struct strict_message *out)
{
	struct strict_text a = strict_value(in, "host"),
			   b = strict_value(out, "host");
	struct strict_field f, g;
	size_t at = 0, out_at = 0;

	while (next_field(in, in, false, &at, &f)) {
		MUST(next_field(in, out, true, &out_at, &g),
		    "a field got lost: %.*s", (int)f.name.size, f.name.bytes);
		MUST(same_text(f.name, g.name) && same_text(f.value, g.value),
		    "a field became another: %.*s, %.*s", (int)f.name.size,
		    f.name.bytes, (int)g.name.size, g.name.bytes);
	}
	MUST(!next_field(in, out, true, &out_at, &g),
	    "a field should have stayed behind: %.*s", (int)g.name.size,
	    g.name.bytes);
	if (in->authority.size > 0)
		MUST(same_text(in->authority, b),
		    "Host is not that of the target");
	else if (in->target.size > 0 && strict_count(in, "host") == 1)
		MUST(same_text(a, b), "Host became another");
}

static bool
is_one_of(struct strict_text t, const char *const *words)
{
	for (; *words != NULL; words++)
		if (t.size == strlen(*words) &&
		    memcmp(t.bytes, *words, t.size) == 0)
			return true;
	return false;
}

/* Has the request such a field, as the backend sees it? */
static bool
sends(const struct strict_message *m, const char *name)
{
	struct strict_text text = { name, strlen(name) };

	return strict_count(m, name) > 0 && !strict_is_hop(m, text);
}

unsigned
scene_tries_max(const struct proxy_options *o, const struct strict_message *m)
{
	/* RFC 9110 9.2.2 */
	static const char *const idempotent[] = { "GET", "HEAD", "OPTIONS",
		"TRACE", "PUT", "DELETE", NULL };
	static const char *const safe[] = { "GET", "HEAD", NULL };
	bool may = false;

	switch (o->retry) {
	case RETRY_NEVER:
	case N_RETRY:
		break;
	case RETRY_STATIC:
		may = is_one_of(m->method, safe) &&
		    memchr(m->target.bytes, '?', m->target.size) == NULL &&
		    !sends(m, "cookie") && !sends(m, "authorization");
		break;
	case RETRY_IDEMPOTENT:
		may = is_one_of(m->method, idempotent);
		break;
	case RETRY_LISTED:
		may = is_one_of(m->method, idempotent) ||
		    sends(m, "idempotency-key");
		break;
	case RETRY_ALWAYS:
		may = true;
		break;
	}
	return may ? 1 + (unsigned)o->retries : 1;
}

/* How often did a 408 cross the request on a connection that had been used
 * (RFC 9110 15.5.9)? */
static unsigned
n_crossed(const struct scene *s, unsigned long exchange)
{
	struct scene_answer answer;
	unsigned n = 0;

	for (size_t i = 0; i < s->n_conns; i++)
		for (size_t k = 1; k < s->conns[i]->n_arrivals; k++) {
			const struct scene_conn *c = s->conns[i];

			if (c->arrivals[k].exchange != exchange)
				continue;
			scene_answer(s, c, &c->arrivals[k], &answer);
			n += answer.final.status == 408 && answer.final.last &&
			    answer.n_interim == 0;
			strict_free(&answer.final);
		}
	return n;
}

static unsigned
tries_max(const struct scene *s, unsigned long exchange,
    const struct strict_message *m)
{
	unsigned by_policy = scene_tries_max(&s->options, m);
	unsigned crossed = n_crossed(s, exchange);

	if (s->options.retry == RETRY_NEVER)
		return by_policy;
	if (crossed > (unsigned)s->options.retries)
		crossed = (unsigned)s->options.retries;
	return by_policy > 1 + crossed ? by_policy : 1 + crossed;
}

static void
check_arrival(struct scene *s, const struct scene_peer *client,
    const struct scene_conn *c, const struct scene_arrival *a)
{
	struct strict_message in, out;

	MUST(scene_request(
		 client, a->exchange - 1, (size_t)s->options.head_bytes, &in),
	    "a request came to the backend that nobody sent");
	MUST(in.head_good, "a request came to the backend with a bad head: %s",
	    in.why == NULL ? "not whole" : in.why);
	strict_request(&out, c->peer.in.p + a->in_at,
	    c->peer.in.size - a->in_at, SIZE_MAX);
	if (out.head_size > 0) {
		MUST(!strict_is_counted(&in) ||
			(strict_is_counted(&out) && !strict_is_used_up(&in)),
		    "a request goes further than it may");
		MUST(same_text(in.method, out.method), "another method");
		MUST(same_text(in.path, out.path), "another target");
		MUST(in.framing == out.framing, "another framing");
		scene_same_fields(&in, &out);
		MUST(out.body_size <= in.body_size &&
			(out.body_size == 0 ||
			    memcmp(in.body, out.body, out.body_size) == 0),
		    "another body");
	}
	MUST(!out.reframes, "a trailer goes on that must not");
	if (out.verdict != STRICT_MORE)
		MUST(in.verdict == STRICT_GOOD || in.verdict == STRICT_MAY,
		    "a request was made whole that the client never ended: %s",
		    in.why == NULL ? "not whole" : in.why);
	MUST(s->n_tries[a->exchange] <= tries_max(s, a->exchange, &in),
	    "a request was sent %u times", s->n_tries[a->exchange]);
	strict_free(&in);
	strict_free(&out);
}

void
scene_check_arrivals(struct scene *s, const struct scene_peer *client)
{
	for (size_t i = 0; i < s->n_conns; i++)
		for (size_t k = 0; k < s->conns[i]->n_arrivals; k++)
			check_arrival(
			    s, client, s->conns[i], &s->conns[i]->arrivals[k]);
}

void
scene_calm(struct scene *s)
{
	for (size_t i = 0; i < s->n_conns; i++)
		s->conns[i]->peer.deaf = false;
	s->client.deaf = false;
	s->n_moves++;
	s->is_calm = true; /* a limit may still be in force */
	scene_release(s);
}

/* The next client is served as if nothing had been. */
static void
check_next_client(struct scene *s)
{
	static const char ask[] = "GET /after HTTP/1.1\r\nHost: t\r\n\r\n";
	struct strict_message q, m;
	struct strict_text sum;
	char expected[32];

	scene_connect(s);
	scene_send(s, &s->client, ask, sizeof ask - 1);
	scene_settle(s);
	strict_request(&q, ask, sizeof ask - 1, SIZE_MAX);
	snprintf(expected, sizeof expected, "%016" PRIx64, scene_sum(&q, true));
	strict_response(
	    &m, s->client.in.p, s->client.in.size, false, false, SIZE_MAX);
	MUST(m.verdict == STRICT_GOOD && m.status == 200,
	    "the next client is not served: %d", m.status);
	sum = strict_value(&m, "x-sum");
	MUST(sum.size == 16 && memcmp(sum.bytes, expected, 16) == 0,
	    "the next client got a foreign answer");
	MUST(m.size == s->client.in.size && s->client.eof == m.last &&
		!s->client.reset,
	    "the next client got more than its answer");
	strict_free(&m);
	strict_free(&q);
}

void
scene_check_end(struct scene *s)
{
	unsigned n = 0;

	s->plain = true;
	check_next_client(s);
	scene_fin(s, &s->client);
	scene_settle(s);
	while (scene_fire(s))
		MUST(n++ < FIRES_MAX, "there is always one more timer");
	MUST(proxy_n_sessions(s->proxy) == 0, "a session never ends");
}
