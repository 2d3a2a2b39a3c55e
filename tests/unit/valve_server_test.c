/* A server of the user's own behind the valve: plain sockets on both sides,
 * moved step by step. */
#include <fcntl.h>

#include "check.h"
#include "rig.h"

#define GET  "GET /id/g1/a HTTP/1.1\r\nHost: t\r\n\r\n"
#define HEAD "POST /id/p1/pay HTTP/1.1\r\nHost: t\r\nContent-Length: 9\r\n\r\n"
#define POST HEAD "amount=10"
#define OK   "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"

struct scene {
	struct rig *r;
	int listener; /* of the server */
	int server;   /* its connection; -1: none yet */
	int peer;
	char heard[RIG_BYTES]; /* what the server has received */
	size_t n_heard;
	enum fate fate; /* of the server's connection */
};

static struct scene *
scene_open_with(struct backend_options *o, const char *faults)
{
	struct scene *s = calloc(1, sizeof *s);
	unsigned short port;

	s->listener = rig_listener(&port);
	fcntl(s->listener, F_SETFL, O_NONBLOCK);
	endpoint_of(&o->upstream,
	    &(struct sockaddr_in){ .sin_family = AF_INET,
		.sin_addr.s_addr = htonl(INADDR_LOOPBACK),
		.sin_port = htons(port) });
	s->r = rig_open_with(o, faults);
	s->server = -1;
	s->peer = peer_dial(s->r);
	return s;
}

static struct scene *
scene_open(const char *faults)
{
	struct backend_options o;

	backend_options_init(&o);
	return scene_open_with(&o, faults);
}

static void
scene_close(struct scene *s)
{
	if (s->server >= 0)
		close(s->server);
	if (s->listener >= 0)
		close(s->listener);
	if (s->peer >= 0)
		close(s->peer);
	rig_close(s->r);
	free(s);
}

/* What the server has received by now, in all. */
static const char *
hear(struct scene *s)
{
	ssize_t n = 0;

	rig_pump(s->r);
	if (s->server < 0)
		s->server = accept4(s->listener, NULL, NULL, SOCK_NONBLOCK);
	s->fate = OPEN;
	while (s->server >= 0 &&
	    (n = recv(s->server, s->heard + s->n_heard,
		 sizeof s->heard - 1 - s->n_heard, MSG_DONTWAIT)) > 0) {
		s->n_heard += (size_t)n;
		rig_pump(s->r);
	}
	if (s->server >= 0 && n == 0)
		s->fate = ENDED_BY_FIN;
	else if (s->server >= 0 && errno != EAGAIN)
		s->fate = ENDED_BY_RESET;
	s->heard[s->n_heard] = '\0';
	return s->heard;
}

static void
ask(struct scene *s, const char *request)
{
	(void)!peer_put(s->peer, request);
	hear(s);
}

/* What the peer has received by now, in all. */
static const char *
look(struct scene *s)
{
	peer_look(s->r, s->peer);
	return s->r->got;
}

static const char *
answer(struct scene *s, const char *response)
{
	(void)!peer_put(s->server, response);
	return look(s);
}

/* Has the n-th attempt run so often, at least and at most? */
static bool
ran(const struct scene *s, size_t n, unsigned least, unsigned most)
{
	const struct ledger_attempt *a = rig_attempt(s->r, n);

	return rig_n_attempts(s->r) > n && a->executed == least &&
	    a->executed_max == most;
}

/* ----------------------------------------------------- did it run, or not -- */

static void
may_have_run(void)
{
	struct scene *s = scene_open(NULL);

	ask(s, "POST /id/p1/pay HTTP/1.1\r\n");
	CHECK(ran(s, 0, 0, 0), "half a head is no request yet");
	ask(s, "Content-Length: 9\r\n\r\n");
	CHECK(ran(s, 0, 0, 1), "a server may act on a head that it was given");
	ask(s, "amount=10");
	CHECK(strstr(hear(s), "amount=10") != NULL && ran(s, 0, 0, 1),
	    "a request that was given whole may have run");
	answer(s, "HTTP/1.1 100 Continue\r\n\r\n");
	CHECK(ran(s, 0, 0, 1), "a 100 is no answer");
	answer(s, "HTTP/1.1 200 OK\r\nCont");
	CHECK(ran(s, 0, 1, 1), "its answer tells that it ran");
	scene_close(s);

	s = scene_open(NULL);
	ask(s, POST);
	answer(s, "HTTP/1.1 408 Request Timeout\r\nContent-Length: 0\r\n\r\n");
	CHECK(ran(s, 0, 0, 1), "a 408 denies it, and need not be right");
	ask(s, POST);
	answer(s, "HTTP/1.1 500 Oops\r\nContent-Length: 0\r\n\r\n");
	CHECK(ran(s, 1, 1, 1), "a 500 does not");
	scene_close(s);

	s = scene_open(NULL);
	ask(s, "WHAT is this\r\n");
	CHECK(ran(s, 0, 0, 1), "the server may read what the valve cannot");
	scene_close(s);
}

