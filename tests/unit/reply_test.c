/* The client's reader of responses: every framing, cut at every byte. */
#include "harness/reply.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "backend/ledger.h"
#include "check.h"

#define OK   "HTTP/1.1 200 OK\r\n"
#define NEXT "HTTP/1.1 404 Not Found\r\n"

enum after { STAYS, FIN, RST };

struct row {
	const char *name;
	const char *bytes; /* the response … */
	const char *more;  /* … and what follows it at once */
	bool to_head;
	enum after after;
	enum reply_state state;
	int status;
	const char *body;
	unsigned n_interim;
	bool close, until_close;
	unsigned long mark;
};

static const struct row rows[] = {
	/* -------------------------------------------- Content-Length --- */
	{ .name = "a body has the length that it says",
	    .bytes = OK "Content-Length: 5\r\n\r\nhello",
	    .more = NEXT,
	    .state = REPLY_COMPLETE,
	    .status = 200,
	    .body = "hello" },
	{ .name = "a body may be empty",
	    .bytes = OK "Content-Length: 0\r\n\r\n",
	    .more = NEXT,
	    .state = REPLY_COMPLETE,
	    .status = 200 },
	{ .name = "two different lengths are no length",
	    .bytes = OK "Content-Length: 5\r\nContent-Length: 4\r\n\r\n",
	    .more = "hello",
	    .state = REPLY_INVALID,
	    .status = 200 },
	{ .name = "the same length may be said twice",
	    .bytes = OK "Content-Length: 5\r\ncontent-length: 5\r\n\r\nhello",
	    .more = NEXT,
	    .state = REPLY_COMPLETE,
	    .status = 200,
	    .body = "hello" },
	{ .name = "a coding that only ends in chunked is not chunked",
	    .bytes = OK "Transfer-Encoding: notchunked\r\n\r\nhello",
	    .after = FIN,
	    .state = REPLY_COMPLETE,
	    .status = 200,
	    .body = "hello",
	    .close = true,
	    .until_close = true },
	{ .name = "a list may go on in a second header",
	    .bytes = OK "Connection: keep-alive, x\r\nConnection: y ,close\r\n"
			"Content-Length: 0\r\n\r\n",
	    .state = REPLY_COMPLETE,
	    .status = 200,
	    .close = true },
	{ .name = "header names have no case",
	    .bytes = OK "cOnTeNt-LeNgTh:   2 \r\n\r\nhi",
	    .state = REPLY_COMPLETE,
	    .status = 200,
	    .body = "hi" },
	{ .name = "lines may end in LF alone",
	    .bytes = "HTTP/1.1 200 OK\nContent-Length: 2\n\nhi",
	    .more = "\n",
	    .state = REPLY_COMPLETE,
	    .status = 200,
	    .body = "hi" },
	{ .name = "a reason may be absent",
	    .bytes = "HTTP/1.1 200\r\nContent-Length: 2\r\n\r\nhi",
	    .state = REPLY_COMPLETE,
	    .status = 200,
	    .body = "hi" },
	{ .name = "a body cut by FIN is not complete",
	    .bytes = OK "Content-Length: 5\r\n\r\nhell",
	    .after = FIN,
	    .state = REPLY_READING,
	    .status = 200,
	    .body = "hell" },
	{ .name = "a body cut by RST is not complete",
	    .bytes = OK "Content-Length: 5\r\n\r\nhell",
	    .after = RST,
	    .state = REPLY_READING,
	    .status = 200,
	    .body = "hell" },
	{ .name = "a head cut by FIN is no response",
	    .bytes = OK "Content-Length: 0\r\n",
	    .after = FIN,
	    .state = REPLY_READING },
	{ .name = "a status line cut by FIN is no response",
	    .bytes = "HTTP/1.1 20",
	    .after = FIN,
	    .state = REPLY_READING },
	{ .name = "a connection that ends in silence is no response",
	    .bytes = "",
	    .after = FIN,
	    .state = REPLY_READING },
	/* --------------------------------------------------- chunked --- */
	{ .name = "chunks are put together",
	    .bytes = OK "Transfer-Encoding: chunked\r\n\r\n"
			"5\r\nhello\r\n6\r\n world\r\n0\r\n\r\n",
	    .more = NEXT,
	    .state = REPLY_COMPLETE,
	    .status = 200,
	    .body = "hello world" },
	{ .name = "no chunk is an empty body",
	    .bytes = OK "Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
	    .more = NEXT,
	    .state = REPLY_COMPLETE,
	    .status = 200 },
	{ .name = "chunk extensions are passed over",
	    .bytes = OK "Transfer-Encoding: chunked\r\n\r\n"
			"5;name=value\r\nhello\r\n0 ; last\r\n\r\n",
	    .more = NEXT,
	    .state = REPLY_COMPLETE,
	    .status = 200,
	    .body = "hello" },
	{ .name = "a chunk extension may be long",
	    .bytes = OK "Transfer-Encoding: chunked\r\n\r\n2;"
			"xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx"
			"xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx"
			"xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx"
			"\r\nhi\r\n0\r\n\r\n",
	    .state = REPLY_COMPLETE,
	    .status = 200,
	    .body = "hi" },
	{ .name = "trailers belong to the response",
	    .bytes = OK "Transfer-Encoding: chunked\r\n\r\n"
			"2\r\nhi\r\n0\r\nX-Sum: 1\r\nX-More: 2\r\n\r\n",
	    .more = NEXT,
	    .state = REPLY_COMPLETE,
	    .status = 200,
	    .body = "hi" },
	{ .name = "chunk sizes are hexadecimal, in either case",
	    .bytes = OK "Transfer-Encoding: chunked\r\n\r\n"
			"a\r\n0123456789\r\nB\r\n0123456789a\r\n0\r\n\r\n",
	    .state = REPLY_COMPLETE,
	    .status = 200,
	    .body = "01234567890123456789a" },
	{ .name = "chunked outweighs a length",
	    .bytes = OK "Content-Length: 3\r\nTransfer-Encoding: chunked\r\n"
			"\r\n2\r\nhi\r\n0\r\n\r\n",
	    .more = NEXT,
	    .state = REPLY_COMPLETE,
	    .status = 200,
	    .body = "hi" },
	{ .name = "chunks without the last one are not complete",
	    .bytes = OK "Transfer-Encoding: chunked\r\n\r\n2\r\nhi\r\n",
	    .after = FIN,
	    .state = REPLY_READING,
	    .status = 200,
	    .body = "hi" },
	{ .name = "the last chunk without its empty line is not complete",
	    .bytes = OK "Transfer-Encoding: chunked\r\n\r\n2\r\nhi\r\n0\r\n",
	    .after = FIN,
	    .state = REPLY_READING,
	    .status = 200,
	    .body = "hi" },
	{ .name = "a chunk size must be a number",
	    .bytes = OK "Transfer-Encoding: chunked\r\n\r\nhello\r\n",
	    .more = "hi",
	    .state = REPLY_INVALID,
	    .status = 200 },
	{ .name = "a chunk size has no sign",
	    .bytes = OK "Transfer-Encoding: chunked\r\n\r\n-5\r\n",
	    .more = "hello",
	    .state = REPLY_INVALID,
	    .status = 200 },
	{ .name = "a chunk size has nothing behind it",
	    .bytes = OK "Transfer-Encoding: chunked\r\n\r\n5xyz\r\n",
	    .more = "hello",
	    .state = REPLY_INVALID,
	    .status = 200 },
	{ .name = "a chunk size that no number holds is none",
	    .bytes = OK "Transfer-Encoding: chunked\r\n\r\n"
			"10000000000000005\r\n",
	    .more = "hello",
	    .state = REPLY_INVALID,
	    .status = 200 },
	{ .name = "behind a chunk nothing but a line end may stand",
	    .bytes = OK "Transfer-Encoding: chunked\r\n\r\n2\r\nhit\r\n",
	    .more = "0\r\n\r\n",
	    .state = REPLY_INVALID,
	    .status = 200,
	    .body = "hi" },
	/* ------------------------------------------- until the close --- */
	{ .name = "FIN completes a body without a length",
	    .bytes = OK "\r\nhello",
	    .after = FIN,
	    .state = REPLY_COMPLETE,
	    .status = 200,
	    .body = "hello",
	    .close = true,
	    .until_close = true },
	{ .name = "RST does not complete a body without a length",
	    .bytes = OK "\r\nhello",
	    .after = RST,
	    .state = REPLY_READING,
	    .status = 200,
	    .body = "hello",
	    .close = true,
	    .until_close = true },
	{ .name = "FIN completes an empty body without a length",
	    .bytes = OK "\r\n",
	    .after = FIN,
	    .state = REPLY_COMPLETE,
	    .status = 200,
	    .close = true,
	    .until_close = true },
	{ .name = "a coding that is not chunked ends with the connection",
	    .bytes = OK "Transfer-Encoding: gzip\r\n\r\nhello",
	    .after = FIN,
	    .state = REPLY_COMPLETE,
	    .status = 200,
	    .body = "hello",
	    .close = true,
	    .until_close = true },
	{ .name = "before the close such a body is not complete",
	    .bytes = OK "\r\nhello",
	    .state = REPLY_READING,
	    .status = 200,
	    .body = "hello",
	    .close = true,
	    .until_close = true },
	/* ------------------------------------------ never with a body --- */
	{ .name = "an answer to HEAD has no body, whatever it says",
	    .bytes = OK "Content-Length: 5\r\n\r\n",
	    .more = NEXT,
	    .to_head = true,
	    .state = REPLY_COMPLETE,
	    .status = 200 },
	{ .name = "a chunked answer to HEAD has no body",
	    .bytes = OK "Transfer-Encoding: chunked\r\n\r\n",
	    .more = NEXT,
	    .to_head = true,
	    .state = REPLY_COMPLETE,
	    .status = 200 },
	{ .name = "an answer to HEAD without a length is complete at once",
	    .bytes = OK "\r\n",
	    .more = NEXT,
	    .to_head = true,
	    .state = REPLY_COMPLETE,
	    .status = 200 },
	{ .name = "204 has no body",
	    .bytes = "HTTP/1.1 204 No Content\r\n\r\n",
	    .more = NEXT,
	    .state = REPLY_COMPLETE,
	    .status = 204 },
	{ .name = "304 has no body, whatever it says",
	    .bytes = "HTTP/1.1 304 Not Modified\r\n"
		     "Content-Length: 5\r\n\r\n",
	    .more = NEXT,
	    .state = REPLY_COMPLETE,
	    .status = 304 },
	/* --------------------------------------------------- interim --- */
	{ .name = "an interim response is counted and passed over",
	    .bytes = "HTTP/1.1 100 Continue\r\n\r\n" OK
		     "Content-Length: 2\r\n\r\nhi",
	    .more = NEXT,
	    .state = REPLY_COMPLETE,
	    .status = 200,
	    .body = "hi",
	    .n_interim = 1 },
	{ .name = "there may be several",
	    .bytes = "HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n"
		     "HTTP/1.1 100 Continue\r\n\r\n" OK
		     "Content-Length: 2\r\n\r\nhi",
	    .state = REPLY_COMPLETE,
	    .status = 200,
	    .body = "hi",
	    .n_interim = 2 },
	{ .name = "an interim response and a close are no response",
	    .bytes = "HTTP/1.1 100 Continue\r\n\r\n",
	    .after = FIN,
	    .state = REPLY_READING,
	    .n_interim = 1 },
	{ .name = "a length in an interim response means nothing",
	    .bytes = "HTTP/1.1 102 Processing\r\nContent-Length: 5\r\n\r\n" OK
		     "Content-Length: 0\r\n\r\n",
	    .state = REPLY_COMPLETE,
	    .status = 200,
	    .n_interim = 1 },
	{ .name = "the mark of an interim response is not the final one's",
	    .bytes = "HTTP/1.1 103 Hints\r\nX-Closerace-Mark: 7\r\n\r\n" OK
		     "X-Closerace-Mark: 8\r\nContent-Length: 0\r\n\r\n",
	    .state = REPLY_COMPLETE,
	    .status = 200,
	    .n_interim = 1,
	    .mark = 8 },
	/* ----------------------------------------------- the meaning --- */
	{ .name = "the mark is read",
	    .bytes = OK "X-Closerace-Mark: 4711\r\nContent-Length: 0\r\n\r\n",
	    .state = REPLY_COMPLETE,
	    .status = 200,
	    .mark = 4711 },
	{ .name = "Connection: close is understood",
	    .bytes = OK "Connection: close\r\nContent-Length: 0\r\n\r\n",
	    .state = REPLY_COMPLETE,
	    .status = 200,
	    .close = true },
	{ .name = "close may stand in a list",
	    .bytes = OK "Connection: X-Foo, Close\r\nContent-Length: 0\r\n\r\n",
	    .state = REPLY_COMPLETE,
	    .status = 200,
	    .close = true },
	{ .name = "HTTP/1.0 implies a close",
	    .bytes = "HTTP/1.0 200 OK\r\nContent-Length: 2\r\n\r\nhi",
	    .state = REPLY_COMPLETE,
	    .status = 200,
	    .body = "hi",
	    .close = true },
	{ .name = "HTTP/1.0 may say keep-alive",
	    .bytes = "HTTP/1.0 200 OK\r\nConnection: keep-alive\r\n"
		     "Content-Length: 0\r\n\r\n",
	    .state = REPLY_COMPLETE,
	    .status = 200 },
	/* --------------------------------------------------- no HTTP --- */
	{ .name = "another protocol is no response",
	    .bytes = "SSH-2.0-OpenSSH_9.2\r\n\r\n",
	    .more = "x",
	    .state = REPLY_INVALID },
	{ .name = "HTTP/2.0 is no response",
	    .bytes = "HTTP/2.0 200 OK\r\n\r\n",
	    .more = "x",
	    .state = REPLY_INVALID },
	{ .name = "a status has three digits, not two",
	    .bytes = "HTTP/1.1 20\r\n\r\n",
	    .more = "x",
	    .state = REPLY_INVALID },
	{ .name = "a status has three digits, not four",
	    .bytes = "HTTP/1.1 2000 OK\r\n\r\n",
	    .more = "x",
	    .state = REPLY_INVALID },
	{ .name = "an empty line is no response",
	    .bytes = "\r\n" OK "\r\n",
	    .state = REPLY_INVALID },
	{ .name = "a length must be a number",
	    .bytes = OK "Content-Length: five\r\n\r\n",
	    .more = "hello",
	    .state = REPLY_INVALID,
	    .status = 200 },
	{ .name = "a length has no sign",
	    .bytes = OK "Content-Length: -5\r\n\r\n",
	    .more = "hello",
	    .state = REPLY_INVALID,
	    .status = 200 },
	{ .name = "a length is one number",
	    .bytes = OK "Content-Length: 5, 6\r\n\r\n",
	    .more = "hello",
	    .state = REPLY_INVALID,
	    .status = 200 },
	{ .name = "a length that no number holds is none",
	    .bytes = OK "Content-Length: 18446744073709551621\r\n\r\n",
	    .more = "hello",
	    .state = REPLY_INVALID,
	    .status = 200 },
};

