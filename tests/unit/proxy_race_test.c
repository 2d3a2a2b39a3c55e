/* The base race, the retry and what the client is told of it. */
#include "check.h"
#include "proxy_stage.h"

static struct stage stage;

/* The backend ends the pooled connection while the request stands between the
 * last look and its first byte. */
static void
close_in_the_window(bool post, bool reset)
{
	struct stage *s = &stage;
	const char *name = post ? "POST" : "GET", *how = reset ? "RST" : "FIN";
	bool again = reset || !post;
	const char *heard;
	int client, conn, fresh;

	stage_open(s, NULL);
	client = stage_client(s);
	conn = stage_warm(s, client);
	stage_hold(s, "upstream.sending", 1);
	stage_say(s, client, post ? POST : GET);
	CHECK(s->held != NULL, "%s is held in front of its first byte", name);
	if (reset)
		stage_reset(s, conn);
	else
		stage_fin(s, conn);
	stage_release(s);
	if (again) {
		fresh = stage_accept(s);
		CHECK(fresh >= 0, "%s, %s: goes on a fresh connection", name,
		    how);
		heard = stage_hear(s, fresh, post ? "abc" : "\r\n\r\n");
		CHECK(strncmp(heard, name, strlen(name)) == 0,
		    "%s, %s: the whole request is sent again", name, how);
		stage_say(s, fresh, OK_2);
		heard = stage_hear(s, client, "ok");
		CHECK(strstr(heard, "200 OK") != NULL,
		    "%s, %s: the client gets its answer", name, how);
		close(fresh);
	} else {
		stage_hear(s, client, "idempotent\n");
		CHECK(s->n_upstreams == 1, "POST, FIN: nothing is sent again");
	}
	CHECK(
	    s->attempts[0].facts.reused, "%s, %s: it rode the pool", name, how);
	CHECK(s->attempts[0].facts.error == (reset ? ECONNRESET : 0),
	    "%s, %s: the error is the socket's first", name, how);
	CHECK((s->attempts[0].facts.sent == 0) == reset,
	    "%s, %s: a send succeeds against a FIN, not against a RST", name,
	    how);
	CHECK(s->attempts[0].facts.received == 0 &&
		s->attempts[0].facts.peer_closed,
	    "%s, %s: not a byte came back", name, how);
	CHECK(s->attempts[0].action ==
		(reset	       ? RETRY_ELSEWHERE
			: post ? RETRY_GIVE_UP
			       : RETRY_AGAIN),
	    "%s, %s: judged: %s", name, how, s->attempts[0].why);
	if (again)
		CHECK(s->n_attempts == 2 && s->attempts[1].good &&
			s->attempts[1].n == 2 && !s->attempts[1].facts.reused,
		    "%s, %s: the second attempt was good", name, how);
	if (!reset)
		close(conn);
	close(client);
	stage_close(s);
	CHECK(s->n_opened == s->n_closed, "%s, %s: every actor closed", name,
	    how);
}

static void
told_why(void)
{
	struct stage *s = &stage;
	const char *heard;
	int client, conn;

	stage_open(s, NULL);
	client = stage_client(s);
	conn = stage_warm(s, client);
	stage_hold(s, "upstream.sending", 1);
	stage_say(s, client, POST);
	stage_fin(s, conn);
	stage_release(s);
	heard = stage_hear(s, client, "idempotent\n");
	CHECK(strncmp(heard, "HTTP/1.1 502 Bad Gateway\r\n", 26) == 0,
	    "a POST lost to the race is a 502");
	CHECK(strstr(heard,
		  "Proxy-Status: closerace; "
		  "error=connection_terminated; "
		  "details=\"method not idempotent\"\r\n") != NULL,
	    "Proxy-Status says why it was not sent again");
	CHECK(strstr(heard, "Connection: close") == NULL,
	    "the client's connection stays, the request was read whole");
	stage_say(s, client, GET);
	close(conn);
	conn = stage_accept(s);
	stage_hear(s, conn, "\r\n\r\n");
	stage_say(s, conn, OK_2);
	CHECK(stage_hears(s, client, "ok", "200 OK"),
	    "the next request on it is served");
	close(client);
	close(conn);
	stage_close(s);
}

