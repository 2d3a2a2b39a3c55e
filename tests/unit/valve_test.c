#include "check.h"
#include "rig.h"

static const char post[] = "POST /id/p1/pay HTTP/1.1\r\nHost: t\r\n"
			   "Content-Length: 9\r\n\r\namount=10";
static const char get[] = "GET /id/g1/bytes/20 HTTP/1.1\r\nHost: t\r\n\r\n";
#define WARM "GET /id/w/warm HTTP/1.1\r\nHost: t\r\n\r\n"
enum {
	POST_LINE = 26,
	POST_HEAD = sizeof post - 1 - 9,
	POST_SIZE = sizeof post - 1
};

static char line[512];

/* The size of the whole response to a request, and of its head. */
static size_t
measure(const char *request, size_t *head)
{
	struct rig *r = rig_open(NULL);
	int fd = peer_dial(r);
	size_t n;

	peer_ask(r, fd, request);
	n = r->n_got;
	*head = (size_t)(strstr(r->got, "\r\n\r\n") - r->got) + 4;
	close(fd);
	rig_close(r);
	return n;
}

/* ------------------------------------------------------------ every byte -- */

static enum fate
fate_of(enum ending e, bool unread)
{
	switch (e) {
	case ENDING_FIN:
	case ENDING_HALF:
		return ENDED_BY_FIN;
	case ENDING_RST:
		return ENDED_BY_RESET;
	case ENDING_PLAIN:
		return unread ? ENDED_BY_RESET : ENDED_BY_FIN;
	default:
		return OPEN;
	}
}

/* One request that is cut behind its n-th byte; told in one piece, or byte by
 * byte. */
static bool
cut_request(size_t n, enum ending e, bool dribble)
{
	struct rig *r;
	const struct ledger_attempt *a;
	char one[2] = "";
	int fd;
	bool good;

	snprintf(line, sizeof line, "on=request_byte,at=%zu,close=%s", n,
	    fault_ending_name(e));
	r = rig_open(line);
	fd = peer_dial(r);
	for (size_t i = 0; dribble && i < n; i++) {
		one[0] = post[i];
		(void)!peer_put(fd, one);
		rig_pump(r);
		if (i + 1 < n)
			good = rig_count(r, BACKEND_ENDED, NULL) == 0;
	}
	if (dribble)
		peer_look(r, fd);
	else
		peer_ask(r, fd, post);
	a = rig_attempt(r, 0);
	good = rig_n_attempts(r) == 1 && a->read == n && !a->whole &&
	    a->unread == (dribble ? 0 : POST_SIZE - n) && a->executed == 0 &&
	    a->answered == 0 && a->ended && a->ended_on == POINT_REQUEST_BYTE &&
	    a->ending == e && !a->by_hand && !a->after_end && r->n_got == 0 &&
	    r->fate == fate_of(e, !dribble);
	if (!good)
		printf("# at %zu: read %zu unread %zu got %zu fate %d\n", n,
		    a->read, a->unread, r->n_got, r->fate);
	close(fd);
	rig_close(r);
	return good;
}

static void
every_request_byte(void)
{
	static const enum ending endings[] = { ENDING_FIN, ENDING_RST,
		ENDING_PLAIN, ENDING_STALL };

	for (size_t e = 0; e < 4; e++) {
		size_t good[2] = { 0, 0 };

		for (size_t n = 1; n < POST_SIZE; n++) {
			good[0] += cut_request(n, endings[e], false);
			good[1] += cut_request(n, endings[e], true);
		}
		CHECK(good[0] == POST_SIZE - 1,
		    "%s behind every byte of a request that came at once",
		    fault_ending_name(endings[e]));
		CHECK(good[1] == POST_SIZE - 1,
		    "%s behind every byte of a request that came byte by byte",
		    fault_ending_name(endings[e]));
	}
}

static bool
cut_response(const char *request, size_t n, enum ending e)
{
	struct rig *r;
	const struct ledger_attempt *a;
	bool good;
	int fd;

	snprintf(line, sizeof line, "on=response_byte,at=%zu,close=%s", n,
	    fault_ending_name(e));
	r = rig_open(line);
	fd = peer_dial(r);
	peer_ask(r, fd, request);
	a = rig_attempt(r, 0);
	good = rig_n_attempts(r) == 1 && a->whole && a->unread == 0 &&
	    a->executed == 1 && a->answered == n && !a->answered_whole &&
	    a->ended && a->ended_on == POINT_RESPONSE_BYTE && a->ending == e &&
	    r->n_got == n && r->fate == fate_of(e, false);
	if (!good)
		printf("# at %zu: answered %zu got %zu fate %d\n", n,
		    a->answered, r->n_got, r->fate);
	close(fd);
	rig_close(r);
	return good;
}

static void
every_response_byte(void)
{
	static const char chunked[] =
	    "GET /id/c/chunked/20 HTTP/1.1\r\nHost: t\r\n\r\n";
	static const char *const requests[] = { get, chunked };
	static const enum ending endings[] = { ENDING_FIN, ENDING_RST,
		ENDING_HALF, ENDING_PLAIN, ENDING_STALL };

	for (size_t q = 0; q < 2; q++)
		for (size_t e = 0; e < 5; e++) {
			size_t good = 0, head;
			size_t size = measure(requests[q], &head);

			for (size_t n = 1; n < size; n++)
				good +=
				    cut_response(requests[q], n, endings[e]);
			CHECK(good == size - 1,
			    "%s behind every byte of a %s response (%zu)",
			    fault_ending_name(endings[e]),
			    q == 0 ? "plain" : "chunked", size);
		}
}

