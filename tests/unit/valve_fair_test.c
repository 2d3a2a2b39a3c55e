/* How much of a flood a backend relays before it hears somebody else, counted
 * in bytes.  The flood never dries up: whenever the valve has read of it, or
 * sent it on, the test fills its source again and empties its sink. */
#include "check.h"
#include "rig.h"

/* In a pass a valve may have two turns of 512 KiB, and the bystander speaks in
 * one pass and is heard in the next. */
enum { FLOOD_MAX = 48 << 20, SPEAKS_AT = 1 << 20, BYTES_MAX = 2 << 20 };

#define CHUNK_OF_50 \
	"32\r\n"    \
	"..................................................\r\n"
#define GET "GET /id/b/1 HTTP/1.1\r\nHost: t\r\n\r\n"

enum { PIECES = 1000, PIECE = sizeof CHUNK_OF_50 - 1 };

static int source, sink, bystander, aside;
static bool spoken, heard;
static size_t n_moved, n_after, at;
static char block[PIECES * PIECE];

static void
fill_source(void)
{
	ssize_t n;

	while (!heard && n_moved < FLOOD_MAX) {
		n = send(source, block + at, sizeof block - at,
		    MSG_NOSIGNAL | MSG_DONTWAIT);
		if (n <= 0)
			return;
		at = (at + (size_t)n) % sizeof block;
	}
}

static void
empty_sink(void)
{
	static char discarded[1 << 20];

	while (sink >= 0 &&
	    recv(sink, discarded, sizeof discarded, MSG_DONTWAIT) > 0)
		;
}

/* The bystander is connection 1. */
static void
on_backend(const struct backend_event *e)
{
	if (e->what == BACKEND_READ && e->conn == 1)
		heard = true;
	if (e->conn == 1 || e->size == 0)
		return;
	n_moved += e->size;
	if (spoken && !heard)
		n_after += e->size;
	if (!spoken && n_moved > SPEAKS_AT) {
		spoken = true;
		(void)!peer_put(bystander, GET);
	}
	empty_sink();
	fill_source();
}

static struct rig *
open_rig(int *listener)
{
	struct backend_options o;
	char address[32], error[256];
	unsigned short port;
	struct rig *r;

	*listener = rig_listener(&port);
	snprintf(address, sizeof address, "127.0.0.1:%u", port);
	backend_options_init(&o);
	backend_options_set(&o, "upstream", address, error, sizeof error);
	spoken = heard = false;
	n_moved = n_after = at = 0;
	for (int i = 0; i < PIECES; i++)
		memcpy(block + i * PIECE, CHUNK_OF_50, PIECE);
	r = rig_open_with(&o, NULL);
	bystander = peer_dial(r);
	/* Its connection to the server is not the flood's. */
	rig_pump(r);
	aside = accept(*listener, NULL, NULL);
	return r;
}

static void
play(struct rig *r, int listener, const char *what)
{
	r->also = on_backend;
	fill_source();
	for (int i = 0; i < 100000 && !heard && n_moved < FLOOD_MAX; i++)
		event_base_loop(r->base, EVLOOP_NONBLOCK | EVLOOP_ONCE);
	r->also = NULL;
	CHECK(spoken && heard && n_after <= BYTES_MAX,
	    "%s: %zu KiB before another client is heard", what, n_after >> 10);
	close(source);
	if (sink >= 0)
		close(sink);
	close(bystander);
	close(aside);
	close(listener);
	rig_close(r);
}

static void
flood_up(void)
{
	int listener, client;
	struct rig *r = open_rig(&listener);

	client = peer_dial(r);
	(void)!peer_put(client,
	    "POST / HTTP/1.1\r\nHost: t\r\nTransfer-Encoding: chunked\r\n\r\n");
	rig_pump(r);
	source = client;
	sink = accept(listener, NULL, NULL);
	play(r, listener, "a request in chunks");
}

static void
flood_down(void)
{
	int listener, client;
	struct rig *r = open_rig(&listener);

	client = peer_dial(r);
	(void)!peer_put(client, GET);
	rig_pump(r);
	sink = client;
	source = accept(listener, NULL, NULL);
	(void)!peer_put(
	    source, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n");
	play(r, listener, "a response in chunks");
}

/* The connection was ended, and its peer does not mind. */
static void
flood_after_end(void)
{
	int listener;
	struct rig *r = open_rig(&listener);
	struct fault f;
	char error[256];

	fault_parse(&f, "on=request_head,close=fin", error, sizeof error);
	backend_add_fault(r->backend, &f);
	source = peer_dial(r);
	sink = -1;
	(void)!peer_put(source,
	    "POST / HTTP/1.1\r\nHost: t\r\nTransfer-Encoding: chunked\r\n\r\n");
	rig_pump(r);
	play(r, listener, "what comes after the end");
}

int
main(void)
{
	flood_up();
	flood_down();
	flood_after_end();
	return CHECK_DONE();
}
