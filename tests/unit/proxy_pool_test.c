/* Connections that are verified, opened ahead, spared, or somewhere else. */
#include "check.h"
#include "proxy_stage.h"

static struct stage stage;

#define PROBE "OPTIONS * HTTP/1.1\r\nHost: 127.0.0.1:"

/* The backend is asked on conn and answers. */
static bool
is_asked(struct stage *s, int conn, const char *answer)
{
	bool asked = strncmp(stage_hear(s, conn, "\r\n\r\n"), PROBE,
			 sizeof PROBE - 1) == 0;

	stage_say(s, conn, answer);
	return asked;
}

static void
verified(void)
{
	static const char *const options[] = { "verify=options",
		"connect_timeout_ms=3000", NULL };
	struct stage *s = &stage;
	int client, conn;

	stage_open(s, options);
	client = stage_client(s);
	stage_say(s, client, POST);
	conn = stage_accept(s);
	CHECK(is_asked(s, conn,
		  "HTTP/1.1 405 No\r\nTransfer-Encoding: chunked\r\n\r\n"
		  "3\r\nabc\r\n0\r\n\r\n"),
	    "a fresh connection is asked first");
	CHECK(stage_hears(s, conn, "abc", "POST /p"),
	    "any answer says that somebody is there");
	stage_say(s, conn, OK_2);
	CHECK(stage_hears(s, client, "ok", "200 OK") && stage_n_pooled(s) == 1,
	    "then the request goes");
	stage_say(s, client, POST);
	CHECK(is_asked(s, conn, OK_2) && stage_hears(s, conn, "abc", "POST /p"),
	    "a pooled one is asked again");
	stage_say(s, conn, OK_2);
	stage_hear(s, client, "ok");

	stage_say(s, client, POST);
	stage_hear(s, conn, "\r\n\r\n");
	close(conn);
	conn = stage_accept(s);
	CHECK(s->attempts[2].facts.sent == 0 &&
		s->attempts[2].action == RETRY_ELSEWHERE,
	    "one that dies of it has cost nothing, not even a POST");
	CHECK(is_asked(s, conn,
		  "HTTP/1.1 200 OK\r\nConnection: close\r\n"
		  "Content-Length: 0\r\n\r\n"),
	    "and a fresh one is taken");
	close(conn);
	conn = stage_accept(s);
	CHECK(strncmp(stage_hear(s, conn, "abc"), "POST /p", 7) == 0,
	    "one that will close has proved the backend alive all the same");
	stage_say(s, conn, OK_2);
	stage_hear(s, client, "ok");

	close(conn);
	stage_settle(s);
	stage_say(s, client, GET);
	conn = stage_accept(s);
	is_asked(s, conn, OK_2);
	stage_hear(s, conn, "\r\n\r\n");
	stage_say(s, conn,
	    "HTTP/1.1 408 Late\r\nContent-Length: 0\r\n"
	    "Connection: close\r\n\r\n");
	close(conn);
	conn = stage_accept(s);
	CHECK(
	    is_asked(s, conn, OK_2) && stage_hears(s, conn, "\r\n\r\n", "GET"),
	    "a 408 behind the question answers nothing, even on a fresh one");
	stage_say(s, conn, OK_2);
	stage_hear(s, client, "ok");

	stage_say(s, client, GET);
	stage_hear(s, conn, "\r\n\r\n");
	stage_advance(s, 3000);
	close(conn);
	conn = stage_accept(s);
	CHECK(conn >= 0, "one that does not answer in time is left");
	close(client);
	stage_settle(s);
	close(conn);
	stage_close(s);
}

/* The backend answers the question, and its connection cannot go on. */
static void
answered_and_closed(const char *what, const char *answer, bool ends, bool warm)
{
	static const char *const options[] = { "verify=options", "retry=never",
		"retries=0", NULL };
	struct stage *s = &stage;
	int client, conn = -1, fresh;

	stage_open(s, options);
	client = stage_client(s);
	if (warm) {
		stage_say(s, client, GET);
		conn = stage_accept(s);
		is_asked(s, conn, OK_2);
		stage_hear(s, conn, "\r\n\r\n");
		stage_say(s, conn, OK_2);
		stage_hear(s, client, "ok");
		s->n_attempts = 0;
	}
	stage_say(s, client, POST);
	if (!warm)
		conn = stage_accept(s);
	stage_hear(s, conn, "\r\n\r\n");
	send(conn, answer, strlen(answer), 0);
	if (ends)
		shutdown(conn, SHUT_WR);
	fresh = stage_accept(s);
	CHECK(strncmp(stage_hear(s, fresh, "abc"), "POST /p", 7) == 0,
	    "%s: the request goes on a fresh connection, unasked", what);
	stage_say(s, fresh, OK_2);
	CHECK(stage_hears(s, client, "ok", "200 OK") && s->n_attempts == 2 &&
		s->attempts[0].action == RETRY_ELSEWHERE &&
		strcmp(s->attempts[0].why,
		    "the backend answered the probe and closed") == 0,
	    "%s: and is answered", what);
	stage_fin(s, fresh);
	stage_say(s, client, POST);
	close(conn);
	conn = stage_accept(s);
	CHECK(
	    is_asked(s, conn, OK_2), "%s: the next one is proved again", what);
	close(fresh);
	close(conn);
	close(client);
	stage_close(s);
}

