#include "backend/follow.h"
#include "backend/resource.h"
#include "check.h"

#include <string.h>

#define POST_HEAD                                     \
	"POST /id/p1/pay?q=1 HTTP/1.1\r\nHost: t\r\n" \
	"Expect: 100-continue\r\nContent-Length: 5\r\n\r\n"

struct row {
	const char *what;
	enum follow_kind kind;
	bool head;
	const char *bytes;
	size_t line_end, head_end, end;
};

/* end 0: not complete without an end of the stream */
static const struct row rows[] = {
	{ "a GET", FOLLOW_REQUEST, false, "GET / HTTP/1.1\r\nHost: t\r\n\r\n",
	    16, 27, 27 },
	{ "a POST", FOLLOW_REQUEST, false, POST_HEAD "hello", 30,
	    sizeof POST_HEAD - 1, sizeof POST_HEAD + 4 },
	{ "an empty line in front", FOLLOW_REQUEST, false,
	    "\r\nGET / HTTP/1.1\r\nHost: t\r\n\r\n", 18, 29, 29 },
	{ "a chunked POST", FOLLOW_REQUEST, false,
	    "POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n"
	    "3\r\nabc\r\n0\r\n\r\n",
	    17, 47, 60 },
	{ "CONNECT", FOLLOW_REQUEST, false,
	    "CONNECT h:1 HTTP/1.1\r\nHost: h\r\n\r\n", 22, 33, 33 },
	{ "a request to upgrade", FOLLOW_REQUEST, false,
	    "GET / HTTP/1.1\r\nConnection: upgrade\r\nUpgrade: x\r\n\r\n", 16,
	    51, 51 },
	{ "Connection: close", FOLLOW_REQUEST, false,
	    "GET / HTTP/1.1\r\nConnection: close\r\n\r\n", 16, 37, 37 },
	{ "a response", FOLLOW_RESPONSE, false,
	    "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi", 17, 38, 40 },
	{ "a response without reason", FOLLOW_RESPONSE, false,
	    "HTTP/1.1 200\r\nContent-Length: 0\r\n\r\n", 14, 35, 35 },
	{ "a chunked response", FOLLOW_RESPONSE, false,
	    "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
	    "2\r\nhi\r\n0\r\n\r\n",
	    17, 47, 59 },
	{ "the answer to a HEAD", FOLLOW_RESPONSE, true,
	    "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n", 17, 38, 38 },
	{ "204", FOLLOW_RESPONSE, false, "HTTP/1.1 204 None\r\n\r\n", 19, 21,
	    21 },
	{ "304 with a length", FOLLOW_RESPONSE, false,
	    "HTTP/1.1 304 Same\r\nContent-Length: 9\r\n\r\n", 19, 40, 40 },
	{ "100", FOLLOW_RESPONSE, false, "HTTP/1.1 100 Continue\r\n\r\n", 23,
	    25, 25 },
	{ "a body until the end", FOLLOW_RESPONSE, false,
	    "HTTP/1.1 200 OK\r\n\r\nhi", 17, 19, 0 },
};

/* Offsets must not depend on how the bytes come. */
static void
offsets(void)
{
	static struct follow f;

	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
		const struct row *r = &rows[i];
		size_t n = strlen(r->bytes);
		size_t good = 0, steps = 0;

		for (size_t step = 1; step <= n; step++, steps++) {
			size_t fed = 0, used = 0;

			follow_start(&f, r->kind, r->head);
			for (size_t at = 0; at < n; at += step) {
				fed = n - at < step ? n - at : step;
				used += follow_feed(&f, r->bytes + at, fed);
			}
			good += used == n && f.size == n && !f.lost &&
			    f.line_end == r->line_end &&
			    f.head_end == r->head_end && f.end == r->end;
		}
		CHECK(good == steps, "%s: offsets in steps of 1 to %zu",
		    r->what, n);
		if (r->end == 0) {
			CHECK(f.until_eof && !follow_longer_than(&f, n),
			    "%s: nobody knows how long it is", r->what);
			follow_eof(&f);
			CHECK(f.end == n, "%s: the end completes it", r->what);
		}
	}
}

/* A complete message leaves the next one alone. */
static void
boundaries(void)
{
	static struct follow f;
	char two[512];

	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
		if (rows[i].end == 0)
			continue;
		snprintf(two, sizeof two, "%s%s", rows[i].bytes, rows[i].bytes);
		follow_start(&f, rows[i].kind, rows[i].head);
		CHECK(follow_feed(&f, two, strlen(two)) == rows[i].end &&
			f.end == rows[i].end && !f.lost,
		    "%s: stops before the next message", rows[i].what);
	}
}