/* A fault beyond the last byte never fires and disturbs nothing. */
static void
beyond(void)
{
	struct rig *r;
	size_t head, size = measure(post, &head);
	int fd;

	snprintf(line, sizeof line, "on=request_byte,at=%d,close=rst",
	    (int)POST_SIZE);
	r = rig_open(line);
	fd = peer_dial(r);
	for (size_t i = 0; i < POST_SIZE; i++) {
		char one[2] = { post[i], '\0' };

		(void)!peer_put(fd, one);
		rig_pump(r);
	}
	peer_look(r, fd);
	CHECK(r->n_got == size && r->fate == OPEN &&
		rig_attempt(r, 0)->executed == 1 &&
		backend_fault(r->backend, 0)->n_fired == 0,
	    "byte SIZE is no request_byte: the request is served");
	close(fd);
	rig_close(r);

	snprintf(line, sizeof line, "on=response_byte,at=%zu,close=rst", size);
	r = rig_open(line);
	fd = peer_dial(r);
	peer_ask(r, fd, post);
	CHECK(r->n_got == size && r->fate == OPEN &&
		backend_fault(r->backend, 0)->n_fired == 0,
	    "nor is it a response_byte");
	peer_ask(r, fd, post);
	CHECK(r->n_got == size, "and the connection is as good as new");
	close(fd);
	rig_close(r);
}

/* ----------------------------------------------- every point and ending ---- */

struct expect {
	enum close_point on;
	size_t read;
	unsigned executed;
	int answered; /* -1: all, -2: the head */
	int got;      /* -3: something, and none of it final */
};

static const struct expect points[] = {
	{ POINT_ARRIVAL, 0, 0, 0, 0 },
	{ POINT_REQUEST_LINE, POST_LINE, 0, 0, 0 },
	{ POINT_REQUEST_HEAD, POST_HEAD, 0, 0, 0 },
	{ POINT_REQUEST_END, POST_SIZE, 0, 0, 0 },
	{ POINT_EXECUTED, POST_SIZE, 1, 0, 0 },
	{ POINT_INTERIM, POST_SIZE, 1, 0, -3 },
	{ POINT_RESPONSE_HEAD, POST_SIZE, 1, -2, -2 },
	{ POINT_RESPONSE_END, POST_SIZE, 1, -1, -1 },
};

static void
one_point(const struct expect *x, enum ending e, size_t head, size_t size)
{
	const struct ledger_attempt *a;
	const struct backend_event *ended = NULL;
	size_t want[] = { size, head };
	struct rig *r;
	bool half = e == ENDING_HALF;
	int fd;

	snprintf(line, sizeof line, "request=2,on=%s,close=%s",
	    fault_point_name(x->on), fault_ending_name(e));
	r = rig_open(line);
	fd = peer_dial(r);
	peer_ask(r, fd, WARM);
	peer_ask(r, fd, post);
	a = rig_attempt(r, 1);
	CHECK(rig_n_attempts(r) == 2 && strcmp(a->id, "p1") == 0 &&
		strcmp(a->method, "POST") == 0 && a->ended &&
		a->ended_on == x->on && a->ending == e && a->conn == 1 &&
		a->request == 2 && !a->by_hand && !a->after_end,
	    "%s %s: the ledger knows whose request was cut, and how",
	    fault_point_name(x->on), fault_ending_name(e));
	CHECK(half ? a->read == POST_SIZE && a->whole && a->executed == 1
		   : a->read == x->read && a->unread == POST_SIZE - x->read &&
		    a->executed == x->executed,
	    "%s %s: read %zu, executed %u", fault_point_name(x->on),
	    fault_ending_name(e), a->read, a->executed);
	CHECK(a->answered == (x->answered < 0 ? want[-x->answered - 1] : 0) &&
		a->answered_whole == (x->answered == -1),
	    "%s %s: answered %zu", fault_point_name(x->on),
	    fault_ending_name(e), a->answered);
	CHECK((x->got == -3 ? strncmp(r->got, "HTTP/1.1 103 ", 13) == 0 &&
			  strstr(r->got, " 200 ") == NULL
			    : r->n_got == (x->got < 0 ? want[-x->got - 1] : 0)),
	    "%s %s: the peer got %zu bytes", fault_point_name(x->on),
	    fault_ending_name(e), r->n_got);
	CHECK(r->fate == fate_of(e, x->read < POST_SIZE),
	    "%s %s: and sees the end as it should (%d)",
	    fault_point_name(x->on), fault_ending_name(e), r->fate);
	CHECK(rig_count(r, BACKEND_ENDED, &ended) == 1 &&
		ended->point == x->on && ended->ending == e &&
		strcmp(ended->id, "p1") == 0 && ended->request == 2,
	    "%s %s: the watcher is told once", fault_point_name(x->on),
	    fault_ending_name(e));
	close(fd);
	rig_close(r);
}

static void
every_point(void)
{
	size_t head, size = measure(post, &head);

	for (size_t i = 0; i < sizeof points / sizeof *points; i++)
		for (int e = 0; e < N_ENDINGS; e++)
			if (e != ENDING_VANISH)
				one_point(
				    &points[i], (enum ending)e, head, size);
}

/* --------------------------------------------------- what endings are like */

static void
half_goes_on(void)
{
	struct rig *r = rig_open("request=1,on=request_head,close=half");
	int fd = peer_dial(r);
	const struct ledger_attempt *a;

	(void)!peer_put(fd, post);
	peer_ask(r, fd, WARM);
	a = rig_attempt(r, 1);
	CHECK(r->n_got == 0 && r->fate == ENDED_BY_FIN,
	    "a half-closed backend says nothing");
	CHECK(rig_n_attempts(r) == 2 && rig_attempt(r, 0)->executed == 1 &&
		a->executed == 1,
	    "and executes what it had and what comes");
	CHECK(!a->answered && !a->answered_whole && a->ended &&
		a->ending == ENDING_HALF,
	    "which nobody will know");
	peer_ask(r, fd, WARM);
	a = rig_attempt(r, 2);
	CHECK(a->executed == 1 && a->after_end,
	    "a request that comes later came after the end");
	close(fd);
	rig_pump(r);
	CHECK(rig_count(r, BACKEND_CLOSED, NULL) == 1,
	    "it closes when the peer does");
	rig_close(r);
}

