/* What passes through, what is cut, what is refused. */
#include "check.h"
#include "proxy_stage.h"

static struct stage stage;

#define HEAD_ALL "HTTP/1.1 200 OK\r\nX-Closerace-Mark: 7\r\n"

/* ask, answer and what the client must see of it, to the last byte. */
static void
through(const char *what, const char *ask, const char *asked,
    const char *answer, const char *answered, bool parked)
{
	struct stage *s = &stage;
	int client, conn;
	size_t n;

	stage_open(s, NULL);
	client = stage_client(s);
	stage_say(s, client, ask);
	conn = stage_accept(s);
	CHECK(
	    strcmp(stage_hear(s, conn, asked + strlen(asked) - 5), asked) == 0,
	    "%s: the request goes on as it should", what);
	stage_say(s, conn, answer);
	stage_fin(s, client);
	/* The end of a connection is part of a close-delimited response. */
	if (!parked && strstr(answer, "ength") == NULL &&
	    strstr(answer, "chunked") == NULL)
		stage_fin(s, conn);
	stage_hear(s, client, NULL);
	n = strlen(answered);
	CHECK(strncmp(s->heard, answered, n) == 0 &&
		strcmp(s->heard + n, "<fin>") == 0,
	    "%s: the response goes on as it should", what);
	CHECK(stage_n_pooled(s) == parked, "%s: the connection is %s", what,
	    parked ? "parked" : "not parked");
	CHECK(s->n_attempts == 1 && s->attempts[0].good, "%s: was good", what);
	close(conn);
	close(client);
	stage_close(s);
}

#define ASK_GET	  "GET / HTTP/1.1\r\nHost: t\r\n\r\n"
#define ASKED_GET "GET / HTTP/1.1\r\nHost: t\r\nVia: 1.1 closerace\r\n\r\n"