/* The request is in the kernel, nobody read it, the connection is reset. */
static void
crossing_reset(void)
{
	struct stage *s = &stage;
	int client, conn, fresh;

	stage_open(s, NULL);
	client = stage_client(s);
	conn = stage_warm(s, client);
	stage_say(s, client, POST);
	stage_reset(s, conn);
	stage_hear(s, client, "idempotent\n");
	CHECK(s->attempts[0].facts.error == ECONNRESET &&
		s->attempts[0].facts.sent > 0 &&
		s->attempts[0].action == RETRY_GIVE_UP,
	    "a POST that crossed a reset is not sent again");

	conn = stage_warm(s, client);
	stage_say(s, client, GET);
	stage_reset(s, conn);
	fresh = stage_accept(s);
	stage_hear(s, fresh, "\r\n\r\n");
	CHECK(s->attempts[0].action == RETRY_AGAIN,
	    "a GET that crossed a reset is sent again");
	stage_reset(s, fresh);
	CHECK(stage_hears(s, client, "left\n", " 502 "),
	    "a retry that fails is not retried (R4)");
	CHECK(s->n_attempts == 2 &&
		strcmp(s->attempts[1].why, "no retry is left") == 0,
	    "there were two attempts, not three");
	close(client);
	stage_close(s);
}

static void
a_retry_is_fresh(void)
{
	struct stage *s = &stage;
	int client[2], conn[2], fresh;

	stage_open(s, NULL);
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
	stage_say(s, client[0], GET);
	stage_hear(s, conn[1], "\r\n\r\n");
	stage_reset(s, conn[1]);
	fresh = stage_accept(s);
	CHECK(fresh >= 0 && stage_n_pooled(s) == 1,
	    "a retry takes a fresh connection, though one is pooled");
	close(fresh);
	close(conn[0]);
	close(client[0]);
	close(client[1]);
	stage_close(s);
}

static void
only_dead_ones_in_the_pool(void)
{
	struct stage *s = &stage;
	int client[4], conn[4], fresh;

	stage_open(s, NULL);
	for (int i = 0; i < 4; i++) {
		client[i] = stage_client(s);
		stage_say(s, client[i], GET);
		conn[i] = stage_accept(s);
		stage_hear(s, conn[i], "\r\n\r\n");
	}
	for (int i = 0; i < 4; i++) {
		stage_say(s, conn[i], OK_2);
		stage_hear(s, client[i], "ok");
	}
	CHECK(stage_n_pooled(s) == 4, "four idle connections lie in the pool");
	s->n_attempts = 0;
	/* The last one parked is the first one taken. */
	stage_hold(s, "upstream.sending", 2);
	stage_say(s, client[0], POST);
	stage_reset(s, conn[3]);
	stage_release(s);
	CHECK(s->held != NULL && s->n_upstreams == 4,
	    "after one dead connection another pooled one is tried");
	stage_reset(s, conn[2]);
	stage_release(s);
	fresh = stage_accept(s);
	stage_hear(s, fresh, "abc");
	CHECK(s->n_upstreams == 5 && stage_n_pooled(s) == 2,
	    "after the second dead one a fresh one is taken (R7)");
	stage_say(s, fresh, OK_2);
	CHECK(strstr(stage_hear(s, client[0], "ok"), "200 OK") != NULL,
	    "and a POST comes through, since nothing had been sent");
	CHECK(s->n_attempts == 3 && s->attempts[1].action == RETRY_ELSEWHERE,
	    "choosing another connection used up no retry");
	close(fresh);
	close(conn[0]);
	close(conn[1]);
	for (int i = 0; i < 4; i++)
		close(client[i]);
	stage_close(s);
}

/* The pooled connection dies before the request chooses it, and nobody else has
 * had a chance to notice: a hold makes the look the first to run. */
static void
the_last_look(const char *verify, bool reset, const char *say)
{
	const char *const options[] = { verify, NULL };
	struct stage *s = &stage;
	const char *what = say != NULL ? "bytes" : reset ? "a RST" : "a FIN";
	bool peeks = strcmp(verify, "verify=peek") == 0;
	struct linger at_once = { 1, 0 };
	int client, conn, fresh;

	stage_open(s, options);
	client = stage_client(s);
	conn = stage_warm(s, client);
	stage_hold(s, "session.choosing", 1);
	stage_say(s, client, GET);
	CHECK(s->held != NULL, "the request is about to choose");
	if (say != NULL)
		send(conn, say, strlen(say), 0);
	if (reset) {
		setsockopt(
		    conn, SOL_SOCKET, SO_LINGER, &at_once, sizeof at_once);
		close(conn);
	} else if (say == NULL) {
		shutdown(conn, SHUT_WR);
	}
	proxy_release(s->held);
	fresh = stage_accept(s);
	CHECK(fresh >= 0, "%s, %s on the pooled connection: a fresh one",
	    verify, what);
	stage_hear(s, fresh, "\r\n\r\n");
	stage_say(s, fresh, OK_2);
	CHECK(stage_hears(s, client, "ok", "200 OK"),
	    "%s, %s: the request is answered", verify, what);
	CHECK(s->n_attempts == (peeks ? 1u : 2u) &&
		s->attempts[s->n_attempts - 1].good,
	    "%s, %s: %s", verify, what,
	    peeks ? "it was seen, that was no attempt"
		  : "it was not seen, an attempt was lost");
	close(fresh);
	if (!reset)
		close(conn);
	close(client);
	stage_close(s);
}