static void
fin_discards(void)
{
	struct rig *r = rig_open("request=1,on=response_end,close=fin");
	int fd = peer_dial(r);
	const struct ledger_attempt *a;
	struct backend_conn conn;

	peer_ask(r, fd, WARM);
	CHECK(r->fate == ENDED_BY_FIN, "FIN behind the last byte");
	(void)!peer_put(fd, "POST /late HTTP/1.1\r\nX-Closerace-Id: l1\r\n");
	rig_pump(r);
	peer_ask(r, fd, "Content-Length: 2\r\n\r\nab");
	a = rig_attempt(r, 1);
	CHECK(rig_n_attempts(r) == 2 && a->unread == 64 && a->read == 0 &&
		a->after_end && a->executed == 0 && strcmp(a->id, "l1") == 0 &&
		a->ended && a->ended_on == POINT_RESPONSE_END &&
		a->ending == ENDING_FIN,
	    "what comes after it is discarded, and entered (%zu)", a->unread);
	CHECK(r->fate == ENDED_BY_FIN, "without a reset");
	backend_conn(r->backend, 1, &conn);
	CHECK(conn.fd >= 0 && conn.ended && !conn.closed && !conn.idle,
	    "the socket is open until the peer closes");
	close(fd);
	rig_pump(r);
	backend_conn(r->backend, 1, &conn);
	CHECK(conn.fd == -1 && conn.closed && conn.peer_closed,
	    "and then it is not");
	rig_close(r);
}

static void
held_but_entered(void)
{
	static const char late[] = "GET /late HTTP/1.1\r\n\r\n";
	struct rig *r = rig_open("");
	int fd = peer_dial(r);
	char error[256];
	const struct ledger_attempt *a;

	peer_ask(r, fd, WARM);
	backend_hold(r->backend, 1, BACKEND_READING);
	backend_end(r->backend, 1, ENDING_FIN, "", 0, error, sizeof error);
	(void)!peer_put(fd, late);
	peer_ask(r, fd, late);
	a = rig_attempt(r, 1);
	CHECK(rig_n_attempts(r) == 3 && a->after_end &&
		a->unread == sizeof late - 1,
	    "what comes after FIN is entered though reading is held (%zu)",
	    a->unread);
	backend_release(r->backend, 1, BACKEND_READING);
	peer_ask(r, fd, late);
	CHECK(rig_n_attempts(r) == 4 &&
		rig_attempt(r, 1)->unread == sizeof late - 1 &&
		rig_attempt(r, 3)->unread == sizeof late - 1,
	    "and once only");
	close(fd);
	rig_close(r);
}

static void
stall_is_silent(void)
{
	struct rig *r = rig_open("request=2,on=arrival,close=stall");
	int fd = peer_dial(r);

	peer_ask(r, fd, WARM);
	peer_ask(r, fd, get);
	CHECK(r->fate == OPEN && r->n_got == 0, "a stalled backend is mute");
	peer_ask(r, fd, WARM);
	CHECK(rig_n_attempts(r) == 3 && !rig_attempt(r, 1)->after_end &&
		rig_attempt(r, 2)->after_end &&
		strcmp(rig_attempt(r, 2)->id, "w") == 0 &&
		rig_attempt(r, 2)->unread == sizeof WARM - 1,
	    "what piles up there is counted");
	shutdown(fd, SHUT_WR);
	rig_pump(r);
	CHECK(rig_count(r, BACKEND_CLOSED, NULL) == 0,
	    "not even the peer's FIN moves it");
	close(fd);
	rig_close(r);
}

static void
vanish_leaves_nothing(void)
{
	struct rig *r;
	const struct ledger_attempt *a;
	int fd;

	if (backend_cannot_vanish() != NULL) {
		CHECK(1, "vanish # SKIP %s", backend_cannot_vanish());
		r = rig_open("request=1,on=request_line,close=vanish");
		fd = peer_dial(r);
		peer_ask(r, fd, WARM);
		CHECK(r->fate == OPEN && r->n_got > 0 &&
			rig_count(r, BACKEND_ENDED, NULL) == 0 &&
			backend_fault(r->backend, 0)->n_fired == 0,
		    "a fault that cannot be carried out has not fired");
		close(fd);
		rig_close(r);
		return;
	}
	r = rig_open("request=1,on=idle,close=vanish");
	fd = peer_dial(r);
	peer_ask(r, fd, WARM);
	CHECK(r->fate == OPEN && rig_count(r, BACKEND_CLOSED, NULL) == 1,
	    "a vanished connection looks alive to the peer");
	r->n_got = 0;
	CHECK(peer_put(fd, post) == POST_SIZE, "which can still send");
	peer_look(r, fd);
	CHECK(
	    r->fate == ENDED_BY_RESET && r->n_got == 0, "and is reset for it");
	a = rig_attempt(r, 1);
	if (a->unseen)
		CHECK(a->after_end, "nobody saw it # SKIP no CAP_NET_RAW");
	else
		CHECK(rig_n_attempts(r) == 2 && a->unread == POST_SIZE &&
			a->after_end && strcmp(a->id, "p1") == 0 && a->ended &&
			a->ending == ENDING_VANISH &&
			a->ended_on == POINT_IDLE && a->request == 2,
		    "the witness saw the request go by (%zu)", a->unread);
	close(fd);
	rig_close(r);
}

/* ---------------------------------------------------------- points apart -- */

static void
at_accept(void)
{
	struct rig *r = rig_open("conn=2,on=accept,close=rst");
	int one = peer_dial(r), two = peer_dial(r), three = peer_dial(r);

	peer_look(r, two);
	CHECK(r->fate == ENDED_BY_RESET, "the second connection is reset");
	peer_ask(r, one, WARM);
	CHECK(r->n_got > 0 && r->fate == OPEN, "the first is served");
	peer_ask(r, three, WARM);
	CHECK(r->n_got > 0 && r->fate == OPEN, "and the third");
	close(one);
	close(two);
	close(three);
	rig_close(r);
}