static void
passes(void)
{
	through("hop-by-hop fields",
	    "GET /a?b HTTP/1.1\r\nHost: t\r\nX-Closerace-Id:  i1 \r\n"
	    "Connection: x-mine, keep-alive\r\nX-Mine: 1\r\nTE: trailers\r\n"
	    "Upgrade: h2c\r\nKeep-Alive: 3\r\nvia: 1.0 a\r\n\r\n",
	    "GET /a?b HTTP/1.1\r\nHost: t\r\nX-Closerace-Id:  i1 \r\n"
	    "via: 1.0 a\r\nVia: 1.1 closerace\r\n\r\n",
	    HEAD_ALL "Connection: x-yours\r\nX-Yours: 1\r\nKeep-Alive: max=9"
		     "\r\nContent-Length: 2\r\n\r\nok",
	    HEAD_ALL "Content-Length: 2\r\nVia: 1.1 closerace\r\n\r\nok", true);
	through("an absolute-form target",
	    "GET http://other:81/a?b HTTP/1.1\r\nHost: t\r\nA: b\r\n\r\n",
	    "GET /a?b HTTP/1.1\r\nHost: other:81\r\nA: b\r\n"
	    "Via: 1.1 closerace\r\n\r\n",
	    HEAD_ALL "Content-Length: 2\r\n\r\nok",
	    HEAD_ALL "Content-Length: 2\r\nVia: 1.1 closerace\r\n\r\nok", true);
	through("an absolute-form target without a path",
	    "OPTIONS HTTP://other HTTP/1.1\r\nHost: t\r\n\r\n",
	    "OPTIONS * HTTP/1.1\r\nHost: other\r\nVia: 1.1 closerace\r\n\r\n",
	    HEAD_ALL "Content-Length: 2\r\n\r\nok",
	    HEAD_ALL "Content-Length: 2\r\nVia: 1.1 closerace\r\n\r\nok", true);
	through("a method that nobody knows",
	    "BREW / HTTP/1.1\r\nHost: t\r\n\r\n",
	    "BREW / HTTP/1.1\r\nHost: t\r\nVia: 1.1 closerace\r\n\r\n",
	    HEAD_ALL "Content-Length: 2\r\n\r\nok",
	    HEAD_ALL "Content-Length: 2\r\nVia: 1.1 closerace\r\n\r\nok", true);
	through("a body by length",
	    "POST / HTTP/1.1\r\nHost: t\r\nContent-Length: 3\r\n\r\nabc",
	    "POST / HTTP/1.1\r\nHost: t\r\nContent-Length: 3\r\n"
	    "Via: 1.1 closerace\r\n\r\nabc",
	    "HTTP/1.1 204 No Content\r\n\r\n",
	    "HTTP/1.1 204 No Content\r\nVia: 1.1 closerace\r\n\r\n", true);
	through("chunks, their extensions and trailers",
	    "POST / HTTP/1.1\r\nHost: t\r\nTransfer-Encoding: Chunked\r\n\r\n"
	    "3;x=y\r\nabc\r\n0\r\nT: v\r\nContent-Length: 9\r\nHost: a\r\n\r\n",
	    "POST / HTTP/1.1\r\nHost: t\r\nTransfer-Encoding: chunked\r\n"
	    "Via: 1.1 closerace\r\n\r\n3\r\nabc\r\n0\r\nT: v\r\n\r\n",
	    "HTTP/1.1 200 OK\r\nTrailer: T, Empty\r\n"
	    "Transfer-Encoding: chunked\r\n\r\n"
	    "2;q\r\nok\r\n0\r\nSet-Cookie: a\r\nT:  v\r\nEmpty:\r\n\r\n",
	    "HTTP/1.1 200 OK\r\nTrailer: T, Empty\r\n"
	    "Transfer-Encoding: chunked\r\nVia: 1.1 closerace\r\n\r\n"
	    "2\r\nok\r\n0\r\nT:  v\r\nEmpty:\r\n\r\n",
	    true);
	through("HEAD", "HEAD / HTTP/1.1\r\nHost: t\r\n\r\n",
	    "HEAD / HTTP/1.1\r\nHost: t\r\nVia: 1.1 closerace\r\n\r\n",
	    "HTTP/1.1 200 OK\r\nContent-Length: 99\r\n\r\n",
	    "HTTP/1.1 200 OK\r\nContent-Length: 99\r\n"
	    "Via: 1.1 closerace\r\n\r\n",
	    true);
	through("304", ASK_GET, ASKED_GET,
	    "HTTP/1.1 304 Not Modified\r\nContent-Length: 99\r\n\r\n",
	    "HTTP/1.1 304 Not Modified\r\nContent-Length: 99\r\n"
	    "Via: 1.1 closerace\r\n\r\n",
	    true);
	through("interim responses", ASK_GET, ASKED_GET,
	    "HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n"
	    "HTTP/1.1 100 Continue\r\n\r\n" OK_2,
	    "HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n"
	    "Via: 1.1 closerace\r\n\r\n"
	    "HTTP/1.1 100 Continue\r\nVia: 1.1 closerace\r\n\r\n"
	    "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n"
	    "Via: 1.1 closerace\r\n\r\nok",
	    true);
	through("Connection: close from the backend", ASK_GET, ASKED_GET,
	    "HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 2\r\n\r\n"
	    "ok",
	    "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n"
	    "Via: 1.1 closerace\r\n\r\nok",
	    false);
	through("a 204 that says that it has content", ASK_GET, ASKED_GET,
	    "HTTP/1.1 204 No\r\nContent-Length: 5\r\n\r\n",
	    "HTTP/1.1 204 No\r\nVia: 1.1 closerace\r\n\r\n", false);
	through("a 204 that says that it is chunked", ASK_GET, ASKED_GET,
	    "HTTP/1.1 204 No\r\nTransfer-Encoding: chunked\r\n\r\n",
	    "HTTP/1.1 204 No\r\nVia: 1.1 closerace\r\n\r\n", false);
	through("a 103 that says that it has content", ASK_GET, ASKED_GET,
	    "HTTP/1.1 103 Early\r\nContent-Length: 0\r\n\r\n" OK_2,
	    "HTTP/1.1 103 Early\r\nVia: 1.1 closerace\r\n\r\n"
	    "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n"
	    "Via: 1.1 closerace\r\n\r\nok",
	    false);
	through("more than the response", ASK_GET, ASKED_GET, OK_2 "HTTP",
	    "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n"
	    "Via: 1.1 closerace\r\n\r\nok",
	    false);
	through("an empty line before the request", "\r\n\r\n" ASK_GET,
	    ASKED_GET, OK_2,
	    "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n"
	    "Via: 1.1 closerace\r\n\r\nok",
	    true);
}