static void
cannot_have_run(void)
{
	struct scene *s = scene_open("on=request_end,close=rst");
	int n;

	ask(s, POST);
	CHECK(s->n_heard == 0 && ran(s, 0, 0, 0),
	    "a request that was kept back did not run");
	scene_close(s);

	s = scene_open("on=request_byte,at=200,close=fin");
	ask(s, POST);
	CHECK(strstr(hear(s), "amount=10") != NULL && ran(s, 0, 0, 1),
	    "kept back, and given after all: it may have run");
	scene_close(s);

	s = scene_open(NULL);
	shutdown(s->listener, SHUT_RDWR);
	look(s);
	n = rig_count(s->r, BACKEND_SERVER_ENDED, NULL);
	close(s->peer);
	s->peer = peer_dial(s->r);
	look(s);
	CHECK(s->r->fate == ENDED_BY_RESET && rig_n_attempts(s->r) == 0 &&
		rig_count(s->r, BACKEND_SERVER_ENDED, NULL) == n,
	    "where no server listens nothing runs, and none has ended");
	scene_close(s);
}

/* ------------------------------------------------------ the server's own end */

/* The one end that the server made by itself was that. */
static bool
ended_so(const struct scene *s, enum close_point on, enum ending ending,
    int64_t idle_ms)
{
	const struct backend_event *e = NULL;

	return rig_count(s->r, BACKEND_SERVER_ENDED, &e) == 1 &&
	    e->point == on && e->ending == ending && e->idle_ms == idle_ms;
}

/* So does the ledger say of the n-th attempt. */
static bool
is_booked(const struct scene *s, size_t n, enum ending ending, int64_t idle_ms)
{
	const struct ledger_attempt *a = rig_attempt(s->r, n);

	return rig_n_attempts(s->r) > n && a->server_ending == ending &&
	    a->server_idle_ms == idle_ms;
}

static void
ending_by_reset(int fd)
{
	struct linger now = { 1, 0 };

	setsockopt(fd, SOL_SOCKET, SO_LINGER, &now, sizeof now);
	close(fd);
}

static void
reset_server(struct scene *s)
{
	ending_by_reset(s->server);
	s->server = -1;
}

static void
close_server(struct scene *s)
{
	close(s->server);
	s->server = -1;
}

/* A FIN is read first; only a question brings out the reset after it. */
static bool
was_reset(int fd)
{
	int err = 0;
	socklen_t n = sizeof err;

	return getsockopt(fd, SOL_SOCKET, SO_ERROR, &err, &n) == 0 && err != 0;
}

/* A connection that has carried a request and is idle. */
static struct scene *
warm(void)
{
	struct scene *s = scene_open(NULL);

	ask(s, GET);
	answer(s, OK);
	return s;
}

static void
ends_while_idle(void)
{
	struct scene *s = warm();

	rig_advance(s->r, 5003);
	close_server(s);
	look(s);
	CHECK(s->r->fate == ENDED_BY_FIN &&
		ended_so(s, POINT_IDLE, ENDING_FIN, 5003),
	    "a FIN after 5003 ms of idleness is told as that");
	CHECK(is_booked(s, 0, ENDING_FIN, 5003) && !rig_attempt(s->r, 0)->ended,
	    "and stands in the ledger, beside a request that it did not harm");
	ask(s, POST);
	CHECK(was_reset(s->peer),
	    "close(2) stays that: what is sent later meets a reset");
	CHECK(rig_attempt(s->r, 1)->after_end && ran(s, 1, 0, 0) &&
		rig_attempt(s->r, 1)->ended_on == POINT_IDLE &&
		is_booked(s, 1, ENDING_FIN, 5003),
	    "it came after the end, and did not run");
	scene_close(s);

	s = warm();
	rig_advance(s->r, 400);
	reset_server(s);
	look(s);
	CHECK(s->r->fate == ENDED_BY_RESET &&
		ended_so(s, POINT_IDLE, ENDING_RST, 400) &&
		is_booked(s, 0, ENDING_RST, 400),
	    "a reset is told as a reset");
	scene_close(s);

	s = warm();
	shutdown(s->server, SHUT_WR);
	look(s);
	ask(s, POST);
	look(s);
	CHECK(s->r->fate == ENDED_BY_FIN && strstr(s->heard, POST) != NULL,
	    "a server that has sent FIN and reads on gets what is sent");
	CHECK(rig_attempt(s->r, 1)->after_end && ran(s, 1, 0, 1),
	    "and may run it");
	close(s->peer);
	s->peer = -1;
	hear(s);
	CHECK(s->fate == ENDED_BY_FIN, "the peer's FIN comes to it");
	scene_close(s);
}