/* It does not answer it. */
static void
unanswered(const char *what, const char *says, bool resets)
{
	static const char *const options[] = { "verify=options", NULL };
	struct stage *s = &stage;
	int client, conn;

	stage_open(s, options);
	client = stage_client(s);
	stage_say(s, client, POST);
	for (int i = 0; i < 3; i++) {
		conn = stage_accept(s);
		stage_hear(s, conn, "\r\n\r\n");
		send(conn, says, strlen(says), 0);
		if (resets)
			stage_reset(s, conn);
		else
			close(conn);
	}
	CHECK(stage_hears(s, client, "left\n", " 502 ") &&
		strstr(s->heard,
		    "the probe was not answered, and no retry is"
		    " left") != NULL,
	    "%s: the client is told so", what);
	CHECK(s->n_attempts == 3 && s->attempts[0].facts.sent == 0 &&
		s->attempts[0].action == RETRY_ELSEWHERE &&
		s->attempts[1].action == RETRY_AGAIN,
	    "%s: not without having tried", what);
	close(client);
	stage_close(s);
}

static void
probe_timeouts(void)
{
	static const char *const options[] = { "verify=options",
		"connect_timeout_ms=3000", NULL };
	struct stage *s = &stage;
	int client, conn;

	stage_open(s, options);
	client = stage_client(s);
	stage_say(s, client, GET);
	conn = stage_accept(s);
	stage_hear(s, conn, "\r\n\r\n");
	stage_advance(s, 3000);
	CHECK(s->n_attempts == 1 && s->attempts[0].action == RETRY_ELSEWHERE,
	    "a probe that times out is put once more");
	close(conn);
	conn = stage_accept(s);
	stage_hear(s, conn, "\r\n\r\n");
	stage_advance(s, 3000);
	CHECK(stage_hears(s, client, "probe timed out\n", " 504 ") &&
		s->n_upstreams == 2 && s->account.who == 'u',
	    "then it is a 504");
	close(conn);

	stage_say(s, client, GET);
	conn = stage_accept(s);
	stage_hear(s, conn, "\r\n\r\n");
	stage_say(s, conn, "HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nabc");
	stage_advance(s, 3000);
	close(conn);
	conn = stage_accept(s);
	CHECK(stage_hears(s, conn, "\r\n\r\n", "GET /g"),
	    "but not where its answer had begun");
	close(conn);
	close(client);
	stage_close(s);
}

static void
ahead(void)
{
	static const char *const options[] = { "spares=2", NULL };
	struct stage *s = &stage;
	int client, conns[4];

	stage_open(s, options);
	conns[0] = stage_accept(s);
	conns[1] = stage_accept(s);
	stage_settle(s);
	CHECK(stage_n_pooled(s) == 2, "spare connections are there at once");
	client = stage_client(s);
	stage_say(s, client, GET);
	conns[2] = stage_accept(s);
	stage_settle(s);
	CHECK(stage_n_pooled(s) == 2, "one that is taken is made up for");
	CHECK(stage_hears(s, conns[1], "\r\n\r\n", "GET /g"),
	    "the request rides the youngest");
	stage_say(s, conns[1], OK_2);
	stage_hear(s, client, "ok");
	CHECK(stage_n_pooled(s) == 3 && s->attempts[0].facts.reused,
	    "which then waits with the others");
	stage_reset(s, conns[0]);
	stage_settle(s);
	CHECK(stage_n_pooled(s) == 2 && s->n_opened == 4,
	    "a spare one that dies is missed by nobody yet");
	close(s->backend);
	s->backend = -1;
	stage_fin(s, conns[1]);
	stage_fin(s, conns[2]);
	stage_say(s, client, GET);
	CHECK(stage_hears(s, client, "made\n", "502 Bad Gateway"),
	    "without a backend there are none, and the client is told");
	CHECK(proxy_n_upstreams(s->proxy) == 0, "nor is one left behind");
	close(client);
	close(conns[1]);
	close(conns[2]);
	stage_close(s);
}