static void
idle_ends_at_once(void)
{
	struct stage *s = &stage;
	int client, conn;

	stage_open(s, NULL);
	client = stage_client(s);
	conn = stage_warm(s, client);
	CHECK(stage_n_pooled(s) == 1, "an idle connection is parked");
	stage_fin(s, conn);
	CHECK(stage_n_pooled(s) == 0, "its FIN takes it out of the pool");
	close(conn);
	conn = stage_warm(s, client);
	stage_reset(s, conn);
	CHECK(stage_n_pooled(s) == 0, "so does a reset");
	conn = stage_warm(s, client);
	stage_say(s, conn, "HTTP/1.1 408 Request Timeout\r\n\r\n");
	CHECK(stage_n_pooled(s) == 0, "so do bytes that nobody asked for");
	close(conn);
	close(client);
	stage_close(s);
}

#define STALE_408                          \
	"HTTP/1.1 408 Request Timeout\r\n" \
	"Connection: close\r\nContent-Length: 0\r\n\r\n"

static void
stale_408(bool post)
{
	const char *name = post ? "POST" : "GET";
	const char *end = post ? "abc" : "\r\n\r\n";
	struct stage *s = &stage;
	int client, conn, fresh;

	stage_open(s, NULL);
	client = stage_client(s);
	conn = stage_warm(s, client);
	stage_hold(s, "upstream.sending", 1);
	stage_say(s, client, post ? POST : GET);
	stage_say(s, conn, STALE_408);
	stage_fin(s, conn);
	stage_release(s);
	fresh = stage_accept(s);
	CHECK(strncmp(stage_hear(s, fresh, end), name, strlen(name)) == 0,
	    "%s: a 408 that crossed it, and it goes on a fresh connection",
	    name);
	stage_say(s, fresh, STALE_408);
	CHECK(stage_hears(s, client, "\r\n\r\n", " 408 "),
	    "%s: a 408 on that one is the answer", name);
	CHECK(s->attempts[0].facts.stale_408 &&
		s->attempts[0].action == RETRY_AGAIN && s->n_attempts == 2,
	    "%s: the stale 408 was known as one", name);
	close(fresh);
	close(conn);
	close(client);
	stage_close(s);
}

/* Behind an interim response it answers this request. */
static void
own_408(void)
{
	struct stage *s = &stage;
	int client, conn;

	stage_open(s, NULL);
	client = stage_client(s);
	conn = stage_warm(s, client);
	stage_say(s, client, POST);
	stage_hear(s, conn, "abc");
	stage_say(s, conn, "HTTP/1.1 100 Continue\r\n\r\n" STALE_408);
	CHECK(stage_hears(s, client, "Via: 1.1 closerace\r\n\r\n", " 100 ") &&
		(strstr(s->heard, " 408 ") != NULL ||
		    stage_hears(s, client, "\r\n\r\n", " 408 ")) &&
		s->n_attempts == 1 && s->attempts[0].good,
	    "a 408 behind a 100 answers the request, even on a reused one");
	close(conn);
	close(client);
	stage_close(s);
}

static void
nothing_sent_nothing_answered(void)
{
	struct stage *s = &stage;
	int client, conn, fresh;

	stage_open(s, NULL);
	client = stage_client(s);
	conn = stage_warm(s, client);
	stage_hold(s, "upstream.sending", 1);
	stage_say(s, client, GET);
	stage_say(s, conn, "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nalien");
	stage_reset(s, conn);
	stage_release(s);
	fresh = stage_accept(s);
	stage_hear(s, fresh, "\r\n\r\n");
	stage_say(s, fresh, OK_2);
	CHECK(strstr(stage_hear(s, client, "ok"), "alien") == NULL,
	    "a response in front of a reset answers no unsent request");
	close(fresh);
	close(client);
	stage_close(s);
}

static void
fresh_and_reset(void)
{
	struct stage *s = &stage;
	int client, conn;

	stage_open(s, NULL);
	client = stage_client(s);
	stage_hold(s, "upstream.sending", 3);
	stage_say(s, client, POST);
	stage_reset(s, stage_accept(s));
	stage_release(s);
	CHECK(s->n_attempts == 1 && s->attempts[0].action == RETRY_ELSEWHERE &&
		s->attempts[0].facts.sent == 0 && !s->attempts[0].facts.reused,
	    "a fresh connection reset before the first byte: elsewhere");
	stage_reset(s, stage_accept(s));
	stage_release(s);
	CHECK(s->n_attempts == 2 && s->attempts[1].action == RETRY_AGAIN,
	    "a second one: the retry");
	stage_reset(s, stage_accept(s));
	stage_release(s);
	CHECK(stage_hears(s, client, "left\n", " 502 ") && s->n_upstreams == 3,
	    "but not without end");
	conn = stage_warm(s, client);
	CHECK(stage_n_pooled(s) == 1, "and the proxy goes on");
	close(conn);
	close(client);
	stage_close(s);
}

