/* Pool, policies, time, back-pressure, and the end of things. */
#include <sys/resource.h>

#include "check.h"
#include "proxy_stage.h"

static struct stage stage;

/* One GET over the connection, answered with the given head. */
static void
exchange(struct stage *s, int client, int conn, const char *answer)
{
	stage_say(s, client, GET);
	stage_hear(s, conn, "\r\n\r\n");
	stage_say(s, conn, answer);
	stage_hear(s, client, "ok");
}

static void
idle_timeouts(void)
{
	static const char *const options[] = { "idle_timeout_ms=9000",
		"client_timeout_ms=0", NULL };
	struct stage *s = &stage;
	int client, conn;

	stage_open(s, options);
	client = stage_client(s);
	conn = stage_warm(s, client);
	stage_advance(s, 8999);
	CHECK(stage_n_pooled(s) == 1, "idle for just less than its timeout");
	stage_advance(s, 1);
	CHECK(stage_n_pooled(s) == 0, "closed when the timeout is over");
	CHECK(stage_hears(s, conn, NULL, "<fin>"), "in an orderly way");
	close(conn);

	conn = stage_warm(s, client);
	exchange(s, client, conn,
	    "HTTP/1.1 200 OK\r\nKeep-Alive: timeout=5, max=100\r\n"
	    "Content-Length: 2\r\n\r\nok");
	stage_advance(s, 3999);
	CHECK(stage_n_pooled(s) == 1, "the hint counts ...");
	stage_advance(s, 1);
	CHECK(stage_n_pooled(s) == 0, "... less the margin");
	close(conn);

	conn = stage_warm(s, client);
	exchange(s, client, conn,
	    "HTTP/1.1 200 OK\r\nKeep-Alive: timeout=1\r\n"
	    "Content-Length: 2\r\n\r\nok");
	CHECK(stage_n_pooled(s) == 0, "a hint within the margin: not parked");
	close(conn);
	conn = stage_warm(s, client);
	exchange(s, client, conn,
	    "HTTP/1.1 200 OK\r\nKeep-Alive: max=1\r\n"
	    "Content-Length: 2\r\n\r\nok");
	CHECK(stage_n_pooled(s) == 1, "max=1: one more");
	exchange(s, client, conn, OK_2);
	CHECK(stage_n_pooled(s) == 0, "and no other");
	close(conn);
	close(client);
	stage_close(s);
}

static void
pool_limits(void)
{
	static const char *const small[] = { "pool_size=1", "max_uses=3",
		NULL };
	static const char *const none[] = { "reuse=never", NULL };
	struct stage *s = &stage;
	int client[2], conn[2];

	stage_open(s, small);
	for (int i = 0; i < 2; i++) {
		client[i] = stage_client(s);
		stage_say(s, client[i], GET);
		conn[i] = stage_accept(s);
		stage_hear(s, conn[i], "\r\n\r\n");
	}
	for (int i = 0; i < 2; i++) {
		stage_say(s, conn[i], OK_2);
		stage_hear(s, client[i], "ok");
	}
	CHECK(stage_n_pooled(s) == 1 && stage_hears(s, conn[0], NULL, "<fin>"),
	    "a full pool lets the least recently used one go");
	exchange(s, client[0], conn[1], OK_2);
	CHECK(stage_n_pooled(s) == 1, "twice used, parked");
	exchange(s, client[0], conn[1], OK_2);
	CHECK(stage_n_pooled(s) == 0, "used max_uses times, closed");
	for (int i = 0; i < 2; i++) {
		close(client[i]);
		close(conn[i]);
	}
	stage_close(s);

	stage_open(s, none);
	client[0] = stage_client(s);
	stage_say(s, client[0], GET);
	conn[0] = stage_accept(s);
	CHECK(stage_hears(s, conn[0], "\r\n\r\n", "Connection: close\r\n"),
	    "reuse=never asks the backend to close");
	stage_say(s, conn[0], OK_2);
	CHECK(!stage_hears(s, client[0], "ok", "Connection: close") &&
		stage_n_pooled(s) == 0,
	    "which is nothing to the client");
	close(conn[0]);
	close(client[0]);
	stage_close(s);
}

