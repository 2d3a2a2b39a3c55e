/* Peers that move without getting on: for how long, and how much of it. */
#include "check.h"
#include "proxy_stage.h"

static struct stage stage;

static void
say_often(struct stage *s, int fd, const char *text, int n, int each_ms)
{
	for (int i = 0; i < n; i++) {
		stage_say(s, fd, text);
		stage_advance(s, each_ms);
	}
}

/* ------------------------------------------------------------ clients ---- */

static void
empty_lines(const char *line, bool used)
{
	static const char *const options[] = { "client_timeout_ms=500",
		"head_timeout_ms=500", NULL };
	struct stage *s = &stage;
	int client, conn = -1;

	stage_open(s, options);
	client = stage_client(s);
	if (used)
		conn = stage_warm(s, client);
	if (*line == '\n')
		stage_say(s, client, "\r");
	say_often(s, client, line, 4, 100);
	CHECK(proxy_n_sessions(s->proxy) == 1, "an idle client is waited for");
	say_often(s, client, line, 1, 100);
	CHECK(proxy_n_sessions(s->proxy) == 0,
	    "%zu bytes that begin no request buy no time, %s", strlen(line),
	    used ? "behind a request" : "in front of the first one");
	close(client);
	if (used)
		close(conn);
	stage_close(s);
}

static void
many_empty_lines(void)
{
	static const char *const options[] = { "client_timeout_ms=0", NULL };
	struct stage *s = &stage;
	int client, conn;

	stage_open(s, options);
	client = stage_client(s);
	stage_say(s, client, "\r\n\r");
	say_often(s, client, "\n\r", 7, 0);
	stage_say(s, client, "\n" GET);
	conn = stage_accept(s);
	stage_hear(s, conn, "\r\n\r\n");
	stage_say(s, conn, OK_2);
	CHECK(stage_hears(s, client, "ok", "200 OK"),
	    "some empty lines in front of a request are skipped");
	say_often(s, client, "\r\n", 128, 0);
	CHECK(proxy_n_sessions(s->proxy) == 1, "in front of the next one, too");
	stage_say(s, client, "\r\n");
	CHECK(stage_hears(s, client, NULL, "400 Bad Request"),
	    "but not without end");
	close(client);
	close(conn);
	stage_close(s);
}

static void
trickled_head(void)
{
	static const char *const options[] = { "client_timeout_ms=500",
		"head_timeout_ms=500", NULL };
	struct stage *s = &stage;
	int client;

	stage_open(s, options);
	client = stage_client(s);
	stage_say(s, client, "GET / HTTP/1.1\r\n");
	say_often(s, client, "A: b\r\n", 5, 100);
	CHECK(stage_hears(s, client, NULL, "408 Request Timeout"),
	    "a head that comes line by line has one time for all of it");
	close(client);
	stage_close(s);
}

/* A request whose response its client does not take.  Returns: the backend's
 * end. */
static int
ask_for_much(struct stage *s, int client, const char *ask)
{
	static char bytes[65536];
	int conn, quiet = 0;

	stage_say(s, client, ask);
	conn = stage_accept(s);
	stage_hear(s, conn, "\r\n\r\n");
	stage_say(
	    s, conn, "HTTP/1.1 400 No\r\nContent-Length: 33554432\r\n\r\n");
	while (quiet < 50) {
		ssize_t n = send(conn, bytes, sizeof bytes, MSG_NOSIGNAL);

		quiet = n > 0 ? 0 : quiet + 1;
		stage_turn(s);
	}
	return conn;
}

static void
talks_and_does_not_listen(const char *what, const char *ask, const char *more)
{
	static const char *const options[] = { "client_timeout_ms=500", NULL };
	struct stage *s = &stage;
	int client, conn;

	stage_open(s, options);
	client = stage_client(s);
	conn = ask_for_much(s, client, ask);
	say_often(s, client, more, 4, 100);
	CHECK(proxy_n_sessions(s->proxy) == 1, "a slow client is waited for");
	say_often(s, client, more, 1, 100);
	CHECK(proxy_n_sessions(s->proxy) == 0,
	    "%s buys no time to a client that takes nothing", what);
	close(client);
	close(conn);
	stage_close(s);
}