/* The proxy is the last recipient. */
static void
last(const char *what, const char *ask, const char *status, const char *content)
{
	struct stage *s = &stage;
	const char *body;
	int client, conn;

	stage_open(s, NULL);
	client = stage_client(s);
	stage_say(s, client, ask);
	stage_hear(s, client, "\r\n\r\n");
	CHECK(strncmp(s->heard, status, strlen(status)) == 0 &&
		strstr(s->heard, "Proxy-Status: closerace; details=") != NULL,
	    "%s: the proxy answers itself", what);
	body = strstr(s->heard, "\r\n\r\n");
	CHECK(body != NULL && strcmp(body + 4, content) == 0,
	    "%s: with what was asked", what);
	CHECK(s->n_upstreams == 0 && s->n_accounts == 1 &&
		s->account.who == '-' && s->account.status == 200,
	    "%s: nothing goes on, and all is well", what);
	stage_say(s, client, GET);
	conn = stage_accept(s);
	CHECK(stage_hears(s, conn, "\r\n\r\n", "GET /g"),
	    "%s: the next request goes on as ever", what);
	close(conn);
	close(client);
	stage_close(s);
}

static void
max_forwards(void)
{
	last("OPTIONS",
	    "OPTIONS * HTTP/1.1\r\nHost: t\r\nMax-Forwards: 0\r\n\r\n",
	    "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n", "");
	last("OPTIONS with a body",
	    "OPTIONS / HTTP/1.1\r\nHost: t\r\nMax-Forwards: 0\r\n"
	    "Content-Length: 3\r\n\r\nabc",
	    "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n", "");
#define TRACED "TRACE /a?b HTTP/1.1\r\nHost: t\r\nMax-Forwards: 0\r\n"
	last("TRACE",
	    TRACED "Cookie: secret\r\nauthorization: secret\r\n"
		   "Proxy-Authorization: secret\r\nVia: 1.0 a\r\n\r\n",
	    "HTTP/1.1 200 OK\r\nContent-Type: message/http\r\n",
	    TRACED "Via: 1.0 a\r\n\r\n");
	through("Max-Forwards of TRACE",
	    "TRACE / HTTP/1.1\r\nMax-Forwards: 10\r\nHost: t\r\n\r\n",
	    "TRACE / HTTP/1.1\r\nHost: t\r\nMax-Forwards: 9\r\n"
	    "Via: 1.1 closerace\r\n\r\n",
	    OK_2,
	    "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n"
	    "Via: 1.1 closerace\r\n\r\nok",
	    true);
	through("Max-Forwards of OPTIONS, listed by Connection",
	    "OPTIONS / HTTP/1.1\r\nHost: t\r\nMax-Forwards: 1\r\n"
	    "Connection: max-forwards\r\n\r\n",
	    "OPTIONS / HTTP/1.1\r\nHost: t\r\nMax-Forwards: 0\r\n"
	    "Via: 1.1 closerace\r\n\r\n",
	    OK_2,
	    "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n"
	    "Via: 1.1 closerace\r\n\r\nok",
	    true);
	through("Max-Forwards of GET",
	    "GET / HTTP/1.1\r\nHost: t\r\nMax-Forwards: 0\r\n\r\n",
	    "GET / HTTP/1.1\r\nHost: t\r\nMax-Forwards: 0\r\n"
	    "Via: 1.1 closerace\r\n\r\n",
	    OK_2,
	    "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n"
	    "Via: 1.1 closerace\r\n\r\nok",
	    true);
}

static int64_t
some_moment(void *arg)
{
	return 784111777;
}

#define DATED "Date: Sun, 06 Nov 1994 08:49:37 GMT\r\n"

/* RFC 9110 6.6.1.  answer ends in OK_2's body, or has none. */
static void
dated(const char *what, const char *answer, const char *answered)
{
	struct stage *s = &stage;
	int client, conn;

	stage_open(s, NULL);
	s->clock.date_s = some_moment;
	proxy_free(s->proxy);
	s->proxy = proxy_new(s->base, &s->options, &s->clock, stage_watch, s);
	proxy_listen(s->proxy, stage_listen(&s->front));
	client = stage_client(s);
	stage_say(s, client, GET);
	conn = stage_accept(s);
	stage_hear(s, conn, "\r\n\r\n");
	stage_say(s, conn, answer);
	stage_fin(s, client);
	stage_hear(s, client, NULL);
	CHECK(strcmp(s->heard, answered) == 0, "%s", what);
	close(conn);
	close(client);
	stage_close(s);
}