static void
reuse_policy(void)
{
	static const char *const options[] = { "reuse=static", NULL };
	struct stage *s = &stage;
	int client, conn, fresh;

	stage_open(s, options);
	client = stage_client(s);
	conn = stage_warm(s, client);
	stage_say(s, client, "GET /g?q HTTP/1.1\r\nHost: t\r\n\r\n");
	fresh = stage_accept(s);
	CHECK(fresh >= 0, "reuse=static: a query rides no pooled connection");
	stage_hear(s, fresh, "\r\n\r\n");
	stage_say(s, fresh, OK_2);
	stage_hear(s, client, "ok");
	CHECK(stage_n_pooled(s) == 2, "but its connection is parked");
	exchange(s, client, fresh, OK_2);
	CHECK(s->n_upstreams == 2, "a plain GET rides it");
	close(fresh);
	close(conn);
	close(client);
	stage_close(s);
}

static void
timeouts(void)
{
	static const char *const options[] = { "response_timeout_ms=7000",
		"client_timeout_ms=9000", "head_timeout_ms=9000", NULL };
	struct stage *s = &stage;
	int client, conn;

	stage_open(s, options);
	client = stage_client(s);
	stage_say(s, client, GET);
	conn = stage_accept(s);
	stage_hear(s, conn, "\r\n\r\n");
	stage_advance(s, 6999);
	CHECK(s->n_attempts == 0, "the backend may take its time");
	stage_advance(s, 1);
	CHECK(stage_hears(s, client, "out\n", "504 Gateway Timeout") &&
		strstr(s->heard, "error=http_response_timeout"),
	    "until its time is over: 504");
	CHECK(s->n_attempts == 1 && s->attempts[0].facts.timed_out &&
		s->n_upstreams == 1,
	    "which is not tried again");
	close(conn);

	conn = stage_warm(s, client);
	stage_say(s, client, GET);
	stage_hear(s, conn, "\r\n\r\n");
	stage_say(s, conn, "HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nabc");
	stage_hear(s, client, "abc");
	stage_advance(s, 7000);
	CHECK(strcmp(stage_hear(s, client, NULL), "<fin>") == 0,
	    "a response that stalls is cut");
	close(conn);
	close(client);

	client = stage_client(s);
	stage_say(s, client, "GET / HT");
	stage_advance(s, 9000);
	CHECK(stage_hears(s, client, NULL, "408 Request Timeout"),
	    "a client that stops inside its head is told 408");
	close(client);
	client = stage_client(s);
	stage_say(s, client,
	    "POST / HTTP/1.1\r\nHost: t\r\nContent-Length: 9\r\n\r\nab");
	conn = stage_accept(s);
	stage_hear(s, conn, "ab");
	stage_advance(s, 9000);
	CHECK(stage_hears(s, client, NULL, "408 Request Timeout"),
	    "a client that stops inside its body too");
	CHECK(stage_hears(s, conn, NULL, "<fin>"),
	    "and the backend's connection ends");
	close(conn);
	close(client);
	client = stage_client(s);
	stage_advance(s, 9000);
	CHECK(strcmp(stage_hear(s, client, NULL), "<fin>") == 0,
	    "an idle client is closed without a word");
	close(client);
	stage_close(s);
}

static void
no_connection(void)
{
	struct stage *s = &stage;
	int client;

	stage_open(s, NULL);
	close(s->backend);
	s->backend = -1;
	client = stage_client(s);
	stage_say(s, client, GET);
	CHECK(stage_hears(s, client, "made\n", "502 Bad Gateway") &&
		strstr(s->heard, "error=connection_refused"),
	    "a refused connection is a 502 that says so");
	CHECK(s->n_attempts == 1 && s->n_upstreams == 1 &&
		s->attempts[0].facts.error == ECONNREFUSED,
	    "tried once");
	close(client);
	stage_close(s);
}

static void
connect_timeout(void)
{
	static const char *const options[] = { "connect_timeout_ms=3000",
		NULL };
	struct stage *s = &stage;
	int client;

	stage_open(s, options);
	client = stage_client(s);
	/* A held upstream has not called connect(); its timer does not run. */
	stage_hold(s, "upstream.connecting", 1);
	stage_say(s, client, GET);
	CHECK(s->held != NULL, "held in front of connect()");
	stage_advance(s, 5000);
	CHECK(s->n_attempts == 0, "no time runs against what is held");
	stage_release(s);
	CHECK(stage_accept(s) >= 0, "then it connects");
	close(client);
	stage_close(s);
}