static void
endless_chunk_size(void)
{
	static char zeros[101];
	struct stage *s = &stage;
	int client, conn;

	memset(zeros, '0', sizeof zeros - 1);
	stage_open(s, NULL);
	client = stage_client(s);
	stage_say(s, client,
	    "POST / HTTP/1.1\r\nHost: t\r\nTransfer-Encoding: chunked\r\n\r\n");
	conn = stage_accept(s);
	say_often(s, client, zeros, 10, 0);
	CHECK(proxy_n_sessions(s->proxy) == 1, "a chunk's size may have zeros");
	say_often(s, client, zeros, 1, 0);
	CHECK(stage_hears(s, client, NULL, "400 Bad Request"),
	    "but not without end");
	close(client);
	close(conn);
	stage_close(s);
}

/* ----------------------------------------------------------- backends ---- */

#define HINTS "HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n"

/* A backend that speaks and never answers.  Returns: how many hints it took. */
static int
say_until_given_up(struct stage *s, int conn)
{
	int n = 0;

	for (; n < 5000 && s->n_attempts == 0; n++)
		stage_say(s, conn, HINTS);
	return n;
}

static void
endless_interim(const char *what, const char *ask, bool leaves)
{
	static const char *const options[] = { "head_bytes=4096", NULL };
	struct stage *s = &stage;
	int client, conn, n;

	stage_open(s, options);
	client = stage_client(s);
	stage_say(s, client, ask);
	conn = stage_accept(s);
	stage_hear(s, conn, "\r\n\r\n");
	if (leaves)
		close(client);
	n = say_until_given_up(s, conn);
	CHECK(n == 4096 / (int)(sizeof HINTS - 1) + 1,
	    "%s: all interim responses have the room of one head", what);
	CHECK(s->n_attempts == 1 && s->attempts[0].action == RETRY_GIVE_UP &&
		s->n_upstreams == 1,
	    "%s: then it is given up, and not tried again", what);
	CHECK(stage_hears(s, conn, NULL, "<fin>") ||
		strstr(s->heard, "<rst>") != NULL,
	    "%s: the backend is left", what);
	if (!leaves) {
		CHECK(stage_hears(s, client, "long\n", " 502 Bad Gateway") &&
			strstr(s->heard, "error=http_protocol_error") != NULL,
		    "%s: the client is told", what);
		close(client);
	}
	stage_settle(s);
	CHECK(proxy_n_upstreams(s->proxy) == 0 &&
		(!leaves || proxy_n_sessions(s->proxy) == 0),
	    "%s: nothing is left behind", what);
	close(conn);
	stage_close(s);
}

static void
interim_of_each_attempt(void)
{
	static const char *const options[] = { "head_bytes=300", NULL };
	struct stage *s = &stage;
	int client, conn;

	stage_open(s, options);
	client = stage_client(s);
	stage_say(s, client, GET);
	for (int i = 0; i < 2; i++) {
		conn = stage_accept(s);
		stage_hear(s, conn, "\r\n\r\n");
		say_often(s, conn, HINTS, 6, 0);
		if (i == 0)
			close(conn);
	}
	stage_say(s, conn, OK_2);
	CHECK(stage_hears(s, client, "ok", "200 OK"),
	    "each attempt has that room for itself");
	close(conn);
	close(client);
	stage_close(s);
}

/* A backend whose kernel drops every SYN: its queue is full. */
struct mute {
	int listener, queued[8];
	size_t n;
};

static void
mute_open(struct mute *m, unsigned short *port)
{
	struct sockaddr_in sin = { .sin_family = AF_INET };
	struct pollfd p;

	m->listener = stage_listen(port);
	listen(m->listener, 0);
	sin.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	sin.sin_port = htons(*port);
	for (m->n = 0; m->n < 8; m->n++) {
		m->queued[m->n] =
		    socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
		connect(m->queued[m->n], (struct sockaddr *)&sin, sizeof sin);
		p = (struct pollfd){ m->queued[m->n], POLLOUT, 0 };
		if (poll(&p, 1, 0) <= 0) {
			m->n++;
			break;
		}
	}
}

