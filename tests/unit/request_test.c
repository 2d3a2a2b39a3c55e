#include "proxy/request.h"
#include "check.h"

#include <arpa/inet.h>
#include <string.h>

static struct request request;
static const char *why;

static int
read_head(const char *head)
{
	return request_read(&request, head, strlen(head), &why);
}

static void
facts(void)
{
	static const struct {
		const char *what, *head;
		bool idempotent, is_static, listed;
	} rows[] = {
		{ "GET", "GET / HTTP/1.1\r\nHost: t\r\n\r\n", true, true,
		    false },
		{ "HEAD", "HEAD / HTTP/1.1\r\nHost: t\r\n\r\n", true, true,
		    false },
		{ "GET with a query", "GET /?a HTTP/1.1\r\nHost: t\r\n\r\n",
		    true, false, false },
		{ "GET with a Cookie",
		    "GET / HTTP/1.1\r\nHost: t\r\ncookie: a\r\n\r\n", true,
		    false, false },
		{ "GET with Authorization",
		    "GET / HTTP/1.1\r\nHost: t\r\nAUTHORIZATION: a\r\n\r\n",
		    true, false, false },
		{ "GET with a body",
		    "GET / HTTP/1.1\r\nHost: t\r\nContent-Length: 1\r\n\r\n",
		    true, false, false },
		{ "GET with an empty body",
		    "GET / HTTP/1.1\r\nHost: t\r\nContent-Length: 0\r\n\r\n",
		    true, true, false },
		{ "OPTIONS", "OPTIONS * HTTP/1.1\r\nHost: t\r\n\r\n", true,
		    false, false },
		{ "TRACE", "TRACE / HTTP/1.1\r\nHost: t\r\n\r\n", true, false,
		    false },
		{ "PUT", "PUT / HTTP/1.1\r\nHost: t\r\n\r\n", true, false,
		    false },
		{ "DELETE", "DELETE / HTTP/1.1\r\nHost: t\r\n\r\n", true, false,
		    false },
		{ "POST", "POST / HTTP/1.1\r\nHost: t\r\n\r\n", false, false,
		    false },
		{ "PATCH", "PATCH / HTTP/1.1\r\nHost: t\r\n\r\n", false, false,
		    false },
		{ "get in lower case", "get / HTTP/1.1\r\nHost: t\r\n\r\n",
		    false, false, false },
		{ "POST with an Idempotency-Key",
		    "POST / HTTP/1.1\r\nHost: t\r\nIdempotency-Key: k\r\n\r\n",
		    false, false, true },
		{ "POST listed", "POST /pay/a/b HTTP/1.1\r\nHost: t\r\n\r\n",
		    false, false, true },
		{ "POST listed, with a query",
		    "POST /pay/a?b HTTP/1.1\r\nHost: t\r\n\r\n", false, false,
		    true },
		{ "POST listed, absolute",
		    "POST http://h/pay/a HTTP/1.1\r\nHost: h\r\n\r\n", false,
		    false, true },
		{ "POST with a key that Connection lists",
		    "POST / HTTP/1.1\r\nHost: t\r\nIdempotency-Key: k\r\n"
		    "Connection: idempotency-KEY\r\n\r\n",
		    false, false, false },
		{ "POST with a key, listed in front of it, in the second line",
		    "POST / HTTP/1.1\r\nHost: t\r\nConnection: a\r\n"
		    "connection: , b ,Idempotency-Key\r\n"
		    "Idempotency-Key: k\r\n\r\n",
		    false, false, false },
		{ "POST with a key, Connection lists another name",
		    "POST / HTTP/1.1\r\nHost: t\r\nIdempotency-Key: k\r\n"
		    "Connection: Idempotency\r\n\r\n",
		    false, false, true },
		{ "POST on the list, its key does not go on",
		    "POST /pay/a HTTP/1.1\r\nHost: t\r\n"
		    "Idempotency-Key: k\r\n"
		    "Connection: Idempotency-Key\r\n\r\n",
		    false, false, true },
		{ "GET with a Cookie that Connection lists",
		    "GET / HTTP/1.1\r\nHost: t\r\nCookie: a\r\n"
		    "Connection: cookie\r\n\r\n",
		    true, true, false },
		{ "GET with a Cookie that does, and Authorization that goes on",
		    "GET / HTTP/1.1\r\nHost: t\r\nCookie: a\r\n"
		    "Authorization: b\r\nConnection: cookie\r\n\r\n",
		    true, false, false },
		{ "GET whose Connection lists the length of its body",
		    "GET / HTTP/1.1\r\nHost: t\r\nContent-Length: 1\r\n"
		    "Connection: content-length\r\n\r\n",
		    true, false, false },
		{ "PATCH on the same path",
		    "PATCH /pay/a HTTP/1.1\r\nHost: t\r\n\r\n", false, false,
		    false },
		{ "PATCH, any method", "PATCH /any HTTP/1.1\r\nHost: t\r\n\r\n",
		    false, false, true },
		{ "POST with the path in its query",
		    "POST /?/any HTTP/1.1\r\nHost: t\r\n\r\n", false, false,
		    false },
	};
	struct proxy_options o;
	char error[256];

	proxy_options_init(&o);
	proxy_options_set(&o, "retry_list", "POST /pay/*", error, sizeof error);
	proxy_options_set(&o, "retry_list", "* /any", error, sizeof error);
	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
		int status = read_head(rows[i].head);
		struct request_facts f = request_facts(&request, &o);

		CHECK(status == 0 && f.idempotent == rows[i].idempotent &&
			f.is_static == rows[i].is_static &&
			f.listed == rows[i].listed && f.replayable,
		    "%s:%s%s%s", rows[i].what,
		    rows[i].idempotent ? " idempotent" : "",
		    rows[i].is_static ? " static" : "",
		    rows[i].listed ? " listed" : "");
	}
}