#define POST_HEAD "POST /p HTTP/1.1\r\nHost: t\r\nContent-Length: 3\r\n"

static void
spared(void)
{
	static const char *const fresh[] = { "probe_unsafe=fresh", NULL };
	static const char *const expect[] = { "probe_unsafe=expect",
		"replay_bytes=2", NULL };
	struct stage *s = &stage;
	int client, conn, other;

	stage_open(s, fresh);
	client = stage_client(s);
	conn = stage_warm(s, client);
	stage_say(s, client, POST);
	other = stage_accept(s);
	CHECK(other >= 0 && stage_hears(s, other, "abc", POST_HEAD),
	    "fresh: a POST does not ride a pooled connection");
	close(other);
	close(conn);
	close(client);
	stage_close(s);

	stage_open(s, expect);
	client = stage_client(s);
	conn = stage_warm(s, client);
	stage_say(s, client, POST);
	CHECK(strcmp(stage_hear(s, conn, "\r\n\r\n"),
		  POST_HEAD "Expect: 100-continue\r\n"
			    "Via: 1.1 closerace\r\n\r\n") == 0,
	    "expect: it does, but only its head");
	stage_say(s, conn, "HTTP/1.1 100 Continue\r\n\r\n");
	CHECK(strcmp(stage_hear(s, conn, "abc"), "abc") == 0,
	    "until 100 (Continue) comes");
	stage_say(s, conn, OK_2);
	CHECK(strncmp(stage_hear(s, client, "ok"), "HTTP/1.1 200", 12) == 0,
	    "which the client did not ask for and does not see");
	stage_say(s, client, POST);
	stage_hear(s, conn, "\r\n\r\n");
	stage_advance(s, 1000);
	CHECK(strcmp(stage_hear(s, conn, "abc"), "abc") == 0,
	    "or a second has passed");
	stage_say(s, conn, OK_2);
	stage_hear(s, client, "ok");
	stage_say(s, client, POST);
	stage_hear(s, conn, "\r\n\r\n");
	close(conn);
	CHECK(stage_hears(s, client, "repeated\n", "502 Bad Gateway") &&
		strstr(s->heard, "the request body was not sent"),
	    "a connection that dies meanwhile has never had the body");
	close(client);
	stage_close(s);
}

#define REFUSED                                                    \
	"HTTP/1.1 417 Expectation Failed\r\nConnection: close\r\n" \
	"Content-Length: 0\r\n\r\n"

/* The backend does not know the proxy's own Expect. */
static void
refused(const char *what, const char *answer, bool warm, const char *body_kept)
{
	const char *const options[] = { "probe_unsafe=expect", "retry=never",
		"retries=0", body_kept, NULL };
	struct stage *s = &stage;
	int client, conn = -1, fresh;

	stage_open(s, options);
	client = stage_client(s);
	if (warm)
		conn = stage_warm(s, client);
	stage_say(s, client, POST);
	if (!warm)
		conn = stage_accept(s);
	CHECK(stage_hears(s, conn, "\r\n\r\n", "Expect: 100-continue"),
	    "%s: a body waits for a 100", what);
	stage_say(s, conn, answer);
	fresh = stage_accept(s);
	CHECK(strcmp(stage_hear(s, fresh, "abc"),
		  POST_HEAD "Via: 1.1 closerace\r\n\r\nabc") == 0,
	    "%s: the request goes again, without Expect", what);
	stage_say(s, fresh, "HTTP/1.1 417 Mine\r\nContent-Length: 2\r\n\r\nok");
	CHECK(stage_hears(s, client, "ok", "HTTP/1.1 417 Mine") &&
		s->n_attempts == 2 && s->attempts[1].good &&
		s->account.n_retries == 0,
	    "%s: what it is answered then is the answer", what);
	close(fresh);
	close(conn);
	close(client);
	stage_close(s);
}