static void
at_idle(void)
{
	struct rig *r = rig_open("request=2,on=idle,close=fin;"
				 "conn=2,on=idle,after_ms=50,close=rst");
	int fd = peer_dial(r);
	const struct backend_event *e = NULL;

	peer_ask(r, fd, WARM);
	CHECK(r->fate == OPEN, "one finished request is not two");
	peer_ask(r, fd, WARM);
	CHECK(r->fate == ENDED_BY_FIN && strstr(r->got, "mark=") != NULL,
	    "idle ends it behind the second response, in the same step");
	CHECK(rig_count(r, BACKEND_ENDED, &e) == 1 && e->point == POINT_IDLE &&
		e->by == BACKEND_BY_FAULT &&
		rig_attempt(r, 1)->answered_whole && !rig_attempt(r, 1)->ended,
	    "no request was in progress");
	close(fd);

	fd = peer_dial(r);
	peer_ask(r, fd, WARM);
	rig_advance(r, 49);
	peer_look(r, fd);
	CHECK(r->fate == OPEN, "after_ms is not over after 49 of 50 ms");
	peer_ask(r, fd, WARM);
	CHECK(r->n_got > 0 && r->fate == OPEN,
	    "a request before that finds it open");
	rig_advance(r, 49);
	peer_look(r, fd);
	CHECK(r->fate == OPEN, "and begins a new time");
	rig_advance(r, 1);
	peer_look(r, fd);
	CHECK(r->fate == ENDED_BY_RESET, "which ends");
	close(fd);
	rig_close(r);
}

static void
idle_added_late(void)
{
	struct rig *r = rig_open(NULL);
	int fd = peer_dial(r);
	struct fault f;
	char error[128];

	peer_ask(r, fd, WARM);
	fault_parse(&f, "conn=1,on=idle,close=fin", error, sizeof error);
	backend_add_fault(r->backend, &f);
	peer_look(r, fd);
	CHECK(r->fate == ENDED_BY_FIN,
	    "an idle fault that comes later ends an idle connection");
	close(fd);
	rig_close(r);
}

/* The response must have left before the connection is idle. */
static void
idle_after_leaving(void)
{
	struct rig *r = rig_open("on=idle,close=rst");
	struct sockaddr_in sin = { .sin_family = AF_INET,
		.sin_port = htons(r->port) };
	static char rest[RIG_BYTES];
	int fd = socket(AF_INET, SOCK_STREAM, 0), small = 4096;
	size_t got = 0;
	ssize_t n = 1;

	sin.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &small, sizeof small);
	(void)!connect(fd, (struct sockaddr *)&sin, sizeof sin);
	(void)!peer_put(fd, "GET /bytes/40000 HTTP/1.1\r\nHost: t\r\n\r\n");
	rig_pump(r);
	CHECK(rig_count(r, BACKEND_ANSWERED, NULL) == 1 &&
		rig_count(r, BACKEND_ENDED, NULL) == 0,
	    "what lies in the sender's kernel has not left");
	while (n > 0) {
		struct pollfd p = { fd, POLLIN, 0 };

		rig_pump(r);
		poll(&p, 1, 1000);
		n = recv(fd, rest, sizeof rest, MSG_DONTWAIT);
		got += n > 0 ? (size_t)n : 0;
	}
	rig_pump(r);
	CHECK(got > 40000 && rig_count(r, BACKEND_ENDED, NULL) == 1,
	    "once it has, the connection ends, and nothing is lost (%zu)", got);
	close(fd);
	rig_close(r);
}

static void
unknown_until_the_head(void)
{
	struct rig *r = rig_open("id=x,on=arrival,close=rst;"
				 "path=/b,on=request_line,close=fin");
	int fd = peer_dial(r);

	peer_ask(r, fd, "GET /a?q HTTP/1.1\r\nHost: t\r\n");
	CHECK(rig_attempt(r, 0)->read == 0 && rig_n_attempts(r) == 0 &&
		r->fate == OPEN,
	    "nothing is taken while the fault is not known");
	peer_ask(r, fd, "\r\n");
	CHECK(r->n_got > 0 && rig_attempt(r, 0)->executed == 1,
	    "no id: the request is served");
	peer_ask(r, fd, "GET /b?q HTTP/1.1\r\nHost: t\r\n\r\n");
	CHECK(r->fate == ENDED_BY_FIN && rig_attempt(r, 1)->read == 19,
	    "the path matches without its query");
	close(fd);
	fd = peer_dial(r);
	(void)!peer_put(fd, "GET /c HTTP/1.1\r\nX-Closer");
	rig_pump(r);
	peer_ask(r, fd, "ace-Id: x\r\nH");
	CHECK(r->fate == ENDED_BY_RESET && rig_attempt(r, 2)->read == 0 &&
		rig_attempt(r, 2)->unread == 37 &&
		strcmp(rig_attempt(r, 2)->id, "x") == 0,
	    "the id matches before the head is complete");
	close(fd);

	fd = peer_dial(r);
	peer_ask(r, fd, "GET /d HTTP/1.1\r\nHo");
	shutdown(fd, SHUT_WR);
	peer_look(r, fd);
	CHECK(r->fate != OPEN, "a peer that gives up in between does not hang");
	close(fd);
	rig_close(r);
}

static void
pipelined(void)
{
	struct rig *r = rig_open("request=2,on=arrival,close=rst");
	int fd = peer_dial(r);
	char three[512];

	snprintf(three, sizeof three, WARM "%s" WARM, get);
	peer_ask(r, fd, three);
	CHECK(rig_n_attempts(r) == 3 && rig_attempt(r, 0)->answered_whole &&
		rig_attempt(r, 1)->read == 0 &&
		rig_attempt(r, 1)->unread == sizeof get - 1 &&
		rig_attempt(r, 2)->unread == sizeof WARM - 1 &&
		rig_attempt(r, 2)->request == 3,
	    "arrival is exact for pipelined requests, too");
	CHECK(rig_attempt(r, 1)->ended && rig_attempt(r, 2)->ended &&
		!rig_attempt(r, 2)->after_end,
	    "both ended unread");
	CHECK(r->fate == ENDED_BY_RESET, "and the connection with them");
	close(fd);
	rig_close(r);
}

#define EXPECT_HEAD                               \
	"POST /id/e/echo HTTP/1.1\r\nHost: t\r\n" \
	"Expect: 100-continue\r\nContent-Length: 5\r\n\r\n"