static void
limited(void)
{
	struct stage *s = &stage;
	const char *heard;
	int client, conn;

	stage_open(s, NULL);
	client = stage_client(s);
	conn = stage_warm(s, client);
	s->limit = 7;
	s->hold_limited = true;
	stage_say(s, client, POST);
	CHECK(s->n_limited == 1 && s->held != NULL,
	    "a limited upstream is held behind its last byte");
	heard = stage_hear(s, conn, "POST /p");
	CHECK(strcmp(heard, "POST /p") == 0, "seven bytes arrived, no more");
	stage_fin(s, conn);
	stage_release(s);
	stage_hear(s, client, "idempotent\n");
	CHECK(s->attempts[0].action == RETRY_GIVE_UP &&
		s->attempts[0].facts.sent >= 7,
	    "a POST of which a part was sent is not sent again");
	close(conn);

	conn = stage_warm(s, client);
	s->limit = 7;
	s->hold_limited = false;
	stage_say(s, client, POST);
	CHECK(stage_hears(s, conn, "abc", "abc") && s->n_limited == 2,
	    "without a hold the rest follows");
	close(conn);
	close(client);
	stage_close(s);
}

static void
listed_and_replayed(void)
{
	static const char *const listed[] = { "retry=listed",
		"retry_list=POST /p*", NULL };
	static const char *const always[] = { "retry=always", "replay_bytes=2",
		NULL };
	static const char *const never[] = { "retry=never", NULL };
	struct stage *s = &stage;
	int client, conn, fresh;

	stage_open(s, listed);
	client = stage_client(s);
	conn = stage_warm(s, client);
	stage_say(s, client, POST);
	stage_reset(s, conn);
	fresh = stage_accept(s);
	CHECK(stage_hears(s, fresh, "abc", "POST /p"),
	    "a listed POST is sent again, with its body");
	CHECK(strcmp(s->attempts[0].why, "known to be repeatable") == 0,
	    "because it is known to be repeatable");
	close(fresh);
	close(client);
	stage_close(s);

	stage_open(s, always);
	client = stage_client(s);
	conn = stage_warm(s, client);
	stage_say(s, client, POST);
	stage_reset(s, conn);
	CHECK(stage_hears(s, client, "keep\n", " 502 "),
	    "a body longer than replay_bytes is not sent again");
	close(client);
	stage_close(s);

	stage_open(s, never);
	client = stage_client(s);
	conn = stage_warm(s, client);
	stage_say(s, client, GET);
	stage_reset(s, conn);
	CHECK(stage_hears(s, client, "never\n", " 502 "),
	    "under retry=never not even a GET is sent again");
	close(client);
	stage_close(s);
}

static void
backing_off(void)
{
	static const char *const options[] = { "retries=3", "backoff_ms=100",
		NULL };
	struct stage *s = &stage;
	int client, conn, expected[] = { 100, 200, 400 };

	stage_open(s, options);
	client = stage_client(s);
	conn = stage_warm(s, client);
	stage_say(s, client, GET);
	for (unsigned i = 0; i < 3; i++) {
		unsigned long before = s->n_upstreams;

		stage_reset(s, conn);
		stage_advance(s, expected[i] - 1);
		CHECK(s->n_upstreams == before, "no retry before %d ms",
		    expected[i]);
		stage_advance(s, 1);
		CHECK(s->n_upstreams == before + 1, "retry %u after %d ms",
		    i + 1, expected[i]);
		conn = stage_accept(s);
		stage_hear(s, conn, "\r\n\r\n");
	}
	stage_reset(s, conn);
	CHECK(stage_hears(s, client, "left\n", " 502 "),
	    "then the client is told");
	close(client);
	stage_close(s);
}

int
main(void)
{
	close_in_the_window(false, false);
	close_in_the_window(true, false);
	close_in_the_window(false, true);
	close_in_the_window(true, true);
	told_why();
	crossing_reset();
	a_retry_is_fresh();
	only_dead_ones_in_the_pool();
	the_last_look("verify=peek", false, NULL);
	the_last_look("verify=peek", true, NULL);
	the_last_look("verify=peek", false, "HTTP/1.1 ");
	the_last_look("verify=none", false, NULL);
	the_last_look("verify=none", true, NULL);
	idle_ends_at_once();
	stale_408(false);
	stale_408(true);
	own_408();
	nothing_sent_nothing_answered();
	fresh_and_reset();
	limited();
	listed_and_replayed();
	backing_off();
	return CHECK_DONE();
}