static void
refused_late(void)
{
	static const char *const options[] = { "probe_unsafe=expect", NULL };
	struct stage *s = &stage;
	int client, conn;

	stage_open(s, options);
	client = stage_client(s);
	stage_say(s, client, POST);
	conn = stage_accept(s);
	stage_hear(s, conn, "\r\n\r\n");
	stage_advance(s, 1000);
	stage_hear(s, conn, "abc");
	stage_say(s, conn, REFUSED);
	CHECK(stage_hears(s, client, "repeated\n", " 502 ") &&
		s->n_upstreams == 1,
	    "a POST whose body has gone is not sent again, and its client is"
	    " not told a 417 that it did not ask for");
	close(conn);
	close(client);

	client = stage_client(s);
	stage_say(s, client, POST_HEAD "Expect: 100-continue\r\n\r\n");
	conn = stage_accept(s);
	stage_hear(s, conn, "\r\n\r\n");
	stage_say(s, conn, REFUSED);
	CHECK(stage_hears(s, client, "\r\n\r\n", " 417 "),
	    "a client that asked for it is told");
	close(conn);
	close(client);
	stage_close(s);
}

static void
elsewhere(void)
{
	struct stage *s = &stage;
	struct stage_attempt *a = s->attempts;
	char error[256], address[32];
	struct proxy *second;
	unsigned short port;
	int client, conn, other = stage_listen(&port);

	stage_open(s, NULL);
	snprintf(address, sizeof address, "127.0.0.1:%u", port);
	proxy_options_set(
	    &s->options, "upstream", address, error, sizeof error);
	second = proxy_new(s->base, &s->options, &s->clock, stage_watch, s);
	proxy_free(s->proxy);
	s->proxy = second;
	proxy_listen(second, stage_listen(&s->front));

	client = stage_client(s);
	conn = stage_warm(s, client);
	stage_say(s, client, GET);
	stage_settle(s);
	CHECK(accept(other, NULL, NULL) >= 0 && s->account.upstream == 0,
	    "two upstreams take turns");
	close(client);
	stage_settle(s);

	/* The next in turn is the first one; its pooled connection dies. */
	client = stage_client(s);
	stage_hold(s, "upstream.sending", 1);
	s->n_attempts = 0;
	stage_say(s, client, GET);
	stage_fin(s, conn);
	stage_release(s);
	CHECK(s->n_attempts == 1 && a[0].facts.reused &&
		a[0].action == RETRY_AGAIN,
	    "a request that is lost on one");
	CHECK(accept(other, NULL, NULL) >= 0, "is tried again at the other");
	close(client);
	close(conn);
	stage_settle(s);

	close(s->backend);
	s->backend = -1;
	client = stage_client(s);
	stage_say(s, client, GET);
	CHECK((conn = accept(other, NULL, NULL)) >= 0,
	    "which takes nobody's turn");
	close(client);
	close(conn);
	stage_settle(s);
	client = stage_client(s);
	s->n_attempts = 0;
	stage_say(s, client, POST);
	CHECK(s->n_attempts == 1 && a[0].action == RETRY_ELSEWHERE &&
		a[0].facts.sent == 0,
	    "one that is not there");
	CHECK((conn = accept(other, NULL, NULL)) >= 0,
	    "costs a POST nothing but the way to the other");
	close(conn);
	close(other);
	close(client);
	stage_close(s);
}

int
main(void)
{
	verified();
	for (int warm = 0; warm < 2; warm++) {
		answered_and_closed("a 400 with close, as nginx",
		    "HTTP/1.1 400 Bad Request\r\nContent-Length: 2\r\n"
		    "Connection: close\r\n\r\nno",
		    true, warm);
		answered_and_closed("a 501 in HTTP/1.0, as Python",
		    "HTTP/1.0 501 No\r\nConnection: close\r\n\r\nno", true,
		    warm);
		answered_and_closed("a FIN that was not announced",
		    "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok", true,
		    warm);
		answered_and_closed("half an answer",
		    "HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nok", true,
		    warm);
	}
	answered_and_closed("an answer that does not end",
	    "HTTP/1.1 200 OK\r\n\r\nok", false, false);
	answered_and_closed("an answer that says close and leaves it at that",
	    "HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n", false, false);
	answered_and_closed("more than an answer", OK_2 "HTTP", false, false);
	unanswered("a FIN", "", false);
	unanswered("a reset", "", true);
	unanswered("junk", "220 smtp\r\n", false);
	unanswered("half a head", "HTTP/1.1 200 OK\r\nA: b", false);
	probe_timeouts();
	ahead();
	spared();
	refused("a 417 with close, pooled", REFUSED, true, "replay_bytes=9");
	refused("a 417 with close, fresh", REFUSED, false, "replay_bytes=9");
	refused("a 417 that keeps the connection",
	    "HTTP/1.1 417 No\r\nContent-Length: 0\r\n\r\n", true,
	    "replay_bytes=9");
	refused("a 417, a long body", REFUSED, true, "replay_bytes=2");
	refused_late();
	elsewhere();
	return CHECK_DONE();
}