static void
dates(void)
{
	dated("a response without Date gets one, of when it came",
	    "HTTP/1.1 103 Early\r\n\r\n" OK_2,
	    "HTTP/1.1 103 Early\r\nVia: 1.1 closerace\r\n\r\n"
	    "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n" DATED
	    "Via: 1.1 closerace\r\n\r\nok<fin>");
	dated("one with Date keeps it",
	    "HTTP/1.1 304 No\r\ndate: Sun, 06 Nov 1994 08:00:00 GMT\r\n\r\n",
	    "HTTP/1.1 304 No\r\ndate: Sun, 06 Nov 1994 08:00:00 GMT\r\n"
	    "Via: 1.1 closerace\r\n\r\n<fin>");
	dated("one whose Date does not go on gets another",
	    "HTTP/1.1 304 No\r\nDate: Sun, 06 Nov 1994 08:00:00 GMT\r\n"
	    "Connection: date\r\n\r\n",
	    "HTTP/1.1 304 No\r\n" DATED "Via: 1.1 closerace\r\n\r\n<fin>");
}

static void
versions(void)
{
	through("close-delimited, to HTTP/1.1", ASK_GET, ASKED_GET,
	    "HTTP/1.1 200 OK\r\n\r\nabc",
	    "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n"
	    "Via: 1.1 closerace\r\n\r\n3\r\nabc\r\n0\r\n\r\n",
	    false);
	through("HTTP/1.2 is 1.1 to us", "GET / HTTP/1.2\r\nHost: t\r\n\r\n",
	    "GET / HTTP/1.1\r\nHost: t\r\nVia: 1.2 closerace\r\n\r\n",
	    "HTTP/1.7 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
	    "2\r\nok\r\n0\r\n\r\n",
	    "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n"
	    "Via: 1.7 closerace\r\n\r\n2\r\nok\r\n0\r\n\r\n",
	    true);
	through("an HTTP/1.0 backend", ASK_GET, ASKED_GET,
	    "HTTP/1.0 200 OK\r\nContent-Length: 2\r\n\r\nok",
	    "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n"
	    "Via: 1.0 closerace\r\n\r\nok",
	    false);
	through("an HTTP/1.0 backend that keeps alive", ASK_GET, ASKED_GET,
	    "HTTP/1.0 200 OK\r\nConnection: Keep-Alive\r\n"
	    "Content-Length: 2\r\n\r\nok",
	    "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n"
	    "Via: 1.0 closerace\r\n\r\nok",
	    true);
	through("chunks to HTTP/1.0", "GET / HTTP/1.0\r\nHost: t\r\n\r\n",
	    "GET / HTTP/1.1\r\nHost: t\r\nVia: 1.0 closerace\r\n\r\n",
	    "HTTP/1.1 100 Continue\r\n\r\n"
	    "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
	    "2\r\nok\r\n0\r\n\r\n",
	    "HTTP/1.1 200 OK\r\nConnection: close\r\n"
	    "Via: 1.1 closerace\r\n\r\nok",
	    true);
	through("HTTP/1.0 that keeps alive",
	    "GET / HTTP/1.0\r\nHost: t\r\nConnection: keep-alive\r\n\r\n",
	    "GET / HTTP/1.1\r\nHost: t\r\nVia: 1.0 closerace\r\n\r\n", OK_2,
	    "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n"
	    "Connection: keep-alive\r\nVia: 1.1 closerace\r\n\r\nok",
	    true);
}