static void
half_close_and_reset(void)
{
	struct stage *s = &stage;
	int client, conn;

	stage_open(s, NULL);
	client = stage_client(s);
	stage_say(s, client, GET);
	stage_fin(s, client);
	conn = stage_accept(s);
	stage_hear(s, conn, "\r\n\r\n");
	stage_say(s, conn, OK_2);
	CHECK(stage_hears(s, client, NULL, "ok<fin>"),
	    "a client that half-closes gets its answer, then the end");
	close(client);
	close(conn);

	client = stage_client(s);
	conn = stage_warm(s, client);
	stage_say(s, client, GET);
	stage_hear(s, conn, "\r\n\r\n");
	stage_reset(s, client);
	CHECK(stage_hears(s, conn, NULL, "<fin>"),
	    "a client that resets ends the backend's connection");
	CHECK(stage_n_pooled(s) == 0 && proxy_n_sessions(s->proxy) == 0,
	    "and nothing is left of it");
	CHECK(s->n_attempts == 1 &&
		strcmp(s->attempts[0].why, "the client is gone") == 0,
	    "the attempt is told as given up");
	close(conn);

	client = stage_client(s);
	conn = stage_warm(s, client);
	stage_say(s, client, GET);
	stage_hear(s, conn, "\r\n\r\n");
	stage_fin(s, client);
	stage_reset(s, client);
	CHECK(stage_hears(s, conn, NULL, "<fin>"),
	    "a reset behind a FIN is seen too");
	close(conn);

	client = stage_client(s);
	conn = stage_warm(s, client);
	CHECK(send(client, GET, strlen(GET), 0) == (ssize_t)strlen(GET),
	    "a request is sent, and before anybody looks …");
	stage_reset(s, client);
	CHECK(proxy_n_sessions(s->proxy) == 0,
	    "… the reset behind it: it is seen though the data comes first");
	close(conn);
	stage_close(s);
}

/* 8 MB, and nobody takes them: the sender must be stopped. */
static void
back_pressure(bool up)
{
	static const char *const options[] = { "response_timeout_ms=7000",
		"client_timeout_ms=90000", NULL };
	struct stage *s = &stage;
	static char bytes[65536];
	size_t sent = 0, got = 0, whole = 32 << 20;
	int client, conn, from, to, quiet = 0;
	char head[128];
	ssize_t n;

	stage_open(s, options);
	client = stage_client(s);
	memset(bytes, 'x', sizeof bytes);
	sprintf(head, "%s\r\n%sContent-Length: %zu\r\n\r\n",
	    up ? "POST / HTTP/1.1" : "HTTP/1.1 200 OK", up ? "Host: t\r\n" : "",
	    whole);
	stage_say(s, client, up ? head : GET);
	conn = stage_accept(s);
	stage_hear(s, conn, "\r\n\r\n");
	if (!up) {
		stage_say(s, conn, head);
		stage_hear(s, client, "\r\n\r\n");
	}
	from = up ? client : conn;
	to = up ? conn : client;
	while (sent < whole && quiet < 50) {
		n = send(from, bytes,
		    whole - sent < sizeof bytes ? whole - sent : sizeof bytes,
		    MSG_NOSIGNAL);
		quiet = n > 0 ? 0 : quiet + 1;
		sent += n > 0 ? (size_t)n : 0;
		stage_turn(s);
	}
	CHECK(sent < whole, "%s: a sender whose bytes nobody takes is stopped",
	    up ? "upwards" : "downwards");
	if (!up) {
		stage_advance(s, 20000);
		CHECK(s->n_attempts == 0,
		    "a slow client is not the backend's fault");
	}
	for (int i = 0; got < whole && i < 200000; i++) {
		struct pollfd p = { to, POLLIN, 0 };

		if (sent < whole) {
			n = send(from, bytes,
			    whole - sent < sizeof bytes ? whole - sent
							: sizeof bytes,
			    MSG_NOSIGNAL);
			sent += n > 0 ? (size_t)n : 0;
		}
		stage_turn(s);
		poll(&p, 1, 1);
		while ((n = recv(to, bytes, sizeof bytes, 0)) > 0)
			got += (size_t)n;
		memset(bytes, 'x', sizeof bytes);
	}
	CHECK(got == whole, "%s: when they are taken, all of them come",
	    up ? "upwards" : "downwards");
	if (up) {
		stage_say(s, conn, OK_2);
		stage_hear(s, client, "ok");
	}
	stage_settle(s);
	CHECK(stage_n_pooled(s) == 1, "and the connection is parked");
	close(conn);
	close(client);
	stage_close(s);
}