static void
ends_inside(void)
{
	struct scene *s = scene_open(NULL);
	const struct ledger_attempt *a;

	ask(s, POST);
	close_server(s);
	look(s);
	a = rig_attempt(s->r, 0);
	CHECK(s->r->fate == ENDED_BY_FIN && a->ended &&
		a->ended_on == POINT_REQUEST_END && a->ending == ENDING_FIN &&
		is_booked(s, 0, ENDING_FIN, 0) && ran(s, 0, 0, 1),
	    "FIN after the request was read: it may have run");
	scene_close(s);

	s = scene_open(NULL);
	ask(s, POST);
	answer(s, "HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhalf");
	reset_server(s);
	look(s);
	a = rig_attempt(s->r, 0);
	CHECK(s->r->fate == ENDED_BY_RESET && a->ended && !a->answered_whole &&
		a->ended_on == POINT_RESPONSE_HEAD && a->ending == ENDING_RST &&
		ended_so(s, POINT_RESPONSE_HEAD, ENDING_RST, 0),
	    "a reset inside the response cuts it");
	scene_close(s);

	s = scene_open(NULL);
	ask(s, GET);
	answer(s, "HTTP/1.1 200 OK\r\n\r\nall that there is");
	close_server(s);
	look(s);
	a = rig_attempt(s->r, 0);
	CHECK(s->r->fate == ENDED_BY_FIN && a->answered_whole && !a->ended &&
		ended_so(s, POINT_RESPONSE_END, ENDING_FIN, 0),
	    "a FIN ends the response that has no other end");
	scene_close(s);

	s = scene_open(NULL);
	ask(s, GET);
	answer(s, "HTTP/1.1 200 OK\r\n\r\nall that there is");
	reset_server(s);
	look(s);
	a = rig_attempt(s->r, 0);
	CHECK(s->r->fate == ENDED_BY_RESET && !a->answered_whole && a->ended,
	    "a reset does not, it cuts it");
	scene_close(s);

	s = scene_open(NULL);
	ask(s, GET);
	answer(s,
	    "HTTP/1.1 200 OK\r\nConnection: close\r\n"
	    "Content-Length: 2\r\n\r\nok");
	rig_advance(s->r, 100);
	close_server(s);
	look(s);
	CHECK(s->r->fate == ENDED_BY_FIN && !rig_attempt(s->r, 0)->ended &&
		ended_so(s, POINT_RESPONSE_END, ENDING_FIN, 0),
	    "one that was announced is none of an idle connection");
	scene_close(s);

	s = warm();
	shutdown(s->peer, SHUT_WR);
	hear(s);
	close_server(s);
	look(s);
	CHECK(s->r->fate == ENDED_BY_FIN &&
		rig_count(s->r, BACKEND_SERVER_ENDED, NULL) == 0,
	    "a server that answers FIN with FIN has not ended it by itself");
	scene_close(s);
}

/* The POST met the end of the idle connection, and never ran. */
static bool
crossed(const struct scene *s)
{
	const struct ledger_attempt *a = rig_attempt(s->r, 1);

	return a->ended && !a->after_end && ran(s, 1, 0, 0) &&
	    (a->ended_on == POINT_IDLE || a->ended_on == POINT_ARRIVAL);
}

static void
crosses(void)
{
	struct scene *s = warm();
	struct backend_conn c;

	backend_hold(s->r->backend, 1, BACKEND_SENDING);
	close_server(s);
	look(s);
	backend_conn(s->r->backend, 1, &c);
	CHECK(s->r->fate == OPEN && c.server_ended && !c.ended &&
		ended_so(s, POINT_IDLE, ENDING_FIN, 0),
	    "a FIN that is held back is told when it comes");
	ask(s, POST);
	look(s);
	CHECK(s->r->fate == OPEN && rig_attempt(s->r, 1)->whole,
	    "the peer sends, and does not know");
	backend_release(s->r->backend, 1, BACKEND_SENDING);
	look(s);
	CHECK(s->r->fate != OPEN && crossed(s) &&
		rig_count(s->r, BACKEND_ENDED, NULL) == 1,
	    "then it is passed on: they crossed, and nothing ran");
	scene_close(s);

	s = warm();
	backend_hold(s->r->backend, 1, BACKEND_READING);
	backend_hold(s->r->backend, 1, BACKEND_SENDING);
	close_server(s);
	ask(s, POST);
	backend_release(s->r->backend, 1, BACKEND_SENDING);
	look(s);
	CHECK(s->r->fate == ENDED_BY_FIN && !crossed(s),
	    "passed on while the request lies unread");
	backend_release(s->r->backend, 1, BACKEND_READING);
	look(s);
	CHECK(s->r->fate != OPEN && crossed(s), "they crossed, too");
	scene_close(s);

	s = warm();
	close_server(s);
	ask(s, POST); /* before the valve has looked */
	look(s);
	CHECK(s->r->fate != OPEN && crossed(s),
	    "on the way to the server they cross as well");
	scene_close(s);
}