/* Feed as long as the reader takes.  Returns: bytes taken. */
static size_t
feed(struct reply *r, const char *bytes, size_t size, size_t piece)
{
	size_t used = 0;

	while (used < size) {
		size_t n = size - used < piece ? size - used : piece;
		size_t taken = reply_feed(r, bytes + used, n);

		used += taken;
		if (taken < n)
			break;
	}
	return used;
}

static bool
is_as_told(const struct row *row, const struct reply *r)
{
	const char *body = row->body != NULL ? row->body : "";
	size_t size = strlen(body);

	return r->state == row->state && r->status == row->status &&
	    r->n_interim == row->n_interim && r->close == row->close &&
	    r->until_close == row->until_close && r->mark == row->mark &&
	    r->body.size == size &&
	    (size == 0 || memcmp(r->body.p, body, size) == 0) &&
	    r->body_hash == ledger_hash(LEDGER_HASH_INIT, body, size);
}

/* One feeding: first bytes, then pieces of a size. */
static bool
reads(const struct row *row, size_t first, size_t piece)
{
	struct reply r = { 0 };
	size_t own = strlen(row->bytes), used;
	char all[1024];
	int size = snprintf(all, sizeof all, "%s%s", row->bytes,
	    row->more != NULL ? row->more : "");
	bool good;

	reply_init(&r, row->to_head);
	used = feed(&r, all, first, first);
	if (used == first)
		used += feed(&r, all + first, (size_t)size - first, piece);
	if (row->after != STAYS)
		reply_end(&r, row->after == FIN);
	good = used == own && is_as_told(row, &r);
	reply_free(&r);
	return good;
}