static void
draining(void)
{
	struct stage *s = &stage;
	int idle, busy, conn;

	stage_open(s, NULL);
	idle = stage_client(s);
	busy = stage_client(s);
	conn = stage_warm(s, busy);
	stage_say(s, busy, GET);
	stage_hear(s, conn, "\r\n\r\n");
	proxy_drain(s->proxy);
	CHECK(strcmp(stage_hear(s, idle, NULL), "<fin>") == 0,
	    "draining closes idle clients");
	CHECK(proxy_n_sessions(s->proxy) == 1, "but not those it serves");
	stage_say(s, conn, OK_2);
	CHECK(stage_hears(s, busy, NULL, "ok<fin>") &&
		strstr(s->heard, "Connection: close\r\n") != NULL,
	    "these get their response and the end");
	close(busy);
	stage_settle(s);
	CHECK(proxy_n_sessions(s->proxy) == 0, "then nobody is left");
	close(idle);
	close(conn);
	stage_close(s);
}

/* Freed at every checkpoint, held or not. */
static void
freed_anywhere(void)
{
	const char *const *names = proxy_checkpoints();
	struct stage *s = &stage;
	int client, conn;

	for (; *names != NULL; names++) {
		static const char *const options[] = { "backoff_ms=10", NULL };
		static const char *const asks[] = { "verify=options", NULL };
		bool verifies = strstr(*names, "verifying") != NULL;

		stage_open(s, verifies ? asks : options);
		client = stage_client(s);
		conn = verifies ? -1 : stage_warm(s, client);
		stage_hold(s, *names, 1);
		stage_say(
		    s, client, strstr(*names, "tunnelling") ? UPGRADE : GET);
		if (s->held == NULL && strstr(*names, "tunnelling"))
			stage_say(s, conn, SWITCHED);
		if (s->held == NULL)
			stage_reset(s, conn);
		if (s->held == NULL)
			stage_advance(s, 10);
		if (s->held == NULL) {
			conn = stage_accept(s);
			stage_hear(s, conn, "\r\n\r\n");
			stage_say(s, conn, OK_2);
		}
		if (s->held == NULL)
			stage_say(s, client, "GET / HTTP/9\r\n\r\n");
		if (s->held == NULL)
			stage_fin(s, client);
		CHECK(s->held != NULL, "%s is reached and held", *names);
		s->n_attempts = 0;
		stage_close(s);
		CHECK(s->n_opened == s->n_closed,
		    "freed while %s was held: every actor is told closed",
		    *names);
		close(client);
		close(conn);
	}
}

/* More than one turn's reads lie in the socket, and nothing comes behind them:
 * whoever gives up its turn must be told again. */
static void
turns(void)
{
	static char bytes[4096];
	struct stage *s = &stage;
	size_t sent = 0;
	int client;
	ssize_t n;

	stage_open(s, NULL);
	client = stage_client(s);
	stage_hold(s, "session.lingering", 1);
	stage_say(s, client, "GET / HTTP/9\r\n\r\n");
	CHECK(s->held != NULL, "held in front of a lingering close");
	while ((n = send(client, bytes, sizeof bytes, MSG_NOSIGNAL)) > 0)
		sent += (size_t)n;
	CHECK(sent > 100 * sizeof bytes, "much lies unread");
	shutdown(client, SHUT_WR);
	stage_release(s);
	CHECK(stage_hears(s, client, NULL, "<fin>"), "it is discarded");
	for (int i = 0; i < STAGE_TURNS && proxy_n_sessions(s->proxy) > 0; i++)
		stage_turn(s);
	CHECK(proxy_n_sessions(s->proxy) == 0, "to its end, in many turns");
	close(client);
	stage_close(s);
}

/* A hold of the session must not change what its upstream does. */
static void
held_relay(void)
{
	struct stage *s = &stage;
	int client, conn;

	stage_open(s, NULL);
	client = stage_client(s);
	conn = stage_warm(s, client);
	stage_hold(s, "session.relaying", 1);
	stage_say(s, client, POST);
	CHECK(stage_hears(s, conn, "abc", "POST /p"),
	    "a request that came whole goes on whole");
	stage_say(s, conn, OK_2);
	CHECK(stage_n_pooled(s) == 1, "its connection is parked");
	stage_release(s);
	CHECK(!stage_hears(s, client, "ok", "Connection: close"),
	    "and the client's is kept");
	close(conn);
	close(client);
	stage_close(s);
}

