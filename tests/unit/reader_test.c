/* Both readers and the exchange between them, in pieces of every size. */
#include "proxy/exchange.h"
#include "check.h"

#include <stdlib.h>
#include <string.h>

enum { HEAD_BYTES = 200 };

static struct proxy_options options;

static struct exchange *
new_exchange(void)
{
	struct exchange *x = calloc(1, sizeof *x);

	if (x == NULL)
		abort();
	return x;
}

/* Read one request from text in pieces; the exchange is left begun.  Returns: 0
 * or the status it is refused with, -1 when more is needed. */
static int
ask(struct exchange *x, const char *text, size_t size, size_t piece)
{
	struct request_reader *r = &x->reader;
	enum request_progress progress;
	size_t at = 0, n, used;
	bool begun = false, whole = false, has_head = false;
	unsigned n_empty = 0;
	const char *why = "";
	int status = 0;

	while (at < size) {
		n = size - at < piece ? size - at : piece;
		buffer_append(&r->in, text + at, n);
		at += n;
		if (!begun && !request_reader_begin(r, &n_empty))
			continue;
		if (!begun)
			exchange_reset(x);
		begun = true;
		if (!has_head) {
			progress =
			    request_reader_head(r, HEAD_BYTES, &status, &why);
			if (progress == REQUEST_BAD)
				return status;
			if (progress != REQUEST_HEAD)
				continue;
			has_head = true;
			status = exchange_begin(x, &options, &why);
			if (status != 0)
				return status;
			exchange_attempt(x, true, NULL, 1);
		}
		if (whole)
			continue;
		progress = request_reader_body(r, x, &used, &status, &why);
		if (progress == REQUEST_BAD)
			return status;
		whole = progress == REQUEST_WHOLE;
	}
	return whole ? 0 : -1;
}

static bool
is(const struct buffer *b, const char *text)
{
	return buffer_size(b) == strlen(text) &&
	    memcmp(buffer_bytes(b), text, strlen(text)) == 0;
}

static void
requests(void)
{
	static const char text[] =
	    "\r\nPOST /p HTTP/1.1\r\nHost: t\r\nTransfer-Encoding: chunked"
	    "\r\n\r\nA;e=\"f\"\r\n0123456789\r\n1\r\n!\r\n0\r\nT: v\r\n\r\n"
	    "GET /";
	size_t failures = 0, sizes = sizeof text - 1;

	for (size_t piece = 1; piece <= sizes; piece++) {
		struct exchange *x = new_exchange();
		const char *up;
		size_t body = 0;

		failures += ask(x, text, sizes, piece) != 0;
		failures += !is(&x->reader.in, "GET /");
		buffer_append(&x->up, "", 1);
		up = strstr(buffer_bytes(&x->up), "\r\n\r\n");
		for (const char *c = up; *c; c++)
			body += strchr("0123456789!", *c) != NULL;
		/* Framed anew: the digits of chunk sizes count too. */
		failures += body < 12 || strstr(up, "e=") != NULL;
		failures +=
		    strcmp(up + strlen(up) - 11, "0\r\nT: v\r\n\r\n") != 0;
		exchange_free(x);
	}
	CHECK(failures == 0, "a chunked request in %zu sizes of pieces", sizes);
}

static void
cut_requests(void)
{
	static const char text[] =
	    "POST /p HTTP/1.1\r\nHost: t\r\nContent-Length: 4\r\n\r\nabcd";
	size_t failures = 0;

	for (size_t size = 0; size < sizeof text - 1; size++) {
		struct exchange *x = new_exchange();

		failures += ask(x, text, size, 1000) != -1 || x->whole;
		exchange_free(x);
	}
	CHECK(failures == 0, "a request cut anywhere is never whole");
}

/* Read a response to a GET in pieces; FIN follows. */
static enum response_progress
answer(struct exchange *x, const char *ask_text, const char *text, size_t size,
    size_t piece)
{
	struct response_reader *r = &x->answer;
	enum response_progress progress = RESPONSE_MORE;
	bool begun = false;

	ask(x, ask_text, strlen(ask_text), 1000);
	exchange_was_sent(x, buffer_size(&x->up));
	for (size_t at = 0; at < size && progress == RESPONSE_MORE;) {
		size_t n = size - at < piece ? size - at : piece;

		buffer_append(&r->in, text + at, n);
		at += n;
		if (!begun) {
			progress = response_reader_look(r, x, HEAD_BYTES);
			if (progress != RESPONSE_BEGINS)
				continue;
			begun = true;
		}
		progress = response_reader_read(r, x, HEAD_BYTES);
	}
	if (progress == RESPONSE_MORE && begun)
		progress = response_reader_finish(r, x);
	return progress;
}

#define ASK    "GET / HTTP/1.1\r\nHost: t\r\n\r\n"
#define ASK_10 "GET / HTTP/1.0\r\n\r\n"