static void
test_row(const struct row *row)
{
	size_t size = strlen(row->bytes), n_bad = 0, first_bad = 0;

	CHECK(reads(row, 0, (size_t)-1), "%s", row->name);
	CHECK(reads(row, 0, 1), "%s, byte by byte", row->name);
	for (size_t at = 1; at < size; at++)
		if (!reads(row, at, (size_t)-1) && n_bad++ == 0)
			first_bad = at;
	CHECK(
	    n_bad == 0, "%s, cut anywhere (bad at %zu)", row->name, first_bad);
}

static void
test_use_again(void)
{
	static const char first[] = OK "Content-Length: 5\r\n\r\nhello" NEXT
				       "Content-Length: 2\r\n\r\nno";
	struct reply r = { 0 };
	size_t used;

	reply_init(&r, false);
	CHECK(!reply_begun(&r), "a reader begins with nothing");
	reply_feed(&r, "H", 1);
	CHECK(reply_begun(&r), "a byte of a status line begins a response");
	reply_init(&r, false);
	CHECK(!reply_begun(&r), "a reader can begin anew in mid-head");
	used = reply_feed(&r, first, sizeof first - 1);
	CHECK(r.state == REPLY_COMPLETE && r.status == 200,
	    "of two responses the first is taken");
	reply_init(&r, false);
	CHECK(r.status == 0 && r.body.size == 0 && r.head.size == 0,
	    "nothing of a response is left for the next");
	used += reply_feed(&r, first + used, sizeof first - 1 - used);
	CHECK(used == sizeof first - 1 && r.status == 404 &&
		memcmp(r.body.p, "no", 2) == 0,
	    "the second is taken by the next");
	CHECK(reply_feed(&r, "x", 1) == 0, "a complete one takes no more");
	reply_free(&r);
	reply_free(&r);
	CHECK(
	    r.head.p == NULL && r.body.p == NULL, "freeing twice is harmless");
}