static void
names(void)
{
	static struct follow f;
	size_t line = 30;

	follow_start(&f, FOLLOW_REQUEST, false);
	follow_feed(&f, POST_HEAD, 9);
	CHECK(!f.target_known && !f.id_known, "half a target is not known");
	follow_feed(&f, &POST_HEAD[9], line - 9);
	CHECK(f.target_known && strcmp(f.method, "POST") == 0 &&
		strcmp(f.target, "/id/p1/pay?q=1") == 0,
	    "method and target are known with the request line");
	CHECK(!f.id_known && strcmp(f.id, "p1") == 0,
	    "the id of the path may yet be overruled by the header");
	follow_feed(&f, &POST_HEAD[line], sizeof POST_HEAD - 1 - line);
	CHECK(f.id_known && f.expects_100 && f.end == 0,
	    "the head settles id and expectation");
	CHECK(follow_longer_than(&f, f.size) &&
		follow_longer_than(&f, f.size - 1) &&
		!follow_longer_than(&f, f.size + 1),
	    "an announced body makes it certainly longer");
	follow_feed(&f, "hello", 5);
	CHECK(!follow_longer_than(&f, f.size), "and complete it is not");
}

static void
lost(void)
{
	static const char *const wrong[] = { "\x16\x03\x01", "GET\r\n\r\n",
		"GET / HTTP/1.1\r\nContent-Length: 1\r\n"
		"Content-Length: 2\r\n\r\n",
		"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n" };
	static struct follow f;
	char path[64];

	for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
		follow_start(&f, FOLLOW_REQUEST, false);
		follow_feed(&f, wrong[i], strlen(wrong[i]));
		CHECK(f.lost && f.end == 0, "no HTTP, row %zu", i);
		CHECK(follow_feed(&f, "more", 4) == 0, "and stays none");
	}
	follow_path("http://h:1/a/b?c", path, sizeof path);
	CHECK(strcmp(path, "/a/b") == 0, "the path of an absolute target");
	follow_path("/a#f", path, sizeof path);
	CHECK(strcmp(path, "/a") == 0, "the path before a fragment");
	follow_path("/abcdef", path, 4);
	CHECK(strcmp(path, "/ab") == 0, "a long path is cut");
}

static void
resources(void)
{
	static const struct {
		const char *target;
		enum resource_kind kind;
		size_t n;
	} table[] = {
		{ "/", RESOURCE_TEXT, 0 },
		{ "/bytes/10", RESOURCE_BYTES, 10 },
		{ "/bytes/0?x=1", RESOURCE_BYTES, 0 },
		{ "/bytes/67108864", RESOURCE_BYTES, 67108864 },
		{ "/bytes/67108865", RESOURCE_BAD, 67108865 },
		{ "/bytes/99999999999999999999999", RESOURCE_BAD, 0 },
		{ "/bytes/", RESOURCE_TEXT, 0 },
		{ "/bytes/-1", RESOURCE_TEXT, 0 },
		{ "/bytes/1x", RESOURCE_TEXT, 0 },
		{ "/chunked/7", RESOURCE_CHUNKED, 7 },
		{ "/echo", RESOURCE_ECHO, 0 },
		{ "/echo/x", RESOURCE_TEXT, 0 },
		{ "/delay/250", RESOURCE_DELAY, 250 },
		{ "/status/404", RESOURCE_STATUS, 404 },
		{ "/status/101", RESOURCE_BAD, 101 },
		{ "/status/600", RESOURCE_BAD, 600 },
		{ "/id/a/bytes/10", RESOURCE_BYTES, 10 },
		{ "/id/a", RESOURCE_TEXT, 0 },
		{ "http://h/bytes/3", RESOURCE_BYTES, 3 },
	};
	char a[8], b[8];

	for (size_t i = 0; i < sizeof table / sizeof *table; i++) {
		struct resource r = resource_of(table[i].target);

		CHECK(r.kind == table[i].kind &&
			(r.n == table[i].n || r.kind == RESOURCE_TEXT ||
			    r.kind == RESOURCE_BAD),
		    "%s", table[i].target);
	}
	resource_fill(a, 60, 8);
	resource_fill(b, 64, 4);
	CHECK(memcmp(a + 4, b, 4) == 0, "a body does not depend on its parts");
}

int
main(void)
{
	offsets();
	boundaries();
	names();
	lost();
	resources();
	return CHECK_DONE();
}