/* The response begins before its request has ended. */
static void
both_at_once(void)
{
	static const char head[] =
	    "POST / HTTP/1.1\r\nHost: t\r\nContent-Length: 6\r\n\r\nab";
	struct stage *s = &stage;
	int client, conn;

	stage_open(s, NULL);
	client = stage_client(s);
	stage_say(s, client, head);
	conn = stage_accept(s);
	stage_hear(s, conn, "\r\n\r\nab");
	stage_say(s, conn, "HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nAB");
	CHECK(stage_hears(s, client, "AB", "Connection: close\r\n"),
	    "an answer to half a request is passed on");
	stage_say(s, client, "cd");
	CHECK(strcmp(stage_hear(s, conn, "cd"), "cd") == 0,
	    "and the request goes on beside it");
	stage_say(s, conn, "CD");
	stage_hear(s, client, "CD");
	stage_say(s, client, "ef");
	stage_hear(s, conn, "ef");
	stage_say(s, conn, "EF");
	CHECK(strcmp(stage_hear(s, client, NULL), "EF<fin>") == 0 &&
		stage_n_pooled(s) == 1 && s->attempts[0].good,
	    "until both have ended");
	close(client);

	client = stage_client(s);
	stage_say(s, client, head);
	stage_hear(s, conn, "\r\n\r\nab");
	stage_say(s, conn, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok");
	CHECK(stage_hears(s, client, NULL, "ok<fin>") && stage_n_pooled(s) == 0,
	    "behind a whole answer, the rest of the request is not awaited");
	close(client);
	close(conn);

	client = stage_client(s);
	stage_say(s, client, head);
	conn = stage_accept(s);
	stage_hear(s, conn, "\r\n\r\nab");
	stage_say(s, conn, "HTTP/1.1 413 No\r\nContent-Length: 9\r\n\r\nno");
	stage_hear(s, client, "no");
	stage_say(s, client, "cdef");
	CHECK(strcmp(stage_hear(s, conn, "c"), "<nothing>") == 0,
	    "nor is it sent on beside an error");
	close(client);
	close(conn);
	stage_close(s);
}

/* The response ends too early. */
static void
cut(const char *what, const char *ask, const char *answer, const char *rest,
    bool reset, const char *end, const char *never)
{
	struct stage *s = &stage;
	int client, conn;
	const char *heard;

	stage_open(s, NULL);
	client = stage_client(s);
	stage_say(s, client, ask);
	conn = stage_accept(s);
	stage_hear(s, conn, "\r\n\r\n");
	stage_say(s, conn, answer);
	stage_say(s, conn, rest);
	if (reset)
		stage_reset(s, conn);
	else
		stage_fin(s, conn);
	heard = stage_hear(s, client, NULL);
	CHECK(strstr(heard, "200 OK") != NULL && strlen(heard) >= strlen(end) &&
		strcmp(heard + strlen(heard) - strlen(end), end) == 0,
	    "%s: the client sees it end where it was cut", what);
	CHECK(strstr(heard, never) == NULL && s->n_upstreams == 1,
	    "%s: it does not look whole, and is not tried again", what);
	CHECK(s->n_attempts == 1 && s->attempts[0].action == RETRY_GIVE_UP &&
		s->attempts[0].facts.received_final ==
		    strlen(answer) + strlen(rest),
	    "%s: judged: %s", what, s->attempts[0].why);
	if (!reset)
		close(conn);
	close(client);
	stage_close(s);
}

#define ASK_10	"GET / HTTP/1.0\r\nHost: t\r\n\r\n"
#define LENGTH	"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n"
#define CHUNKED "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"

static void
cuts(void)
{
	cut("length, FIN", ASK_GET, LENGTH, "abc", false, "abc<fin>", " 502 ");
	cut("length, RST", ASK_GET, LENGTH, "abc", true, "abc<fin>", " 502 ");
	cut("chunks, FIN", ASK_GET, CHUNKED, "3\r\nabc\r\n", false,
	    "abc\r\n<fin>", "\r\n0\r\n");
	cut("chunks, RST", ASK_GET, CHUNKED, "3\r\nab", true, "ab\r\n<fin>",
	    "\r\n0\r\n");
	cut("close-delimited, RST", ASK_GET, "HTTP/1.1 200 OK\r\n\r\n", "abc",
	    true, "abc\r\n<fin>", "\r\n0\r\n");
	cut("close-delimited to HTTP/1.0, RST", ASK_10,
	    "HTTP/1.1 200 OK\r\n\r\n", "abc", true, "<rst>", "<fin>");
	cut("chunks to HTTP/1.0, FIN", ASK_10, CHUNKED, "3\r\nabc\r\n", false,
	    "<rst>", "<fin>");
}

/* Nothing of the response has reached the client: it is told. */
static void
cut_early(const char *what, const char *answer, bool reset, const char *told)
{
	struct stage *s = &stage;
	int client, conn;

	stage_open(s, NULL);
	client = stage_client(s);
	stage_say(s, client, ASK_GET);
	conn = stage_accept(s);
	stage_hear(s, conn, "\r\n\r\n");
	send(conn, answer, strlen(answer), 0);
	if (reset)
		stage_reset(s, conn);
	else
		stage_fin(s, conn);
	stage_hear(s, client, "\n\r\n");
	CHECK(strncmp(s->heard, "HTTP/1.1 502 ", 13) == 0 &&
		strstr(s->heard, told) != NULL,
	    "%s is a 502, %s", what, told);
	CHECK(s->n_upstreams == 1, "%s is not tried again", what);
	if (!reset)
		close(conn);
	close(client);
	stage_close(s);
}

static void
told_of_bad_responses(void)
{
	cut_early(
	    "half a status line", "HTTP/1.", false, "http_response_incomplete");
	cut_early("half a head", "HTTP/1.1 200 OK\r\nA: b\r\n", true,
	    "http_response_incomplete");
	cut_early(
	    "a cut in one go", LENGTH "abc", false, "http_response_incomplete");
	cut_early("junk", "SSH-2.0-x\r\n", false, "http_protocol_error");
	cut_early("two lengths",
	    "HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 1\r\n\r\n",
	    false, "http_protocol_error");
	cut_early("both framings",
	    "HTTP/1.1 200 OK\r\nContent-Length: 1\r\n"
	    "Transfer-Encoding: chunked\r\n\r\n",
	    false, "http_protocol_error");
	cut_early("gzip as transfer coding",
	    "HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip\r\n\r\n", false,
	    "http_protocol_error");
	cut_early("a 101", "HTTP/1.1 101 S\r\nUpgrade: x\r\n\r\n", false,
	    "http_protocol_error");
	cut_early("a folded line", "HTTP/1.1 200 OK\r\nA: b\r\n c\r\n\r\n",
	    false, "http_protocol_error");
}

static void
interim_then_close(void)
{
	struct stage *s = &stage;
	int client, conn;

	stage_open(s, NULL);
	client = stage_client(s);
	stage_say(s, client, ASK_GET);
	conn = stage_accept(s);
	stage_hear(s, conn, "\r\n\r\n");
	stage_say(s, conn, "HTTP/1.1 103 Early Hints\r\n\r\n");
	CHECK(stage_hears(s, client, "\r\n\r\n", " 103 "),
	    "a 103 goes on at once");
	stage_fin(s, conn);
	close(conn);
	conn = stage_accept(s);
	CHECK(conn >= 0 && s->attempts[0].facts.received > 0 &&
		s->attempts[0].facts.received_final == 0,
	    "a close behind an interim response is tried again");
	stage_hear(s, conn, "\r\n\r\n");
	stage_say(s, conn, OK_2);
	CHECK(stage_hears(s, client, "ok", "200 OK"), "and answered");
	close(conn);
	close(client);
	stage_close(s);
}

static void
expect_continue(void)
{
	struct stage *s = &stage;
	int client, conn;

	stage_open(s, NULL);
	client = stage_client(s);
	stage_say(s, client,
	    "POST / HTTP/1.1\r\nHost: t\r\nExpect: 100-continue\r\n"
	    "Content-Length: 3\r\n\r\n");
	conn = stage_accept(s);
	CHECK(stage_hears(s, conn, "\r\n\r\n", "Expect: 100-continue\r\n"),
	    "Expect goes on");
	stage_say(s, conn, "HTTP/1.1 100 Continue\r\n\r\n");
	CHECK(
	    stage_hears(s, client, "\r\n\r\n", " 100 "), "the 100 comes back");
	stage_say(s, client, "abc");
	CHECK(stage_hears(s, conn, "abc", "abc"), "then the body goes");
	stage_say(s, conn, OK_2);
	stage_hear(s, client, "ok");
	CHECK(stage_n_pooled(s) == 1, "and the connection is parked");

	stage_say(s, client,
	    "POST / HTTP/1.1\r\nHost: t\r\nExpect: 100-continue\r\n"
	    "Content-Length: 3\r\n\r\n");
	stage_hear(s, conn, "\r\n\r\n");
	stage_say(s, conn, "HTTP/1.1 417 No\r\nContent-Length: 0\r\n\r\n");
	CHECK(stage_hears(s, client, NULL, " 417 No") &&
		strstr(s->heard, "Connection: close\r\n") != NULL,
	    "a final response instead of the 100 ends the connection");
	CHECK(stage_n_pooled(s) == 0, "the upstream connection is not parked");
	close(conn);
	close(client);
	stage_close(s);
}

/* 413 while the body is still on its way; then the backend resets. */
static void
early_response(bool reset)
{
	struct stage *s = &stage;
	static char body[200000];
	int client, conn;

	stage_open(s, NULL);
	client = stage_client(s);
	stage_say(s, client,
	    "POST / HTTP/1.1\r\nHost: t\r\nContent-Length: 9000000\r\n\r\n");
	memset(body, 'x', sizeof body);
	send(client, body, sizeof body, MSG_NOSIGNAL);
	conn = stage_accept(s);
	stage_hear(s, conn, "\r\n\r\n");
	/* Held in front of a write; the response and the reset come first. */
	send(conn, "HTTP/1.1 413 Too Large\r\nContent-Length: 2\r\n\r\nno", 47,
	    0);
	if (reset)
		stage_reset(s, conn);
	send(client, body, sizeof body, MSG_NOSIGNAL);
	stage_settle(s);
	stage_hear(s, client, NULL);
	CHECK(strncmp(s->heard, "HTTP/1.1 413 Too Large", 22) == 0 &&
		strstr(s->heard, "\r\n\r\nno<fin>") != NULL,
	    "an early 413 is delivered whole%s",
	    reset ? ", though a reset stands behind it" : "");
	CHECK(strstr(s->heard, "Connection: close") != NULL,
	    "the client's connection ends after it");
	CHECK(stage_n_pooled(s) == 0 && s->n_upstreams == 1,
	    "its upstream connection is not used again");
	send(client, body, sizeof body, MSG_NOSIGNAL);
	stage_settle(s);
	CHECK(proxy_n_sessions(s->proxy) == 1,
	    "it lingers and discards what the client still sends");
	stage_advance(s, s->options.linger_ms);
	CHECK(proxy_n_sessions(s->proxy) == 0, "but not for ever");
	if (!reset)
		close(conn);
	close(client);
	stage_close(s);
}

/* A write meets the reset before anybody has read the response. */
static void
response_in_front_of_a_failed_write(void)
{
	struct stage *s = &stage;
	int client, conn;

	stage_open(s, NULL);
	client = stage_client(s);
	s->limit = 20;
	s->hold_limited = true;
	stage_say(s, client, POST);
	conn = stage_accept(s);
	stage_hear(s, conn, "POST /p");
	stage_say(
	    s, conn, "HTTP/1.1 413 Too Large\r\nContent-Length: 2\r\n\r\nno");
	stage_reset(s, conn);
	CHECK(s->held != NULL && s->n_attempts == 0,
	    "the rest of the request is held back");
	stage_release(s);
	CHECK(stage_hears(s, client, "no", " 413 Too Large"),
	    "a response in front of a failed write is delivered");
	CHECK(s->attempts[0].good && s->attempts[0].facts.error == ECONNRESET,
	    "though the write did fail");
	CHECK(stage_n_pooled(s) == 0, "its connection is not used again");
	close(client);
	stage_close(s);
}

static void
pipelining(void)
{
	struct stage *s = &stage;
	int client, conn;

	stage_open(s, NULL);
	client = stage_client(s);
	stage_say(s, client,
	    "GET /1 HTTP/1.1\r\nHost: t\r\n\r\n"
	    "POST /2 HTTP/1.1\r\nHost: t\r\nContent-Length: 3\r\n\r\nabc"
	    "GET /3 HTTP/1.1\r\nHost: t\r\n\r\n");
	conn = stage_accept(s);
	CHECK(!stage_hears(s, conn, "\r\n\r\n", "/2"),
	    "the second request waits for the first answer");
	stage_say(s, conn, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nr1");
	CHECK(stage_hears(s, conn, "abc", "POST /2"), "then it goes");
	stage_say(s, conn, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nr2");
	stage_fin(s, client);
	CHECK(stage_hears(s, conn, "\r\n\r\n", "GET /3"),
	    "the third goes although the client has half-closed");
	stage_say(s, conn, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nr3");
	stage_hear(s, client, NULL);
	CHECK(strstr(s->heard, "r1") < strstr(s->heard, "r2") &&
		strstr(s->heard, "r2") < strstr(s->heard, "r3<fin>"),
	    "three answers in order, then the end");
	CHECK(s->n_upstreams == 1, "all over one connection");
	close(conn);
	close(client);
	stage_close(s);
}

/* A request that must not go on. */
static void
refused(const char *what, const char *ask, const char *status)
{
	static const char *const options[] = { "head_bytes=300", NULL };
	struct stage *s = &stage;
	int client;

	stage_open(s, options);
	client = stage_client(s);
	stage_say(s, client, ask);
	stage_hear(s, client, NULL);
	CHECK(strncmp(s->heard, "HTTP/1.1 ", 9) == 0 &&
		strncmp(s->heard + 9, status, 3) == 0 &&
		strstr(s->heard, "<fin>") != NULL &&
		strstr(s->heard, "Connection: close\r\n") != NULL,
	    "%s: %s and close", what, status);
	CHECK(strstr(s->heard, "error=http_request_error") != NULL,
	    "%s: with Proxy-Status", what);
	close(client);
	stage_close(s);
}

#define R(fields)     "POST / HTTP/1.1\r\nHost: t\r\n" fields "\r\n"
#define TE	      "Transfer-Encoding: chunked\r\n"
#define FIFTY	      "xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx"
#define THREE_HUNDRED FIFTY FIFTY FIFTY FIFTY FIFTY FIFTY

static void
refusals(void)
{
	static const struct {
		const char *what, *ask, *status;
	} rows[] = {
		{ "CL and TE", R("Content-Length: 3\r\n" TE) "abc", "400" },
		{ "TE and CL", R(TE "Content-Length: 3\r\n") "0\r\n\r\n",
		    "400" },
		{ "two CLs", R("Content-Length: 3\r\nContent-Length: 4\r\n"),
		    "400" },
		{ "two equal CLs",
		    R("Content-Length: 3\r\nContent-Length: 3\r\n"), "400" },
		{ "a list of CLs", R("Content-Length: 3, 3\r\n"), "400" },
		{ "a signed CL", R("Content-Length: +3\r\n"), "400" },
		{ "a huge CL", R("Content-Length: 99999999999999999999\r\n"),
		    "400" },
		{ "gzip, chunked", R("Transfer-Encoding: gzip, chunked\r\n"),
		    "501" },
		{ "TE twice", R(TE TE), "501" },
		{ "TE identity", R("Transfer-Encoding: identity\r\n"), "501" },
		{ "a chunked that is none",
		    R("Transfer-Encoding: xchunked\r\n"), "501" },
		{ "TE in HTTP/1.0", "POST / HTTP/1.0\r\n" TE "\r\n0\r\n\r\n",
		    "400" },
		{ "a bad chunk size", R(TE) "zz\r\n", "400" },
		{ "a chunk size with 0x", R(TE) "0x1\r\na\r\n", "400" },
		{ "a negative chunk size", R(TE) "-1\r\n", "400" },
		{ "a chunk size that overflows", R(TE) "fffffffffffffffff\r\n",
		    "400" },
		{ "a chunk too long for its size", R(TE) "1\r\nab\r\n", "400" },
		{ "a bare LF in a chunk", R(TE) "1\na\r\n", "400" },
		{ "two Hosts", R("Host: u\r\n"), "400" },
		{ "no Host", "GET / HTTP/1.1\r\n\r\n", "400" },
		{ "a folded line", R("A: b\r\n c\r\n"), "400" },
		{ "a folded first line", "GET / HTTP/1.1\r\n Host: t\r\n\r\n",
		    "400" },
		{ "a space before the colon", R("A : b\r\n"), "400" },
		{ "no colon", R("A\r\n"), "400" },
		{ "a control character", R("A: \001\r\n"), "400" },
		{ "two spaces", "GET  / HTTP/1.1\r\nHost: t\r\n\r\n", "400" },
		{ "a space in the target",
		    "GET /a b HTTP/1.1\r\nHost: t\r\n\r\n", "400" },
		{ "HTTP/0.9", "GET /\r\n", "400" },
		{ "HTTP/2.0", "GET / HTTP/2.0\r\nHost: t\r\n\r\n", "505" },
		{ "CONNECT", "CONNECT a:1 HTTP/1.1\r\nHost: t\r\n\r\n", "501" },
		{ "a method with a colon", "GE:T / HTTP/1.1\r\nHost: t\r\n\r\n",
		    "400" },
		{ "a target with a high byte",
		    "GET /\xe4 HTTP/1.1\r\nHost: t\r\n\r\n", "400" },
		{ "a target that is no path",
		    "GET x HTTP/1.1\r\nHost: t\r\n\r\n", "400" },
		{ "a star for GET", "GET * HTTP/1.1\r\nHost: t\r\n\r\n",
		    "400" },
		{ "a target with userinfo",
		    "GET http://a@b/ HTTP/1.1\r\nHost: b\r\n\r\n", "400" },
		{ "a Host with userinfo", "GET / HTTP/1.1\r\nHost: a@b\r\n\r\n",
		    "400" },
		{ "a list of hosts", "GET / HTTP/1.1\r\nHost: a, b\r\n\r\n",
		    "400" },
		{ "bare LFs", "GET / HTTP/1.1\nHost: t\n\n", "400" },
		{ "a bare CR", R("A: b\rC: d\r\n"), "400" },
		{ "a long line", "GET /" THREE_HUNDRED, "414" },
		{ "a long head", R("A: " THREE_HUNDRED "\r\n"), "431" },
	};

	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
		refused(rows[i].what, rows[i].ask, rows[i].status);
}

int
main(void)
{
	passes();
	both_at_once();
	max_forwards();
	dates();
	versions();
	cuts();
	told_of_bad_responses();
	interim_then_close();
	expect_continue();
	early_response(false);
	early_response(true);
	response_in_front_of_a_failed_write();
	pipelining();
	refusals();
	return CHECK_DONE();
}