static void
test_interim_is_not_begun(void)
{
	struct reply r = { 0 };

	reply_init(&r, false);
	reply_feed(&r, "HTTP/1.1 100 Continue\r\n\r\n", 25);
	CHECK(!reply_begun(&r), "an interim response begins no final one");
	reply_end(&r, true);
	CHECK(r.state == REPLY_READING, "… and is not completed by a close");
	reply_free(&r);
}

/* A head without an end must not fill the memory. */
static void
test_endless_head(void)
{
	struct reply r = { 0 };
	char bytes[1024];
	size_t n = 0;

	memset(bytes, 'x', sizeof bytes);
	reply_init(&r, false);
	reply_feed(&r, OK, sizeof OK - 1);
	while (r.state == REPLY_READING && n < 1024) {
		reply_feed(&r, bytes, sizeof bytes);
		n++;
	}
	CHECK(r.state == REPLY_INVALID, "a head has an end (%zu kB)", n);
	reply_free(&r);
}

static void
test_header(void)
{
	static const char head[] = OK "Host-Name: a\r\nHost:  b c \r\nHost: d"
				      "\r\nEmpty:\r\nBare\r\n\r\n";
	const size_t size = sizeof head - 1;
	size_t n = 99;
	const char *v;

	v = reply_header(head, size, "Host", &n);
	CHECK(v != NULL && n == 3 && memcmp(v, "b c", 3) == 0,
	    "the first header of a name, without the blanks around it");
	v = reply_header(head, size, "host-name", &n);
	CHECK(v != NULL && n == 1 && *v == 'a', "in any case of letters");
	v = reply_header(head, size, "Empty", &n);
	CHECK(v != NULL && n == 0, "a header may be empty");
	CHECK(reply_header(head, size, "Bare", &n) == NULL,
	    "a line without a colon is no header");
	CHECK(reply_header(head, size, "Hos", &n) == NULL,
	    "half a name is no name");
	CHECK(reply_header(head, 0, "Host", &n) == NULL,
	    "an empty head has no header");
}

int
main(void)
{
	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
		test_row(&rows[i]);
	test_use_again();
	test_interim_is_not_begun();
	test_endless_head();
	test_header();
	return CHECK_DONE();
}