static void
expectations(void)
{
	struct rig *r = rig_open("request=2,on=interim,close=fin;"
				 "conn=2,on=request_end,close=rst");
	int fd = peer_dial(r);

	peer_ask(r, fd, EXPECT_HEAD);
	CHECK(strcmp(r->got, "HTTP/1.1 100 Continue\r\n\r\n") == 0,
	    "a request that expects 100 gets it");
	peer_ask(r, fd, "hello");
	CHECK(strstr(r->got, "\r\n\r\nhello") != NULL &&
		rig_attempt(r, 0)->answered == r->n_got,
	    "the final response is counted without it");
	peer_ask(r, fd, EXPECT_HEAD);
	CHECK(strcmp(r->got, "HTTP/1.1 100 Continue\r\n\r\n") == 0 &&
		r->fate == ENDED_BY_FIN && rig_attempt(r, 1)->executed == 0,
	    "interim: the 100 is the last that is heard");
	close(fd);
	fd = peer_dial(r);
	peer_ask(r, fd, EXPECT_HEAD);
	CHECK(r->fate == OPEN &&
		strcmp(r->got, "HTTP/1.1 100 Continue\r\n\r\n") == 0,
	    "a fault at the request's end asks for the body, too");
	peer_ask(r, fd, "hello");
	CHECK(r->fate == ENDED_BY_RESET && rig_attempt(r, 2)->whole &&
		rig_attempt(r, 2)->executed == 0,
	    "and ends behind it");
	close(fd);
	rig_close(r);
}

/* ------------------------------------------------------------------ says -- */

static unsigned long
mark_in(const char *text)
{
	const char *at = strstr(text, LEDGER_MARK_HEADER ": ");

	return at != NULL
	    ? strtoul(at + sizeof LEDGER_MARK_HEADER + 1, NULL, 10)
	    : 0;
}

static void
sayings(void)
{
	struct rig *r = rig_open(
	    "conn=1,on=idle,close=fin,say=HTTP/1.1 408 Late\\r\\n"
	    "Connection: close\\r\\n\\r\\n;"
	    "conn=2,on=request_head,close=fin,say=HTTP/1.1 408 Late\\r\\n"
	    "Content-Length: 0\\r\\n\\r\\n;"
	    "conn=3,on=executed,close=rst,say=junk;"
	    "conn=4,on=response_end,announce=true,close=fin");
	int fd = peer_dial(r);
	const struct ledger *l = backend_ledger(r->backend);
	const struct ledger_mark *m;
	const char *late;

	peer_ask(r, fd, WARM);
	late = strstr(r->got, "HTTP/1.1 408");
	CHECK(late != NULL && r->fate == ENDED_BY_FIN,
	    "a stale 408 stands behind the response");
	m = ledger_find_mark(l, late != NULL ? mark_in(late) : 0);
	CHECK(m != NULL && m->said && m->status == 408 && !m->belongs,
	    "its mark belongs to no request");
	m = ledger_find_mark(l, mark_in(r->got));
	CHECK(m != NULL && !m->said && m->status == 200 && m->belongs &&
		strcmp(m->id, "w") == 0 &&
		m->body_hash ==
		    ledger_hash(LEDGER_HASH_INIT,
			strstr(r->got, "\r\n\r\n") + 4, m->body_size),
	    "the mark of the response knows its body");
	close(fd);

	fd = peer_dial(r);
	peer_ask(r, fd, post);
	m = ledger_find_mark(l, mark_in(r->got));
	CHECK(strncmp(r->got, "HTTP/1.1 408 Late\r\nX-Close", 26) == 0 &&
		m != NULL && m->said && m->belongs &&
		strcmp(m->id, "p1") == 0 && rig_attempt(r, 1)->answered == 0 &&
		rig_attempt(r, 1)->mark == m->mark,
	    "what is said into a request belongs to it");
	close(fd);

	fd = peer_dial(r);
	peer_ask(r, fd, post);
	CHECK(strcmp(r->got, "junk") == 0 && r->fate == ENDED_BY_RESET,
	    "junk is said as it is");
	close(fd);

	fd = peer_dial(r);
	peer_ask(r, fd, WARM);
	CHECK(strstr(r->got, "Connection: close\r\n") != NULL &&
		r->fate == ENDED_BY_FIN,
	    "an end can be announced");
	close(fd);
	rig_close(r);
}

static void
announced_idle(void)
{
	struct rig *r = rig_open("on=idle,announce=true,after_ms=10,close=rst");
	int fd = peer_dial(r);

	peer_ask(r, fd, WARM);
	CHECK(
	    strstr(r->got, "Connection: close\r\n") != NULL && r->fate == OPEN,
	    "announced, the connection stays open for its time");
	peer_ask(r, fd, get);
	CHECK(r->n_got == 0 && r->fate == OPEN && rig_n_attempts(r) == 1,
	    "and takes no more requests");
	rig_advance(r, 10);
	peer_look(r, fd);
	CHECK(r->fate == ENDED_BY_RESET && rig_n_attempts(r) == 2 &&
		rig_attempt(r, 1)->unread == sizeof get - 1,
	    "then it ends, and the late request was seen");
	close(fd);
	rig_close(r);
}

/* ----------------------------------------------------- holds and by hand -- */