/* ------------------------------------------------ nothing else is changed -- */

static void
connects_at_once(void)
{
	struct scene *s = scene_open(NULL);

	hear(s);
	CHECK(s->server >= 0, "the server is connected to before a request");
	CHECK(strcmp(answer(s, "220 hello\r\n"), "220 hello\r\n") == 0,
	    "and may speak first");
	scene_close(s);

	s = scene_open(NULL);
	hear(s);
	rig_advance(s->r, 70);
	close_server(s);
	look(s);
	CHECK(s->r->fate == ENDED_BY_FIN &&
		ended_so(s, POINT_IDLE, ENDING_FIN, 70),
	    "or close a connection that carries nothing");
	scene_close(s);

	s = scene_open("on=accept,close=rst");
	hear(s);
	CHECK(s->server < 0, "unless the end is due at accept");
	scene_close(s);
}

static void
pipeline(void)
{
	struct scene *s = scene_open("id=x3,on=response_end,close=rst");
	const char *all = "GET /id/x1/ HTTP/1.1\r\n\r\n"
			  "HEAD /id/x2/ HTTP/1.1\r\n\r\n"
			  "GET /id/x3/ HTTP/1.1\r\n\r\n";

	ask(s, all);
	CHECK(strstr(s->heard, "x2") != NULL && strstr(s->heard, "x3") == NULL,
	    "a pipeline goes on as it came, up to what asks for a fault");
	CHECK(ran(s, 0, 0, 1) && ran(s, 1, 0, 1), "both may have run");
	answer(s, "HTTP/1.1 100 Continue\r\n\r\n" OK);
	CHECK(ran(s, 0, 1, 1) && ran(s, 1, 0, 1) &&
		rig_attempt(s->r, 0)->answered_whole,
	    "answers belong to requests in their order");
	answer(s, "HTTP/1.1 200 OK\r\nContent-Length: 99\r\n\r\n");
	CHECK(rig_attempt(s->r, 1)->answered_whole,
	    "the answer to HEAD has no body");
	CHECK(strstr(hear(s), "x3") != NULL, "then the one with the fault");
	answer(s, OK);
	CHECK(s->r->fate == ENDED_BY_RESET &&
		rig_attempt(s->r, 2)->ended_on == POINT_RESPONSE_END,
	    "which fires");
	scene_close(s);

	s = scene_open(NULL);
	ask(s, GET GET GET);
	answer(s, OK);
	close_server(s);
	look(s);
	CHECK(s->r->fate == ENDED_BY_FIN && !rig_attempt(s->r, 0)->ended &&
		rig_attempt(s->r, 1)->ended && rig_attempt(s->r, 2)->ended &&
		ran(s, 2, 0, 1),
	    "a server that drops the rest drops it, and all of it is told");
	scene_close(s);

	s = warm();
	ask(s, GET GET);
	answer(s, OK OK);
	rig_advance(s->r, 30);
	close_server(s);
	look(s);
	CHECK(ended_so(s, POINT_IDLE, ENDING_FIN, 30),
	    "after a pipeline the connection is idle");
	scene_close(s);
}

