/* A client that is gone at the worst moment: between the loop's last look and
 * a write.  No edge will ever tell of it. */
#include "check.h"
#include "proxy_stage.h"

enum { PART = 20000, WHOLE = 5 * PART };

static struct stage stage;
static int client; /* -1: it is gone */

/* The proxy has read of the response, and has yet to give it. */
static void
leave(struct stage *s, const struct proxy_event *e)
{
	struct linger at_once = { 1, 0 };

	if (e->what != PROXY_READ || client < 0 ||
	    strncmp(e->checkpoint, "upstream.", 9) != 0)
		return;
	setsockopt(client, SOL_SOCKET, SO_LINGER, &at_once, sizeof at_once);
	close(client);
	client = -1;
}

/* framing: how the response is delimited. */
static void
resets_before_the_write(const char *what, const char *framing)
{
	static char part[PART + 1], head[256];
	struct stage *s = &stage;
	int conn;

	memset(part, '.', PART);
	stage_open(s, NULL);
	client = stage_client(s);
	stage_say(s, client, GET);
	conn = stage_accept(s);
	stage_hear(s, conn, "\r\n\r\n");
	snprintf(head, sizeof head, "HTTP/1.1 200 OK\r\n%s\r\n\r\n", framing);
	stage_say(s, conn, head);
	stage_say(s, conn, part);
	stage_hear(s, client, "....");
	s->also = leave;
	for (int n = PART; n < WHOLE; n += PART) {
		(void)!send(conn, part, PART, MSG_NOSIGNAL);
		stage_settle(s);
	}
	s->also = NULL;
	close(conn);
	stage_settle(s);
	CHECK(client < 0 && proxy_n_sessions(s->proxy) == 0,
	    "%s: its session is over, and no time has gone by", what);
	CHECK(s->account.who == 'C', "… because the client is gone");
	stage_close(s);
}

int
main(void)
{
	resets_before_the_write("a length", "Content-Length: 100000");
	resets_before_the_write("until the close", "X: y");
	return CHECK_DONE();
}