static void
holds(void)
{
	struct rig *r = rig_open(NULL);
	int fd = peer_dial(r);
	const struct backend_event *e = NULL;
	struct backend_conn conn;
	char error[128];

	peer_ask(r, fd, WARM);
	backend_hold(r->backend, 1, BACKEND_READING);
	peer_ask(r, fd, get);
	backend_conn(r->backend, 1, &conn);
	CHECK(r->n_got == 0 &&
		backend_unread(r->backend, 1) == sizeof get - 1 &&
		conn.reading_held && conn.idle && conn.n_requests == 1,
	    "held, nobody reads");
	CHECK(
	    rig_count(r, BACKEND_ARRIVED, &e) == 1 && e->size == sizeof get - 1,
	    "but the arrival is told");
	peer_ask(r, fd, WARM);
	CHECK(rig_count(r, BACKEND_ARRIVED, &e) == 2 &&
		e->size == sizeof get - 1 + sizeof WARM - 1,
	    "and every further one, with the total");
	backend_release(r->backend, 1, BACKEND_READING);
	peer_look(r, fd);
	CHECK(rig_count(r, BACKEND_ANSWERED, NULL) == 3,
	    "released, all are answered");

	backend_hold(r->backend, 1, BACKEND_SENDING);
	peer_ask(r, fd, get);
	CHECK(r->n_got == 0 && rig_attempt(r, 3)->executed == 1,
	    "a held response was executed and is not sent");
	backend_release(r->backend, 1, BACKEND_SENDING);
	peer_look(r, fd);
	CHECK(
	    strstr(r->got, "0123456789abcdefghij") != NULL, "released, it is");

	backend_hold(r->backend, 1, BACKEND_READING);
	peer_ask(r, fd, get);
	CHECK(backend_end(
		  r->backend, 1, ENDING_RST, NULL, 0, error, sizeof error) == 0,
	    "a held connection can be ended by hand");
	peer_look(r, fd);
	CHECK(r->fate == ENDED_BY_RESET &&
		rig_attempt(r, 4)->unread == sizeof get - 1 &&
		rig_attempt(r, 4)->ended_on == POINT_ARRIVAL &&
		rig_attempt(r, 4)->by_hand,
	    "which is the crossing race");
	CHECK(rig_count(r, BACKEND_ENDED, &e) == 1 &&
		e->by == BACKEND_BY_HAND && strcmp(e->id, "g1") == 0 &&
		e->request == 5,
	    "and told as such");
	close(fd);
	rig_close(r);
}

static void
hold_keeps_a_fault(void)
{
	struct rig *r = rig_open("request=2,on=request_end,close=fin");
	int fd = peer_dial(r);

	peer_ask(r, fd, WARM);
	backend_hold(r->backend, 1, BACKEND_SENDING);
	peer_ask(r, fd, post);
	CHECK(r->fate == OPEN && rig_attempt(r, 1)->whole,
	    "a fault that is due waits for the hold");
	backend_release(r->backend, 1, BACKEND_SENDING);
	peer_look(r, fd);
	CHECK(r->fate == ENDED_BY_FIN && rig_attempt(r, 1)->executed == 0,
	    "and not longer");
	close(fd);
	rig_close(r);
}

static void
by_hand(void)
{
	static const char delay[] =
	    "GET /id/d/delay/100 HTTP/1.1\r\nHost: t\r\n\r\n";
	struct rig *r = rig_open(NULL);
	char error[128];
	int fd;

	fd = peer_dial(r);
	peer_ask(r, fd, WARM);
	backend_end(r->backend, 1, ENDING_FIN, "junk", 4, error, sizeof error);
	r->n_got = 0;
	peer_look(r, fd);
	CHECK(strcmp(r->got, "junk") == 0 && r->fate == ENDED_BY_FIN,
	    "by hand, with a word before");
	close(fd);

	fd = peer_dial(r);
	peer_ask(r, fd, delay);
	CHECK(rig_attempt(r, 1)->executed == 1 && r->n_got == 0,
	    "a delayed request has been executed");
	backend_end(r->backend, 2, ENDING_RST, NULL, 0, error, sizeof error);
	peer_look(r, fd);
	CHECK(r->fate == ENDED_BY_RESET &&
		rig_attempt(r, 1)->ended_on == POINT_EXECUTED,
	    "by hand during the delay");
	rig_advance(r, 100);
	close(fd);

	fd = peer_dial(r);
	peer_ask(r, fd, delay);
	rig_advance(r, 99);
	peer_look(r, fd);
	CHECK(r->n_got == 0, "99 of 100 ms are not enough");
	rig_advance(r, 1);
	peer_look(r, fd);
	CHECK(strstr(r->got, " 200 OK") != NULL && r->fate == OPEN,
	    "a delayed answer comes when its time is over");
	peer_ask(r, fd, WARM);
	CHECK(r->n_got > 0, "and the connection lives on");
	(void)!peer_put(fd, "POST /x HTTP/1.1\r\nHo");
	rig_pump(r);
	backend_end(r->backend, 3, ENDING_PLAIN, NULL, 0, error, sizeof error);
	CHECK(rig_attempt(r, 4)->ended_on == POINT_REQUEST_LINE &&
		rig_attempt(r, 4)->read == 20,
	    "the point by hand is what was last completed");
	close(fd);
	rig_close(r);
}

static void
keep_alive(void)
{
	struct backend_options o;
	const struct backend_event *e = NULL;
	struct rig *r;
	int fd;

	backend_options_init(&o);
	o.keep_alive_ms = 5000;
	o.keep_alive_hint = true;
	r = rig_open_with(&o, NULL);
	fd = peer_dial(r);
	rig_advance(r, 4999);
	peer_ask(r, fd, WARM);
	CHECK(strstr(r->got, "Keep-Alive: timeout=5\r\n") != NULL &&
		r->fate == OPEN,
	    "the idle time is announced as a hint");
	rig_advance(r, 4999);
	peer_look(r, fd);
	CHECK(r->fate == OPEN, "it starts again with every response");
	rig_advance(r, 1);
	peer_look(r, fd);
	CHECK(r->fate == ENDED_BY_FIN, "and ends");
	CHECK(rig_count(r, BACKEND_ENDED, &e) == 1 && e->point == POINT_IDLE &&
		e->by == BACKEND_BY_FAULT,
	    "as idle");
	close(fd);

	fd = peer_dial(r);
	backend_hold(r->backend, 2, BACKEND_READING);
	peer_ask(r, fd, get);
	rig_advance(r, 5000);
	peer_look(r, fd);
	CHECK(r->fate == ENDED_BY_FIN && rig_attempt(r, 1)->unread > 0 &&
		rig_attempt(r, 1)->ended_on == POINT_IDLE,
	    "a busy server closes although the request lies there");
	close(fd);
	rig_close(r);
}

/* ------------------------------------------------------ without any fault -- */

