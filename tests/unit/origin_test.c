/* The origin by itself: whom it serves. */
#include "backend/origin.h"

#include <event2/event.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "check.h"

#define GET "GET /x HTTP/1.1\r\nHost: t\r\n\r\n"

static void *executed_for;
static unsigned n_executed;

static void
executed(
    void *who, const struct origin_request *request, struct origin_reply *reply)
{
	executed_for = who;
	n_executed++;
}

static void
ignore(void *arg)
{
}

/* Where the origin listens: its only listening local socket is ours. */
static socklen_t
find_listener(struct sockaddr_un *at)
{
	for (int fd = 3; fd < 64; fd++) {
		socklen_t size = sizeof *at, n = sizeof(int);
		int listens = 0;

		if (getsockopt(fd, SOL_SOCKET, SO_ACCEPTCONN, &listens, &n) ==
			0 &&
		    listens &&
		    getsockname(fd, (struct sockaddr *)at, &size) == 0 &&
		    at->sun_family == AF_UNIX)
			return size;
	}
	return 0;
}

/* Connect as anybody on the machine could: without a name, or with one. */
static int
connect_stranger(const struct sockaddr_un *to, socklen_t size, bool named)
{
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0);
	struct sockaddr_un name = { .sun_family = AF_UNIX };

	if (named)
		bind(fd, (struct sockaddr *)&name, sizeof name.sun_family);
	connect(fd, (const struct sockaddr *)to, size);
	send(fd, GET, strlen(GET), MSG_NOSIGNAL);
	return fd;
}

int
main(void)
{
	struct event_base *base = event_base_new();
	struct backend_clock clock = backend_clock_libevent(base);
	struct ledger *ledger = ledger_new();
	struct origin_calls calls = { executed, ignore, ignore, NULL };
	struct origin *o = origin_new(&clock, ledger, 0, &calls);
	struct sockaddr_un at;
	socklen_t size = find_listener(&at);
	struct origin_conn *conn;
	int strangers[2], fd, me;
	char bytes[1024];

	CHECK(size > 0, "the origin listens on a local socket");
	for (int i = 0; i < 2; i++)
		strangers[i] = connect_stranger(&at, size, i == 1);
	conn = origin_connect(o, &me, &fd);
	CHECK(conn != NULL && fd >= 0,
	    "who is sent is served, with strangers in front of him");
	origin_drive(o);
	CHECK(n_executed == 0, "no stranger's request is executed");
	for (int i = 0; i < 2; i++)
		CHECK(recv(strangers[i], bytes, sizeof bytes, 0) <= 0,
		    "and none is answered");
	send(fd, GET, strlen(GET), 0);
	origin_drive(o);
	CHECK(n_executed == 1 && executed_for == &me, "his own is, as his");
	CHECK(recv(fd, bytes, sizeof bytes, 0) > 12 &&
		memcmp(bytes, "HTTP/1.1 200", 12) == 0,
	    "and answered");
	origin_drop(conn);
	close(fd);
	for (int i = 0; i < 2; i++)
		close(strangers[i]);
	origin_free(o);
	ledger_free(ledger);
	event_base_free(base);
	return CHECK_DONE();
}
