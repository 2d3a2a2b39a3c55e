/* What a proxy says of each exchange when it is over. */
#include "check.h"
#include "proxy_stage.h"

static struct stage stage;

static bool
blames(char who, char when, int status)
{
	const struct proxy_account *a = &stage.account;
	bool right = a->who == who && a->when == when && a->status == status &&
	    (who == '-' && a->n_attempts == 1) == (a->why[0] == '\0');

	if (!right)
		fprintf(stderr, "# %c%c %d %s\n", a->who, a->when, a->status,
		    a->why);
	return right;
}

static void
good(void)
{
	struct stage *s = &stage;
	const struct proxy_account *a = &s->account;
	int client, conn;

	stage_open(s, NULL);
	client = stage_client(s);
	stage_advance(s, 10);
	stage_say(s, client, "GET /g HTTP/1.1\r\nHo");
	stage_advance(s, 20);
	stage_say(s, client, "st: t\r\n\r\n");
	conn = stage_accept(s);
	stage_hear(s, conn, "\r\n\r\n");
	stage_advance(s, 30);
	stage_say(s, conn, "HTTP/1.1 404 No\r\nContent-Length: 2\r\n\r\n");
	stage_advance(s, 40);
	stage_say(s, conn, "ok");
	stage_hear(s, client, "ok");
	CHECK(s->n_accounts == 1 && blames('-', '-', 404),
	    "one that came to its end: --");
	CHECK(a->n_attempts == 1 && a->n_retries == 0 && !a->reused &&
		a->upstream == 0,
	    "after one attempt on a fresh connection");
	CHECK(a->received == 28 && a->sent == strlen(s->heard),
	    "so many bytes came and went (%zu, %zu)", a->received, a->sent);
	CHECK(a->begun_us == 10001 && a->asked_us == 30001 &&
		a->ready_us == 30001 && a->answered_us == 60001 &&
		a->done_us == 100001,
	    "and so long each phase took");
	stage_say(s, client, POST);
	stage_hear(s, conn, "abc");
	stage_say(s, conn, OK_2);
	stage_hear(s, client, "ok");
	CHECK(s->n_accounts == 2 && blames('-', '-', 200) && a->reused &&
		a->received == sizeof POST - 1,
	    "the next one rode a pooled connection");
	stage_say(s, client, GET);
	stage_hear(s, conn, "\r\n\r\n");
	stage_reset(s, conn);
	conn = stage_accept(s);
	stage_hear(s, conn, "\r\n\r\n");
	stage_say(s, conn, OK_2);
	stage_hear(s, client, "ok");
	CHECK(s->n_accounts == 3 && blames('-', '-', 200) &&
		a->n_attempts == 2 && a->n_retries == 1 && !a->reused,
	    "a retry is counted, and its connection's");
	CHECK(strcmp(a->why, "idempotent method") == 0 &&
		strstr(s->heard,
		    "Proxy-Status: closerace; details=\"attempt 2: "
		    "idempotent method\"\r\n"),
	    "its reason is told, to the client as well");
	close(client);
	close(conn);
	stage_settle(s);
	CHECK(s->n_accounts == 3, "who asks nothing has no account");
	stage_close(s);
}

/* The backend's part. */
static void
backend(void)
{
	static const char *const options[] = { "response_timeout_ms=500",
		NULL };
	struct stage *s = &stage;
	int client, conn;

	stage_open(s, options);
	client = stage_client(s);
	conn = stage_warm(s, client);
	stage_say(s, client, POST);
	stage_hear(s, conn, "abc");
	close(conn);
	stage_hear(s, client, "idempotent\n");
	CHECK(blames('U', 'H', 502), "lost before its response: UH");
	conn = stage_warm(s, client);
	stage_say(s, client, GET);
	stage_hear(s, conn, "\r\n\r\n");
	stage_say(s, conn, "HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nab");
	stage_fin(s, conn);
	stage_hear(s, client, NULL);
	CHECK(blames('U', 'D', 200), "cut in its response: UD");
	close(conn);
	close(client);
	client = stage_client(s);
	conn = stage_warm(s, client);
	stage_say(s, client,
	    "POST /p HTTP/1.1\r\nHost: t\r\nContent-Length: 3\r\n\r\na");
	stage_hear(s, conn, "\r\n\r\na");
	stage_reset(s, conn);
	stage_hear(s, client, "idempotent\n");
	CHECK(blames('U', 'S', 502), "lost with its body on the way: US");
	close(client);
	client = stage_client(s);
	conn = stage_warm(s, client);
	stage_say(s, client, GET);
	stage_hear(s, conn, "\r\n\r\n");
	stage_advance(s, 500);
	stage_hear(s, client, "out\n");
	CHECK(blames('u', 'H', 504), "no response in time: uH");
	close(conn);
	close(s->backend);
	s->backend = -1;
	stage_say(s, client, GET);
	stage_hear(s, client, "made\n");
	CHECK(blames('U', 'C', 502), "nobody there: UC");
	close(client);
	stage_close(s);
}