static void
framing(void)
{
	struct rig *r = rig_open(NULL);
	int fd = peer_dial(r);

	peer_ask(r, fd, "HEAD /chunked/5 HTTP/1.1\r\nHost: t\r\n\r\n");
	CHECK(r->n_got > 4 && strcmp(r->got + r->n_got - 4, "\r\n\r\n") == 0 &&
		strstr(r->got, "\r\n\r\n0") == NULL && r->fate == OPEN,
	    "no chunk follows the answer to a HEAD");
	peer_ask(r, fd,
	    "POST / HTTP/1.1\r\nHost: t\r\n"
	    "Content-Length: 1\r\nContent-Length: 2\r\n\r\nab");
	CHECK(strncmp(r->got, "HTTP/1.1 400 ", 13) == 0 && r->fate != OPEN &&
		rig_attempt(r, 1)->executed == 0,
	    "a length that contradicts itself is refused");
	close(fd);
	rig_close(r);
}

static void
good_server(void)
{
	struct rig *r = rig_open(NULL);
	int fd = peer_dial(r);
	const struct backend_event *e = NULL;
	struct linger now = { 1, 0 };

	peer_ask(r, fd,
	    "GET /bytes/30000 HTTP/1.1\r\nHost: t\r\n"
	    "Connection: close\r\n\r\n");
	CHECK(r->n_got > 30000 && r->fate == ENDED_BY_FIN &&
		rig_count(r, BACKEND_ENDED, NULL) == 0,
	    "Connection: close is honoured, and no fault");
	peer_ask(r, fd, WARM);
	CHECK(r->fate == ENDED_BY_FIN && rig_attempt(r, 1)->after_end &&
		rig_attempt(r, 1)->unread == sizeof WARM - 1,
	    "what comes later is discarded, without a reset");
	close(fd);

	fd = peer_dial(r);
	(void)!peer_put(fd, get);
	shutdown(fd, SHUT_WR);
	peer_look(r, fd);
	CHECK(strstr(r->got, "0123456789abcdefghij") != NULL &&
		r->fate == ENDED_BY_FIN,
	    "a half-closed client gets its answer");
	CHECK(rig_count(r, BACKEND_PEER_CLOSED, &e) >= 1 && e->error == 0,
	    "its FIN is told");
	close(fd);

	fd = peer_dial(r);
	peer_ask(r, fd, "GET /delay/10 HTTP/1.1\r\nHost: t\r\n\r\n");
	setsockopt(fd, SOL_SOCKET, SO_LINGER, &now, sizeof now);
	close(fd);
	rig_pump(r);
	rig_count(r, BACKEND_PEER_CLOSED, &e);
	CHECK(e->error == ECONNRESET && e->conn == 3,
	    "a client's reset is told during the delay");
	rig_advance(r, 10);

	fd = peer_dial(r);
	peer_ask(r, fd, "GET / HTTP/1.1\r\nHost: t\r\nno colon\r\n\r\n");
	CHECK(r->fate != OPEN && rig_attempt(r, 4)->executed == 0,
	    "what is no HTTP is not executed, and the connection closed");
	close(fd);

	fd = peer_dial(r);
	peer_ask(r, fd, "HEAD /bytes/9 HTTP/1.1\r\nHost: t\r\n\r\n");
	CHECK(strstr(r->got, "Content-Length: 9\r\n") != NULL &&
		strcmp(strstr(r->got, "\r\n\r\n"), "\r\n\r\n") == 0 &&
		ledger_find_mark(backend_ledger(r->backend), mark_in(r->got))
			->body_size == 0,
	    "HEAD has a length and no body");
	peer_ask(r, fd, "GET /status/204 HTTP/1.1\r\nHost: t\r\n\r\n");
	CHECK(strncmp(r->got, "HTTP/1.1 204 ", 13) == 0 && r->fate == OPEN,
	    "204 has neither");
	peer_ask(r, fd, "GET /status/503 HTTP/1.1\r\nHost: t\r\n\r\n");
	CHECK(
	    strncmp(r->got, "HTTP/1.1 503 ", 13) == 0, "any status can be had");
	peer_ask(r, fd, "GET /bytes/67108865 HTTP/1.1\r\nHost: t\r\n\r\n");
	CHECK(strncmp(r->got, "HTTP/1.1 400 ", 13) == 0, "but not any size");
	close(fd);
	rig_close(r);
}

/* Answers that libmicrohttpd gives without asking the handler. */
static void
unasked(void)
{
	static const char *const wrong[] = {
		"GET / HTTP/1.1\r\nHost: t\r\nno colon\r\n\r\n",
		"GET / HTTP/3.7\r\nHost: t\r\n\r\n",
		"POST / HTTP/1.1\r\nHost: t\r\nContent-Length: x\r\n\r\n"
	};

	for (size_t i = 0; i < 3; i++) {
		struct rig *r = rig_open(NULL);
		int fd = peer_dial(r);
		const struct ledger_mark *m;
		const char *head, *length;

		peer_ask(r, fd, wrong[i]);
		m = ledger_find_mark(
		    backend_ledger(r->backend), mark_in(r->got));
		CHECK(m != NULL && m->status >= 400 && m->belongs && m->said &&
			rig_attempt(r, 0)->mark == m->mark &&
			rig_attempt(r, 0)->executed == 0,
		    "no handler made answer %zu, yet it bears a mark", i);
		head = strstr(r->got, "\r\n\r\n");
		length = strstr(r->got, "Content-Length: ");
		CHECK(head != NULL && length != NULL &&
			strlen(head + 4) == strtoul(length + 16, NULL, 10) &&
			r->fate == ENDED_BY_FIN,
		    "and is one response and no more");
		close(fd);
		rig_close(r);
	}
}