static void
connections(void)
{
	CHECK(read_head("GET / HTTP/1.1\r\nHost: t\r\n\r\n") == 0 &&
		request.keep_alive,
	    "HTTP/1.1 keeps alive");
	CHECK(read_head("GET / HTTP/1.1\r\nHost: t\r\n"
			"Connection: a, Close\r\n\r\n") == 0 &&
		!request.keep_alive,
	    "unless it says close, somewhere in the list");
	CHECK(read_head("GET / HTTP/1.0\r\n\r\n") == 0 && !request.keep_alive,
	    "HTTP/1.0 does not");
	CHECK(read_head("GET / HTTP/1.0\r\nConnection: Keep-Alive\r\n\r\n") ==
		    0 &&
		request.keep_alive,
	    "unless it says so");
	CHECK(read_head("POST / HTTP/1.1\r\nHost: t\r\n"
			"Expect: 100-Continue\r\n\r\n") == 0 &&
		request.expects_continue,
	    "Expect is seen");
	CHECK(
	    read_head("POST / HTTP/1.0\r\nExpect: 100-continue\r\n\r\n") == 0 &&
		!request.expects_continue,
	    "and ignored in HTTP/1.0");
	CHECK(read_head("POST / HTTP/1.1\r\nHost: t\r\nConnection: expect\r\n"
			"Expect: 100-continue\r\n\r\n") == 0 &&
		!request.expects_continue,
	    "one that Connection lists does not go on, so it is none");
}

static void
framings(void)
{
	CHECK(read_head("POST / HTTP/1.1\r\nHost: t\r\n\r\n") == 0 &&
		request.framing == FRAMING_NONE,
	    "no framing field: no body");
	CHECK(read_head("POST / HTTP/1.1\r\nHost: t\r\n"
			"Content-Length:\t12 \r\n\r\n") == 0 &&
		request.framing == FRAMING_LENGTH && request.length == 12,
	    "Content-Length");
	CHECK(read_head("POST / HTTP/1.1\r\nHost: t\r\n"
			"transfer-encoding: CHUNKED\r\n\r\n") == 0 &&
		request.framing == FRAMING_CHUNKED,
	    "chunked");
	CHECK(read_head("POST / HTTP/1.1\r\nHost: t\r\n"
			"Transfer-Encoding: chunked\r\n"
			"Transfer-Encoding: chunked\r\n\r\n") == 501,
	    "chunked twice");
	CHECK(read_head("POST / HTTP/1.1\r\nHost: t\r\nContent-Length: 1\r\n"
			"Transfer-Encoding: chunked\r\n\r\n") == 400,
	    "both: %s", why);
	CHECK(read_head("POST / HTTP/1.1\r\nHost: t\r\n"
			"Content-Length: 0x1\r\n\r\n") == 400,
	    "a number that is none: %s", why);
	CHECK(read_head("POST / HTTP/1.1\r\nHost: t\r\n"
			"Content-Length:\r\n\r\n") == 400,
	    "no number at all");
	CHECK(read_head("GET / HTTP/1.1\r\nHost: t\r\n a: b\r\n\r\n") == 400 &&
		strcmp(why, "a folded field line") == 0,
	    "%s", why);
	CHECK(read_head("GET / HTTP/1.1\r\nHost: a b\r\n\r\n") == 400,
	    "a space inside Host");
	CHECK(read_head("GET / HTTP/1.1\r\nHost:\r\n\r\n") == 0,
	    "an empty Host is one");
}

