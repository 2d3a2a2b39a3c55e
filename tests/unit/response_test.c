#include "proxy/response.h"
#include "check.h"

#include <string.h>

static struct response r;

static const char *
read_head(const char *head, bool answers_head)
{
	struct response_to to = { .head = answers_head };

	return response_read(&r, head, strlen(head), &to);
}

static void
kinds(void)
{
	static const struct {
		const char *bytes;
		enum response_kind kind;
	} rows[] = {
		{ "", RESPONSE_UNKNOWN },
		{ "H", RESPONSE_UNKNOWN },
		{ "HTTP/1.1 ", RESPONSE_UNKNOWN },
		{ "HTTP/1.1 1", RESPONSE_INTERIM },
		{ "HTTP/1.0 100 ", RESPONSE_INTERIM },
		{ "HTTP/1.1 2", RESPONSE_FINAL },
		{ "HTTP/1.1 x", RESPONSE_FINAL },
		{ "h", RESPONSE_FINAL },
		{ "HTTP/2", RESPONSE_FINAL },
		{ "SSH-2.0", RESPONSE_FINAL },
	};

	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
		CHECK(response_kind(rows[i].bytes, strlen(rows[i].bytes)) ==
			rows[i].kind,
		    "\"%s\" is %s", rows[i].bytes,
		    rows[i].kind == RESPONSE_UNKNOWN	   ? "not enough"
			: rows[i].kind == RESPONSE_INTERIM ? "interim"
							   : "final");
}

static void
status_lines(void)
{
	static const char *const good[] = { "HTTP/1.1 200 OK\r\n\r\n",
		"HTTP/1.1 200\r\n\r\n", "HTTP/1.1 200 \r\n\r\n",
		"HTTP/1.0 999 \x80 x\r\n\r\n", "HTTP/1.2 200 OK\r\n\r\n",
		"HTTP/1.9 200 OK\r\n\r\n" };
	static const char *const bad[] = { "HTTP/1.1 20 OK\r\n\r\n",
		"HTTP/1.1 2000 OK\r\n\r\n", "HTTP/1.1  200 OK\r\n\r\n",
		"HTTP/1.1 099 OK\r\n\r\n", "HTTP/1.x 200 OK\r\n\r\n",
		"HTTP/2.0 200 OK\r\n\r\n", "http/1.1 200 OK\r\n\r\n",
		"HTTP/1.1 200 OK\n\r\n", "HTTP/1.1\t200 OK\r\n\r\n" };

	for (size_t i = 0; i < sizeof good / sizeof *good; i++)
		CHECK(read_head(good[i], false) == NULL && r.status >= 200,
		    "status line %zu is one", i);
	for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
		CHECK(read_head(bad[i], false) != NULL,
		    "bad status line %zu is none", i);
}

static void
framings(void)
{
#define L "Content-Length: 5\r\n\r\n"
#define C "Transfer-Encoding: chunked\r\n\r\n"
	static const struct {
		const char *what, *head;
		bool answers_head;
		enum framing framing;
	} rows[] = {
		{ "length", "HTTP/1.1 200 OK\r\n" L, false, FRAMING_LENGTH },
		{ "chunks", "HTTP/1.1 200 OK\r\n" C, false, FRAMING_CHUNKED },
		{ "neither", "HTTP/1.1 200 OK\r\n\r\n", false, FRAMING_CLOSE },
		{ "length to HEAD", "HTTP/1.1 200 OK\r\n" L, true,
		    FRAMING_NONE },
		{ "chunks to HEAD", "HTTP/1.1 200 OK\r\n" C, true,
		    FRAMING_NONE },
		{ "neither to HEAD", "HTTP/1.1 200 OK\r\n\r\n", true,
		    FRAMING_NONE },
		{ "204", "HTTP/1.1 204 No\r\n" L, false, FRAMING_NONE },
		{ "304", "HTTP/1.1 304 No\r\n" L, false, FRAMING_NONE },
		{ "100", "HTTP/1.1 100 Go\r\n" L, false, FRAMING_NONE },
		{ "error to GET", "HTTP/1.0 404 No\r\n\r\n", false,
		    FRAMING_CLOSE },
	};

	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
		CHECK(read_head(rows[i].head, rows[i].answers_head) == NULL &&
			r.framing == rows[i].framing,
		    "%s", rows[i].what);
	CHECK(read_head("HTTP/1.1 101 S\r\n\r\n", false) != NULL,
	    "a 101 is none that was asked for");
	CHECK(read_head("HTTP/1.0 200 OK\r\n" C, false) != NULL,
	    "chunks in HTTP/1.0 are faulty");
	CHECK(read_head("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n" C, false) !=
		NULL,
	    "length and chunks are faulty");
	CHECK(read_head("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n" L, false) !=
		NULL,
	    "two lengths are faulty");
	CHECK(read_head("HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, chunked"
			"\r\n\r\n",
		  false) != NULL,
	    "codings that were not asked for are faulty");
}

static void
keeping_alive(void)
{
	read_head("HTTP/1.1 200 OK\r\n\r\n", false);
	CHECK(!r.announces_close && !r.has_hint && !r.has_max,
	    "HTTP/1.1 announces nothing");
	read_head("HTTP/1.1 200 OK\r\nConnection: CLOSE\r\n\r\n", false);
	CHECK(r.announces_close, "Connection: close does");
	read_head("HTTP/1.0 200 OK\r\n\r\n", false);
	CHECK(r.announces_close, "HTTP/1.0 does");
	read_head("HTTP/1.0 200 OK\r\nConnection: keep-alive\r\n\r\n", false);
	CHECK(!r.announces_close, "unless it keeps alive");
	read_head(
	    "HTTP/1.1 200 OK\r\nKeep-Alive: max=7, timeout=5\r\n\r\n", false);
	CHECK(r.has_hint && r.hint_ms == 5000 && r.has_max && r.max == 7,
	    "timeout= is in seconds, max= counts");
	read_head(
	    "HTTP/1.1 200 OK\r\nKeep-Alive: timeout=, max=x, 9\r\n\r\n", false);
	CHECK(!r.has_hint && !r.has_max, "nonsense is no hint");
	read_head("HTTP/1.1 200 OK\r\nKeep-Alive: timeout=99999999999,"
		  " max=99999999999\r\n\r\n",
	    false);
	CHECK(r.hint_ms == 1000000000 && r.max == 1000000,
	    "huge numbers are bounded");
}

int
main(void)
{
	kinds();
	status_lines();
	framings();
	keeping_alive();
	return CHECK_DONE();
}
