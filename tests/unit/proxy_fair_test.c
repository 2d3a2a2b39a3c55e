/* How much of a flood the proxy serves before it hears somebody else.
 *
 * The flood never dries up: whenever the proxy has read of it, or sent it on,
 * the test fills its source again and empties its sink, inside the very call.
 * In its midst a bystander, who has been connected all the time, asks.  What
 * the proxy reads of the flood from there on, until it reads the bystander's
 * request, is counted: in bytes and in requests, not in time.
 */
#include "check.h"
#include "proxy_stage.h"

/* A turn reads 256 KiB and one read more; in a pass both ends of the flood may
 * have one.  The bystander speaks in one pass and is heard in the next. */
enum {
	FLOOD_MAX = 48 << 20,	/* … of the flood, where it is never heard */
	SPEAKS_AT = 1 << 20,	/* the bystander, when so much was read */
	BYTES_MAX = 1536 << 10, /* of the flood, until it is heard */
	REQUESTS_MAX = 64,	/* the same, in requests that were answered */
	BLOCK = 1 << 16
};

static struct stage stage;

static struct flood {
	int source, sink, bystander;
	bool spoken, heard;
	unsigned long session;	  /* the bystander's */
	size_t n_read;		  /* by the proxy, from the source */
	size_t n_before, n_after; /* until it spoke; then, until it was heard */
	unsigned n_requests;	  /* answered since it spoke */
	char block[BLOCK];	  /* what it says, again and again */
	size_t size, at;
} flood;

/* Offer the source as much as the kernel takes. */
static void
fill_source(void)
{
	struct flood *f = &flood;
	ssize_t n;

	while (!f->heard && f->n_read < FLOOD_MAX) {
		n = send(f->source, f->block + f->at, f->size - f->at,
		    MSG_NOSIGNAL | MSG_DONTWAIT);
		if (n <= 0)
			return;
		f->at = (f->at + (size_t)n) % f->size;
	}
}

static void
empty(int fd)
{
	static char discarded[1 << 20];

	while (
	    fd >= 0 && recv(fd, discarded, sizeof discarded, MSG_DONTWAIT) > 0)
		;
}

static void
note_read(const struct proxy_event *e)
{
	struct flood *f = &flood;

	if (strncmp(e->checkpoint, "session.", 8) == 0 &&
	    e->serial == f->session) {
		f->heard = true;
		return;
	}
	f->n_read += e->size;
	if (f->heard)
		return;
	if (f->spoken)
		f->n_after += e->size;
	else if (f->n_read >= SPEAKS_AT) {
		f->spoken = true;
		(void)!send(f->bystander, GET, sizeof GET - 1, MSG_NOSIGNAL);
	}
}

static void
on_proxy(struct stage *s, const struct proxy_event *e)
{
	if (e->what == PROXY_READ)
		note_read(e);
	if (e->what == PROXY_DONE)
		flood.n_requests += flood.spoken && !flood.heard;
	if (e->what == PROXY_READ || e->what == PROXY_SENT) {
		empty(flood.sink);
		fill_source();
	}
}

/* Repeat a piece until the block is full. */
static void
set_block(const char *piece)
{
	size_t n = strlen(piece);

	flood.size = BLOCK / n * n;
	for (size_t i = 0; i < flood.size; i += n)
		memcpy(flood.block + i, piece, n);
}

static void
open_stage(const char *const *options)
{
	struct stage *s = &stage;

	memset(&flood, 0, sizeof flood);
	flood.source = flood.sink = -1;
	stage_open(s, options);
	flood.bystander = stage_client(s);
	flood.session = 1;
	stage_settle(s);
}

/* Source and sink stand ready: let it come. */
static void
play(const char *what)
{
	struct stage *s = &stage;
	struct flood *f = &flood;

	s->also = on_proxy;
	fill_source();
	for (int i = 0;
	     i < STAGE_TURNS * 100 && !f->heard && f->n_read < FLOOD_MAX; i++)
		stage_turn(s);
	s->also = NULL;
	CHECK(f->spoken && f->heard && f->n_after <= BYTES_MAX &&
		f->n_requests <= REQUESTS_MAX,
	    "%s: %zu KiB and %u requests before another client is heard", what,
	    f->n_after >> 10, f->n_requests);
	close(f->bystander);
	close(f->source);
	if (f->sink >= 0)
		close(f->sink);
	stage_close(s);
}

/* A client sends after its request's head, to a backend that reads. */
static void
flood_up(const char *what, const char *head, const char *piece)
{
	struct stage *s = &stage;

	open_stage(NULL);
	flood.source = stage_client(s);
	stage_say(s, flood.source, head);
	flood.sink = stage_accept(s);
	stage_hear(s, flood.sink, "\r\n\r\n");
	set_block(piece);
	play(what);
}