static void
responses(void)
{
	static const char text[] =
	    "HTTP/1.1 103 Early\r\nA: b\r\n\r\nHTTP/1.1 200 OK\r\n"
	    "Content-Length: 5\r\n\r\nhello";
	size_t failures = 0, sizes = sizeof text - 1;

	for (size_t piece = 1; piece <= sizes; piece++) {
		struct exchange *x = new_exchange();

		failures +=
		    answer(x, ASK, text, sizes, piece) != RESPONSE_WHOLE;
		failures += !is(&x->down,
		    "HTTP/1.1 103 Early\r\nA: b\r\nVia: 1.1 closerace\r\n\r\n"
		    "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n"
		    "Via: 1.1 closerace\r\n\r\nhello");
		failures += x->n_interim_bytes != 28 || x->close;
		exchange_free(x);
	}
	CHECK(failures == 0, "interim and final in %zu sizes of pieces", sizes);
}

static void
cut_responses(void)
{
	static const char *const texts[] = {
		"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello",
		"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
		"3\r\nabc\r\n2\r\nde\r\n0\r\nT: v\r\n\r\n",
	};

	for (size_t i = 0; i < 2; i++) {
		size_t failures = 0;

		for (size_t size = 0; size < strlen(texts[i]); size++) {
			struct exchange *x = new_exchange();

			failures +=
			    answer(x, ASK, texts[i], size, 7) != RESPONSE_MORE;
			buffer_append(&x->down, "", 1);
			failures +=
			    strstr(buffer_bytes(&x->down), "\r\n0\r\n") != NULL;
			exchange_free(x);
		}
		CHECK(failures == 0,
		    "a response cut anywhere is not made whole (%zu)", i);
	}
}

static void
close_delimited(void)
{
	static const char text[] = "HTTP/1.1 200 OK\r\n\r\nhello";
	struct exchange *x = new_exchange();

	CHECK(answer(x, ASK, text, sizeof text - 1, 99) == RESPONSE_WHOLE &&
		!x->close && x->chunked,
	    "FIN ends a close-delimited response; HTTP/1.1 gets chunks");
	exchange_free(x);
	x = new_exchange();
	CHECK(answer(x, ASK_10, text, sizeof text - 1, 99) == RESPONSE_WHOLE &&
		x->close && x->ends_by_close && !x->chunked,
	    "HTTP/1.0 gets the close");
	exchange_free(x);
	x = new_exchange();
	CHECK(answer(x, ASK, text, 17, 99) == RESPONSE_MORE,
	    "half a head is no response");
	exchange_free(x);
}

static void
what_is_kept(void)
{
	static const char text[] =
	    "PUT / HTTP/1.1\r\nHost: t\r\nContent-Length: 6\r\n\r\nab";
	struct exchange *x = new_exchange();
	size_t n, whole;

	options.replay_bytes = 4;
	ask(x, text, sizeof text - 1, 1000);
	exchange_unsent(x, &whole);
	exchange_was_sent(x, whole);
	CHECK(x->facts.replayable && exchange_unsent(x, &n) && n == 0,
	    "what was sent is kept for another attempt");
	exchange_attempt(x, false, NULL, 2);
	exchange_unsent(x, &n);
	CHECK(n == whole, "which begins with the first byte");
	exchange_was_sent(x, n);
	exchange_add_body(x, "cd", 2);
	CHECK(x->facts.replayable, "as much body as replay_bytes is kept");
	exchange_add_body(x, "ef", 2);
	exchange_unsent(x, &n);
	CHECK(!x->facts.replayable && n == 4, "more is not");
	exchange_was_sent(x, 4);
	CHECK(buffer_size(&x->up) == 0, "then nothing stays behind");
	exchange_free(x);
}

static void
taking_back(void)
{
	static const char text[] = "HTTP/1.1 103 Early\r\n\r\n"
				   "HTTP/1.1 200 OK\r\nContent-Length: 5"
				   "\r\n\r\nhe";
	struct exchange *x = new_exchange();
	size_t interim;

	answer(x, ASK, text, sizeof text - 1, 1000);
	interim = x->down_interim;
	exchange_was_given(x, interim - 1);
	CHECK(!x->final_given && x->down_interim == 1,
	    "given an interim response, the client has no final one");
	exchange_withdraw(x);
	CHECK(is(&x->down, "\n"), "the final one can be taken back");
	exchange_free(x);
	x = new_exchange();
	answer(x, ASK, text, sizeof text - 1, 1000);
	exchange_was_given(x, interim + 1);
	CHECK(x->final_given, "after its first byte it cannot");
	exchange_free(x);
}

static void
long_heads(void)
{
	char text[400];
	struct exchange *x = new_exchange();
	size_t n = (size_t)sprintf(text, "HTTP/1.1 200 OK\r\nA: ");

	memset(text + n, 'x', sizeof text - n);
	CHECK(answer(x, ASK, text, sizeof text, 99) == RESPONSE_INVALID &&
		strcmp(x->invalid, "a response head that is too long") == 0,
	    "%s", x->invalid);
	exchange_free(x);
	x = new_exchange();
	text[9] = '1';
	CHECK(answer(x, ASK, text, sizeof text, 99) == RESPONSE_INVALID,
	    "nor may an interim one be");
	exchange_free(x);
}

int
main(void)
{
	proxy_options_init(&options);
	requests();
	cut_requests();
	responses();
	cut_responses();
	close_delimited();
	what_is_kept();
	taking_back();
	long_heads();
	return CHECK_DONE();
}