/* The client's part, and the proxy's. */
static void
client_and_proxy(void)
{
	static const char *const options[] = { "client_timeout_ms=500",
		"head_timeout_ms=700", NULL };
	struct stage *s = &stage;
	int client, conn;

	stage_open(s, options);
	client = stage_client(s);
	stage_say(s, client, "GET / HTT");
	stage_advance(s, 700);
	stage_hear(s, client, NULL);
	CHECK(blames('c', 'R', 408), "half a head in all its time: cR");
	close(client);
	client = stage_client(s);
	stage_say(s, client, "GET / HTT");
	stage_reset(s, client);
	CHECK(blames('C', 'R', 0), "gone with half a head: CR");
	client = stage_client(s);
	stage_say(s, client, "GET / HTTP/1.1\r\n\r\n");
	stage_hear(s, client, NULL);
	CHECK(blames('P', 'R', 400), "refused: PR");
	close(client);
	client = stage_client(s);
	stage_say(s, client, GET);
	conn = stage_accept(s);
	stage_hear(s, conn, "\r\n\r\n");
	stage_reset(s, client);
	CHECK(blames('C', 'H', 0), "gone before its response: CH");
	close(conn);
	client = stage_client(s);
	stage_say(s, client, GET);
	conn = stage_accept(s);
	stage_hear(s, conn, "\r\n\r\n");
	stage_say(s, conn, "HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nab");
	stage_hear(s, client, "ab");
	stage_reset(s, client);
	CHECK(blames('C', 'D', 200), "gone in the middle of it: CD");
	close(conn);
	client = stage_client(s);
	stage_say(s, client,
	    "POST /p HTTP/1.1\r\nHost: t\r\nContent-Length: 3\r\n\r\na");
	conn = stage_accept(s);
	stage_hear(s, conn, "\r\n\r\na");
	stage_advance(s, 500);
	stage_hear(s, client, NULL);
	CHECK(blames('c', 'S', 408), "no more of its body in time: cS");
	close(client);
	close(conn);
	stage_close(s);
}

/* A retry that waits to be made is none yet; and the proxy's own end. */
static void
cut_short(void)
{
	static const char *const options[] = { "backoff_ms=500",
		"persist_client=false", NULL };
	struct stage *s = &stage;
	const struct proxy_account *a = &s->account;
	int client, conn;

	stage_open(s, options);
	client = stage_client(s);
	stage_say(s, client, GET);
	conn = stage_accept(s);
	stage_hear(s, conn, "\r\n\r\n");
	stage_reset(s, conn);
	stage_reset(s, client);
	CHECK(a->who == 'C' && a->n_attempts == 1 && a->n_retries == 0,
	    "gone while a retry waited: it was never made");

	client = stage_client(s);
	stage_say(s, client, GET);
	conn = stage_accept(s);
	stage_hear(s, conn, "\r\n\r\n");
	stage_say(s, conn, OK_2);
	CHECK(stage_hears(s, client, NULL, "ok<fin>") &&
		strstr(s->heard, "Connection: close\r\n") &&
		stage_n_pooled(s) == 1,
	    "persist_client=false: the client is not kept, the backend is");
	close(client);
	client = stage_client(s);
	stage_say(s, client, GET);
	stage_hear(s, conn, "\r\n\r\n");
	stage_close(s);
	CHECK(blames('I', 'H', 0) && a->n_reused == 1,
	    "an exchange that the proxy's end cuts short: IH");
	close(conn);
	close(client);
}

int
main(void)
{
	good();
	cut_short();
	backend();
	client_and_proxy();
	return CHECK_DONE();
}