/* A backend sends after its response's head, to a client that reads. */
static void
flood_down(const char *what, const char *head, const char *piece)
{
	struct stage *s = &stage;

	open_stage(NULL);
	flood.sink = stage_client(s);
	stage_say(s, flood.sink, GET);
	flood.source = stage_accept(s);
	stage_hear(s, flood.source, "\r\n\r\n");
	stage_say(s, flood.source, head);
	set_block(piece);
	play(what);
}

/* A client sends what the proxy answers, or drops, by itself. */
static void
flood_proxy(const char *what, const char *head, const char *piece)
{
	struct stage *s = &stage;

	open_stage(NULL);
	close(s->backend); /* … which refuses */
	s->backend = -1;
	flood.source = flood.sink = stage_client(s);
	stage_say(s, flood.source, head);
	set_block(piece);
	play(what);
}

static void
flood_tunnel(void)
{
	struct stage *s = &stage;

	open_stage(NULL);
	flood.source = stage_client(s);
	stage_say(s, flood.source, UPGRADE);
	flood.sink = stage_accept(s);
	stage_hear(s, flood.sink, "\r\n\r\n");
	stage_say(s, flood.sink, SWITCHED);
	stage_hear(s, flood.source, "\r\n\r\n");
	set_block("what goes through a tunnel\n");
	play("a tunnel");
}

#define CHUNKED_UP              \
	"POST /up HTTP/1.1\r\n" \
	"Host: t\r\n"           \
	"Transfer-Encoding: chunked\r\n\r\n"
#define LONG_UP                 \
	"POST /up HTTP/1.1\r\n" \
	"Host: t\r\n"           \
	"Content-Length: 99999999\r\n\r\n"
#define CHUNKED_DOWN          \
	"HTTP/1.1 200 OK\r\n" \
	"Transfer-Encoding: chunked\r\n\r\n"
#define LONG_DOWN             \
	"HTTP/1.1 200 OK\r\n" \
	"Content-Length: 99999999\r\n\r\n"
#define CHUNK_OF_50 \
	"32\r\n"    \
	"..................................................\r\n"
#define CHUNK_OF_1 "1\r\n.\r\n"

/* ------------------------------------------- a turn that ends too early ---- */

enum { WIDE = 4 << 20, HINT_BYTES = 30000, N_HINTS = 12 };

static bool is_wide;

/* Let a whole answer wait unread in the upstream connection. */
static void
widen(struct stage *s, const struct proxy_event *e)
{
	int size = WIDE;

	if (e->what == PROXY_OPENED &&
	    strncmp(e->checkpoint, "upstream.", 9) == 0)
		is_wide = setsockopt(e->fd, SOL_SOCKET, SO_RCVBUFFORCE, &size,
			      sizeof size) == 0;
}

/* What the backend has said before it reset the connection is read to its end,
 * although it is more than a turn may read. */
static void
answer_before_reset(void)
{
	static const char *const options[] = { "head_bytes=1048576", NULL };
	static char hint[HINT_BYTES];
	struct stage *s = &stage;
	int client, conn;

	stage_open(s, options);
	s->also = widen;
	client = stage_client(s);
	stage_say(s, client, LONG_UP "begins");
	conn = stage_accept(s);
	stage_hear(s, conn, "\r\n\r\n");
	snprintf(hint, sizeof hint, "HTTP/1.1 103 Early Hints\r\nX: %0*d",
	    HINT_BYTES - 35, 0);
	strcat(hint, "\r\n\r\n");
	/* The first that the loop hears of; what it sends on fails. */
	send(client, "goes on", 7, MSG_NOSIGNAL);
	for (int i = 0; i < N_HINTS; i++)
		send(conn, hint, strlen(hint), MSG_NOSIGNAL);
	send(conn, OK_2, sizeof OK_2 - 1, MSG_NOSIGNAL);
	stage_reset(s, conn);
	for (int i = 0; i < STAGE_TURNS && s->n_accounts == 0; i++) {
		stage_turn(s);
		empty(client);
	}
	if (is_wide)
		CHECK(s->account.status == 200,
		    "an answer of several turns outlives the reset behind it");
	else
		printf("# without CAP_NET_ADMIN no such answer can wait\n");
	close(client);
	stage_close(s);
}

int
main(void)
{
	flood_up("a request in chunks of 50", CHUNKED_UP, CHUNK_OF_50);
	flood_up("a request in chunks of 1", CHUNKED_UP, CHUNK_OF_1);
	flood_up("a long request", LONG_UP, "0123456789abcdef");
	flood_down("a response in chunks of 50", CHUNKED_DOWN, CHUNK_OF_50);
	flood_down("a response in chunks of 1", CHUNKED_DOWN, CHUNK_OF_1);
	flood_down("a long response", LONG_DOWN, "0123456789abcdef");
	flood_tunnel();
	flood_proxy("what comes after a refused request", "BAD\r\n\r\n",
	    "0123456789abcdef");
	flood_proxy("requests that no backend takes", "", GET);
	answer_before_reset();
	return CHECK_DONE();
}