static void
tunnels(void)
{
	struct scene *s = scene_open(NULL);
	static const char ok[] = "HTTP/1.1 200 Connection Established\r\n\r\n";

	ask(s, "CONNECT x:1 HTTP/1.1\r\nHost: x:1\r\n\r\n");
	answer(s, ok);
	ask(s, "ping");
	CHECK(strstr(s->heard, "\r\n\r\nping") != NULL,
	    "bytes of a tunnel go to the server");
	answer(s, "HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n");
	CHECK(strstr(s->r->got, "Length: 9") != NULL &&
		rig_count(s->r, BACKEND_ANSWERED, NULL) == 1,
	    "and back, and are no messages");
	shutdown(s->peer, SHUT_WR);
	hear(s);
	CHECK(s->fate == ENDED_BY_FIN, "each side ends by itself");
	answer(s, "pong");
	CHECK(strstr(s->r->got, "pong") != NULL && s->r->fate == OPEN,
	    "the other goes on");
	scene_close(s);

	s = scene_open(NULL);
	ask(s, "CONNECT x:1 HTTP/1.1\r\nHost: x:1\r\n\r\n");
	answer(s, "HTTP/1.1 407 No\r\nContent-Length: 2\r\n\r\nno");
	ask(s, GET);
	answer(s, OK);
	CHECK(rig_n_attempts(s->r) == 2 && ran(s, 1, 1, 1),
	    "after a refusal of CONNECT there are requests");
	scene_close(s);
}

static void
half_closed(void)
{
	struct scene *s = scene_open(NULL);

	ask(s, GET);
	shutdown(s->peer, SHUT_WR);
	hear(s);
	CHECK(s->fate == ENDED_BY_FIN, "the peer's FIN goes to the server");
	answer(s, OK);
	CHECK(strcmp(s->r->got, OK) == 0 && s->r->fate == OPEN,
	    "and the answer comes back all the same");
	close_server(s);
	look(s);
	CHECK(s->r->fate == ENDED_BY_FIN, "until the server ends it");
	scene_close(s);

	s = scene_open(NULL);
	ask(s, HEAD "amou");
	shutdown(s->peer, SHUT_WR);
	hear(s);
	answer(s, "HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n");
	CHECK(s->fate == ENDED_BY_FIN &&
		strncmp(s->r->got, "HTTP/1.1 400", 12) == 0,
	    "a FIN inside a request does not swallow the answer");
	scene_close(s);

	s = scene_open(NULL);
	ask(s, HEAD "amou");
	ending_by_reset(s->peer);
	s->peer = -1;
	hear(s);
	CHECK(s->fate == ENDED_BY_RESET, "a reset goes on as a reset");
	scene_close(s);
}

static void
preface(void)
{
	static const char two[] = "\r\n\r\n\0\r\nQUIT\n\x21\x11\0\x0c"
				  "\x7f\0\0\1\x7f\0\0\1\x12\x34\0\x50";
	struct scene *s =
	    scene_open("on=request_byte,at=3,request=2,close=rst");
	char one[2] = "";

	for (const char *c = "PROXY TCP4 10.0.0.1 10.0.0.2 1 2\r\n" GET; *c;
	     c++) {
		one[0] = *c;
		ask(s, one);
	}
	CHECK(strcmp(s->heard, "PROXY TCP4 10.0.0.1 10.0.0.2 1 2\r\n" GET) == 0,
	    "a header of the PROXY protocol goes to the server");
	CHECK(strcmp(rig_attempt(s->r, 0)->id, "g1") == 0 &&
		rig_attempt(s->r, 0)->read == sizeof GET - 1,
	    "and is no part of the request");
	answer(s, OK);
	ask(s, GET);
	look(s);
	CHECK(s->r->fate == ENDED_BY_RESET && rig_attempt(s->r, 1)->read == 3,
	    "faults count as ever");
	scene_close(s);

	s = scene_open(NULL);
	(void)!send(s->peer, two, sizeof two - 1, MSG_NOSIGNAL);
	ask(s, GET);
	CHECK(s->n_heard == sizeof two - 1 + sizeof GET - 1 &&
		memcmp(s->heard, two, sizeof two - 1) == 0 &&
		rig_attempt(s->r, 0)->read == sizeof GET - 1,
	    "so does one of version 2");
	scene_close(s);

	s = scene_open(NULL);
	for (const char *c = "\r\n\r\nPROPFIND /id/q/ HTTP/1.1\r\n\r\n"; *c;
	     c++) {
		one[0] = *c;
		ask(s, one);
	}
	CHECK(strcmp(rig_attempt(s->r, 0)->id, "q") == 0 &&
		rig_attempt(s->r, 0)->whole,
	    "what only begins like one is a request");
	scene_close(s);

	s = scene_open(NULL);
	ask(s, "PRO");
	shutdown(s->peer, SHUT_WR);
	CHECK(strcmp(hear(s), "PRO") == 0 && s->fate == ENDED_BY_FIN,
	    "or nothing, and goes on all the same");
	scene_close(s);
}

int
main(void)
{
	connects_at_once();
	pipeline();
	tunnels();
	half_closed();
	preface();
	may_have_run();
	cannot_have_run();
	ends_while_idle();
	ends_inside();
	crosses();
	return CHECK_DONE();
}
