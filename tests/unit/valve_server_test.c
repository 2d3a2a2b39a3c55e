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
	o->upstream.sin_family = AF_INET;
	o->upstream.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	o->upstream.sin_port = htons(port);
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
	close(s->listener);
	s->listener = -1;
	ask(s, POST);
	look(s);
	CHECK(s->r->fate == ENDED_BY_RESET &&
		rig_attempt(s->r, 0)->executed_max == 0,
	    "where no server listens nothing ran");
	scene_close(s);
}

int
main(void)
{
	may_have_run();
	cannot_have_run();
	return CHECK_DONE();
}