/* From now on it takes connections again. */
static void
mute_speak(struct mute *m)
{
	int fd;

	while (m->n > 0)
		close(m->queued[--m->n]);
	listen(m->listener, 64);
	while ((fd = accept(m->listener, NULL, NULL)) >= 0)
		close(fd);
}

/* Returns: the client. */
static int
ask_mute(struct stage *s)
{
	int client = stage_client(s);

	s->n_attempts = 0;
	stage_say(s, client, GET);
	return client;
}

static void
swallowed_syn(void)
{
	static const char *const options[] = { "connect_timeout_ms=3000",
		"connect_pause_ms=1000", NULL };
	struct stage *s = &stage;
	int client, other, conn;
	struct mute m;
	unsigned long n;

	stage_open(s, options);
	close(s->backend);
	mute_open(&m, &s->back);
	s->backend = m.listener;
	((struct sockaddr_in *)&s->options.upstreams[0].at[0])->sin_port =
	    htons(s->back);
	proxy_free(s->proxy);
	s->proxy = proxy_new(s->base, &s->options, &s->clock, stage_watch, s);
	proxy_listen(s->proxy, stage_listen(&s->front));

	client = ask_mute(s);
	CHECK(s->n_attempts == 0, "a connection is waited for");
	stage_advance(s, 3000);
	CHECK(stage_hears(s, client, "out\n", " 504 "), "for its time");
	close(client);
	n = s->n_upstreams;
	client = ask_mute(s);
	CHECK(stage_hears(s, client, "ago\n", " 503 ") &&
		strstr(s->heard, "destination_unavailable") != NULL &&
		s->n_upstreams == n,
	    "then nobody waits: the client is told at once");
	CHECK(s->account.who == 'U' && s->account.when == 'C',
	    "that it was the backend");
	close(client);

	stage_advance(s, 1000);
	client = ask_mute(s);
	other = ask_mute(s);
	CHECK(
	    s->n_upstreams == n + 1 && stage_hears(s, other, "ago\n", " 503 "),
	    "a pause later one request tries, and no other");
	stage_reset(s, client);
	client = ask_mute(s);
	CHECK(s->n_upstreams == n + 2, "where it leaves, the next one does");
	stage_advance(s, 3000);
	CHECK(stage_hears(s, client, "out\n", " 504 "), "in vain: 504");
	close(client);
	close(other);
	client = ask_mute(s);
	CHECK(stage_hears(s, client, "ago\n", " 503 "), "and a pause again");

	mute_speak(&m);
	stage_advance(s, 1000);
	stage_say(s, client, GET);
	conn = stage_accept(s);
	stage_hear(s, conn, "\r\n\r\n");
	stage_say(s, conn, OK_2);
	CHECK(stage_hears(s, client, "ok", "200 OK"),
	    "until it takes connections again");
	stage_fin(s, conn);
	n = s->n_upstreams;
	other = ask_mute(s);
	stage_say(s, client, GET);
	CHECK(s->n_upstreams == n + 2, "from all that ask");
	close(conn);
	close(client);
	close(other);
	stage_close(s);
}

int
main(void)
{
	empty_lines("\r\n", false);
	empty_lines("\r\n", true);
	empty_lines("\n\r", false);
	many_empty_lines();
	trickled_head();
	talks_and_does_not_listen("the next request, bit by bit", GET, "G");
	talks_and_does_not_listen("a body that nobody wants",
	    "POST / HTTP/1.1\r\nHost: t\r\nContent-Length: 9999\r\n\r\n", "b");
	endless_chunk_size();
	endless_interim("an HTTP/1.1 client that stays", GET, false);
	endless_interim(
	    "an HTTP/1.0 client that stays", "GET / HTTP/1.0\r\n\r\n", false);
	endless_interim(
	    "an HTTP/1.0 client that leaves", "GET / HTTP/1.0\r\n\r\n", true);
	interim_of_each_attempt();
	swallowed_syn();
	return CHECK_DONE();
}