static void
early_answer(void)
{
	struct rig *r = rig_open(NULL);
	int fd = peer_dial(r);
	const struct ledger_mark *m;

	peer_ask(r, fd,
	    "POST /id/big/echo HTTP/1.1\r\nHost: t\r\n"
	    "Content-Length: 99999999\r\n\r\nabc");
	m = ledger_find_mark(backend_ledger(r->backend), mark_in(r->got));
	CHECK(strncmp(r->got, "HTTP/1.1 413 ", 13) == 0 && m != NULL &&
		m->status == 413 && rig_attempt(r, 0)->executed == 0,
	    "a body that is too big is refused before it comes");
	CHECK(r->fate == ENDED_BY_FIN, "the connection is closed politely");
	peer_ask(r, fd, "more");
	CHECK(r->fate == ENDED_BY_FIN && rig_n_attempts(r) == 1 &&
		rig_attempt(r, 0)->unread > 0,
	    "and the rest of the body is discarded");
	close(fd);
	rig_close(r);
}

/* A slow reader, and more bytes than all buffers hold. */
static void
big(void)
{
	static char bytes[RIG_BYTES];
	struct rig *r = rig_open(NULL);
	int fd = peer_dial(r);
	size_t got = 0, size = 20 << 20, idle = 0;
	uint64_t hash = LEDGER_HASH_INIT;
	const struct ledger_mark *m = NULL;
	size_t head = 0;

	(void)!peer_put(fd, "GET /bytes/20971520 HTTP/1.1\r\nHost: t\r\n\r\n");
	while (got < size && idle < 100) {
		struct pollfd p = { fd, POLLIN, 0 };
		ssize_t n;

		rig_pump(r);
		poll(&p, 1, 1000);
		n = recv(fd, bytes, sizeof bytes - 1, MSG_DONTWAIT);
		idle = n > 0 ? 0 : idle + 1;
		if (n > 0 && head == 0) {
			bytes[n] = '\0';
			head = (size_t)(strstr(bytes, "\r\n\r\n") - bytes) + 4;
			m = ledger_find_mark(
			    backend_ledger(r->backend), mark_in(bytes));
			hash =
			    ledger_hash(hash, bytes + head, (size_t)n - head);
			got += (size_t)n - head;
		} else if (n > 0) {
			hash = ledger_hash(hash, bytes, (size_t)n);
			got += (size_t)n;
		}
	}
	CHECK(got == size && m != NULL && m->body_size == size &&
		m->body_hash == hash,
	    "20 MiB arrive as they were meant (%zu)", got);
	rig_pump(r);
	CHECK(rig_attempt(r, 0)->answered_whole, "and are answered whole");
	close(fd);
	rig_close(r);
}

static void
faults_cleared(void)
{
	struct rig *r = rig_open("on=request_end,close=rst;on=idle,close=fin");
	int fd = peer_dial(r);

	(void)!send(fd, post, POST_SIZE - 4, 0);
	rig_pump(r);
	backend_clear_faults(r->backend);
	CHECK(backend_n_faults(r->backend) == 0, "the table can be emptied");
	peer_ask(r, fd, post + POST_SIZE - 4);
	CHECK(r->fate == ENDED_BY_RESET,
	    "a fault chosen for a request in progress stays");
	close(fd);
	fd = peer_dial(r);
	peer_ask(r, fd, post);
	CHECK(r->n_got > 0 && r->fate == OPEN, "all others are gone");
	close(fd);
	rig_close(r);
}

/* -------------------------------------------------- a server of the user's */

static void
upstream(void)
{
	struct rig *server = rig_open(NULL), *r;
	struct backend_options o;
	const struct ledger_attempt *a;
	size_t head, size = measure(get, &head);
	int fd;

	backend_options_init(&o);
	endpoint_of(&o.upstream,
	    &(struct sockaddr_in){ .sin_family = AF_INET,
		.sin_addr.s_addr = htonl(INADDR_LOOPBACK),
		.sin_port = htons(server->port) });
	r = rig_open_with(&o,
	    "request=3,on=request_end,close=rst;"
	    "conn=2,on=response_byte,at=7,close=fin;"
	    "conn=3,on=executed,close=fin");
	fd = peer_dial(r);
	for (int i = 0; i < 2; i++) {
		peer_ask(r, fd, get);
		for (int j = 0; j < 4; j++) {
			rig_pump(server);
			peer_look(r, fd);
		}
		a = rig_attempt(r, (size_t)i);
		CHECK(r->n_got == size && a->answered_whole &&
			a->executed == 1 && r->fate == OPEN,
		    "a server of the user's is relayed, request %d", i + 1);
	}
	peer_ask(r, fd, post);
	rig_pump(server);
	CHECK(r->fate == ENDED_BY_RESET && rig_attempt(r, 2)->whole &&
		rig_attempt(r, 2)->executed == 0 && rig_n_attempts(server) == 2,
	    "a request that was cut never reaches it");
	close(fd);
	fd = peer_dial(r);
	peer_ask(r, fd, get);
	for (int j = 0; j < 4; j++) {
		rig_pump(server);
		peer_look(r, fd);
	}
	CHECK(r->n_got == 7 && r->fate == ENDED_BY_FIN,
	    "its response is cut like any other");
	close(fd);
	fd = peer_dial(r);
	peer_ask(r, fd, get);
	for (int j = 0; j < 4; j++) {
		rig_pump(server);
		peer_look(r, fd);
	}
	CHECK(r->n_got == 0 && r->fate == ENDED_BY_FIN &&
		rig_attempt(r, 4)->executed == 1,
	    "executed is when its answer begins");
	close(fd);
	rig_close(server);
	fd = peer_dial(r);
	peer_look(r, fd);
	CHECK(r->fate == ENDED_BY_RESET && rig_n_attempts(r) == 5,
	    "where it does not listen the connection is reset");
	close(fd);
	rig_close(r);
}

int
main(void)
{
	every_request_byte();
	every_response_byte();
	beyond();
	every_point();
	half_goes_on();
	fin_discards();
	held_but_entered();
	stall_is_silent();
	vanish_leaves_nothing();
	at_accept();
	at_idle();
	idle_added_late();
	idle_after_leaving();
	unknown_until_the_head();
	pipelined();
	expectations();
	sayings();
	announced_idle();
	holds();
	hold_keeps_a_fault();
	by_hand();
	keep_alive();
	framing();
	good_server();
	unasked();
	early_answer();
	big();
	faults_cleared();
	upstream();
	return CHECK_DONE();
}