/* A session that ends while its upstream is held must leave it harmless. */
static void
orphaned_hold(void)
{
	struct stage *s = &stage;
	int client, conn;

	stage_open(s, NULL);
	client = stage_client(s);
	conn = stage_warm(s, client);
	stage_hold(s, "upstream.sending", 1);
	stage_say(s, client, GET);
	stage_reset(s, client);
	CHECK(proxy_n_sessions(s->proxy) == 0 && s->held != NULL,
	    "the client is gone, its upstream is still held");
	stage_release(s);
	CHECK(strcmp(stage_hear(s, conn, NULL), "<fin>") == 0,
	    "released, it sends nothing and ends");
	CHECK(stage_n_pooled(s) == 0, "it is never parked");
	close(conn);
	stage_close(s);
}

static void
note_time(evutil_socket_t fd, short what, void *arg)
{
	*(bool *)arg = true;
}

/* Let no descriptor be opened any more.  Returns: the limit before. */
static struct rlimit
starve(void)
{
	struct rlimit was, now;
	int next = dup(0);

	getrlimit(RLIMIT_NOFILE, &was);
	close(next);
	now = was;
	now.rlim_cur = (rlim_t)next;
	setrlimit(RLIMIT_NOFILE, &now);
	return was;
}

/* Not one descriptor is left, and none of them is the proxy's to give back. */
static void
no_descriptor(void)
{
	struct timeval soon = { 0, 20000 };
	struct stage *s = &stage;
	struct rlimit limit;
	bool over = false;
	int client[2], n_passes = 0;

	stage_open(s, NULL);
	client[0] = stage_client(s);
	limit = starve();
	stage_settle(s);
	CHECK(proxy_n_sessions(s->proxy) == 0, "nobody can be accepted");
	event_base_once(s->base, -1, EV_TIMEOUT, note_time, &over, &soon);
	for (; !over; n_passes++)
		event_base_loop(s->base, EVLOOP_ONCE);
	CHECK(n_passes <= 20, "the proxy waits, it does not spin");
	setrlimit(RLIMIT_NOFILE, &limit);
	client[1] = stage_client(s);
	stage_settle(s);
	/* Two; valgrind, whose limit is its own, has dropped who waited. */
	CHECK(proxy_n_sessions(s->proxy) >= 1,
	    "with the next client it accepts again");
	close(client[0]);
	close(client[1]);
	stage_close(s);
}

/* … but given back they are, by somebody of whom the proxy knows nothing, and
 * no other client comes. */
static void
descriptors_given_back(void)
{
	struct timeval limit_of_test = { 20, 0 };
	struct stage *s = &stage;
	struct rlimit limit;
	bool over = false;
	int client;

	stage_open(s, NULL);
	client = stage_client(s);
	limit = starve();
	stage_settle(s);
	setrlimit(RLIMIT_NOFILE, &limit);
	event_base_once(
	    s->base, -1, EV_TIMEOUT, note_time, &over, &limit_of_test);
	while (!over && proxy_n_sessions(s->proxy) == 0)
		event_base_loop(s->base, EVLOOP_ONCE);
	CHECK(proxy_n_sessions(s->proxy) == 1,
	    "who waits is accepted when descriptors are given back");
	close(client);
	stage_close(s);
}

static void
order_of_checkpoints(void)
{
	struct stage *s = &stage;
	int client, conn;

	stage_open(s, NULL);
	client = stage_client(s);
	conn = stage_warm(s, client);
	CHECK(strcmp(s->seen,
		  " session.waiting session.parsing session.choosing"
		  " upstream.connecting session.relaying upstream.sending"
		  " upstream.awaiting upstream.reading upstream.idle"
		  " session.waiting") == 0,
	    "a fresh exchange:%s", s->seen);
	s->seen[0] = '\0';
	exchange(s, client, conn, OK_2);
	CHECK(strcmp(s->seen,
		  " session.parsing session.choosing session.relaying"
		  " upstream.sending upstream.awaiting upstream.reading"
		  " upstream.idle session.waiting") == 0,
	    "a pooled one:%s", s->seen);
	close(conn);
	close(client);
	stage_close(s);
}

int
main(void)
{
	idle_timeouts();
	pool_limits();
	reuse_policy();
	timeouts();
	no_connection();
	connect_timeout();
	half_close_and_reset();
	back_pressure(false);
	back_pressure(true);
	draining();
	freed_anywhere();
	orphaned_hold();
	turns();
	held_relay();
	no_descriptor();
	descriptors_given_back();
	order_of_checkpoints();
	return CHECK_DONE();
}