/* RFC 9110 7.6.2: OPTIONS and TRACE, no other method. */
static void
forwards(void)
{
	static const struct {
		const char *method, *fields;
		int status, forwards;
	} rows[] = {
		{ "OPTIONS", "", 0, -1 },
		{ "OPTIONS", "Max-Forwards: 0\r\n", 0, 0 },
		{ "TRACE", "max-forwards:  007 \r\n", 0, 7 },
		{ "TRACE", "Max-Forwards: 99999999999999999999999\r\n", 0,
		    REQUEST_FORWARDS_MAX },
		{ "TRACE", "Connection: max-forwards\r\nMax-Forwards: 0\r\n", 0,
		    0 },
		{ "TRACE", "Max-Forwards: 1\r\nMax-Forwards: 1\r\n", 400, 0 },
		{ "TRACE", "Max-Forwards: -1\r\n", 400, 0 },
		{ "OPTIONS", "Max-Forwards:\r\n", 400, 0 },
		{ "OPTIONS", "Max-Forwards: 1, 2\r\n", 400, 0 },
		{ "GET", "Max-Forwards: 0\r\n", 0, -1 },
		{ "POST", "Max-Forwards: x\r\n", 0, -1 },
		{ "options", "Max-Forwards: 0\r\n", 0, -1 },
	};
	char head[256];

	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
		snprintf(head, sizeof head,
		    "%s / HTTP/1.1\r\nHost: t\r\n%s\r\n", rows[i].method,
		    rows[i].fields);
		CHECK(read_head(head) == rows[i].status &&
			(rows[i].status != 0 ||
			    request.forwards == rows[i].forwards),
		    "%s with %.*s", rows[i].method,
		    (int)strcspn(rows[i].fields, "\r"), rows[i].fields);
	}
}

/* What a backend must never be sent: fields it would read differently. */
static void
rewriting(void)
{
	static const char head[] =
	    "POST / HTTP/1.0\r\nA: 1\r\nConnection: host, content-length, b\r\n"
	    "B: 2\r\nContent-Length: 3\r\nExpect: 100-continue\r\nHost: t\r\n"
	    "Proxy-Connection: close\r\nTE: trailers\r\n\r\n";
	const char *backend = "127.0.0.1:81";
	struct buffer out = { 0 };

	CHECK(read_head(head) == 0, "a head full of hops is fine");
	request_write(
	    &request, head, sizeof head - 1, backend, true, false, &out);
	buffer_append(&out, "", 1);
	CHECK(strcmp(buffer_bytes(&out),
		  "POST / HTTP/1.1\r\nA: 1\r\nContent-Length: 3\r\nHost: t\r\n"
		  "Connection: close\r\nVia: 1.0 closerace\r\n\r\n") == 0,
	    "Connection can remove neither Host nor Content-Length");
	buffer_truncate(&out, 0);
	read_head("GET / HTTP/1.0\r\n\r\n");
	request_write(&request, "GET / HTTP/1.0\r\n\r\n", 18, backend, false,
	    false, &out);
	buffer_append(&out, "", 1);
	CHECK(strcmp(buffer_bytes(&out),
		  "GET / HTTP/1.1\r\nHost: 127.0.0.1:81\r\n"
		  "Via: 1.0 closerace\r\n\r\n") == 0,
	    "a request without Host gets the backend's");
	buffer_free(&out);
}

/* Each byte at each place of a name and of a value: the check goes over eight
 * at once where it can. */
static bool
is_fine(const char *head, int size)
{
	bool fine = request_read(&request, head, (size_t)size, &why) == 0;
	size_t at = 0;

	/* Half a head is judged alike, line by line. */
	return fine == (head_check(head, (size_t)size - 2, &at) == NULL)
	    ? fine
	    : !fine;
}

static void
bytes_of_fields(void)
{
	static const char begin[] = "GET / HTTP/1.1\r\nHost: t\r\n";
	static const char token[] = "!#$%&'*+-.^_`|~";
	char head[128];
	unsigned wrong_names = 0, wrong_values = 0;

	for (int c = 1; c < 256; c++)
		for (int at = 0; at < 21; at++) {
			bool alnum = (c >= '0' && c <= '9') ||
			    (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
			bool in_name = alnum || strchr(token, c) != NULL;
			bool in_value = (c >= ' ' && c != 0x7f) || c == '\t';
			int n = sprintf(head, "%sx: abcdefghij%s\r\n\r\n",
			    begin, "klmnopqrstu");

			head[sizeof begin - 1 + 3 + at] = (char)c;
			wrong_values += is_fine(head, n) != in_value;
			n = sprintf(head, "%sabcdefghij%s: x\r\n\r\n", begin,
			    "klmnopqrstu");
			head[sizeof begin - 1 + at] = (char)c;
			/* A colon ends the name, and is none at its begin. */
			wrong_names += is_fine(head, n) !=
			    (in_name || (c == ':' && at > 0));
		}
	CHECK(wrong_values == 0, "a value may have all but control characters");
	CHECK(wrong_names == 0, "a name may have what a token has");
}

int
main(void)
{
	char many[2048] = "GET / HTTP/1.1\r\nHost: t\r\nConnection: a";

	facts();
	connections();
	framings();
	forwards();
	rewriting();
	bytes_of_fields();
	for (int i = 0; i < HEAD_LISTED_MAX; i++)
		strcat(many, ",b");
	strcat(many, "\r\n\r\n");
	CHECK(read_head(many) == 400, "%s", why);
	return CHECK_DONE();
}
