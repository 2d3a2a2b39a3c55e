#include "proxy/program/line.h"
#include "check.h"

#include <string.h>

static char out[LINE_SIZE + 1];

static struct proxy_account good = { .status = 200,
	.who = '-',
	.when = '-',
	.why = "",
	.n_attempts = 1,
	.reused = true,
	.received = 120,
	.sent = 3450,
	.begun_us = 1000000,
	.asked_us = 1000012,
	.ready_us = 1000015,
	.answered_us = 1001249,
	.done_us = 3001400 };

static const char *
write_line(enum line_format format, const struct proxy_account *a,
    const char *head, size_t size)
{
	struct line_facts f = { .begun_us = 1764020732123456,
		.client = "127.0.0.1:51234",
		.upstream = a->n_attempts > 0 ? "10.0.0.1:80" : NULL,
		.head = head,
		.head_size = size,
		.account = a };
	size_t n = line_write(out, format, &f);

	out[n] = '\0';
	return out;
}

static const char *
of_head(enum line_format format, const char *head, size_t size)
{
	return write_line(format, &good, head, size);
}

static void
formats(void)
{
	static const char head[] = "GET /item HTTP/1.1\r\nHost: a\r\n\r\n";

	CHECK(strcmp(of_head(LINE_TEXT, head, sizeof head - 1),
		  "time=2025-11-24T21:45:32.123Z client=127.0.0.1:51234"
		  " upstream=10.0.0.1:80 status=200 code=-- attempts=1"
		  " retries=0 connection=reused received=120 sent=3450"
		  " head_ms=0.012 connect_ms=0.003 response_ms=1.234"
		  " total_ms=2001.400 request=\"GET /item HTTP/1.1\""
		  " why=\"\"\n") == 0,
	    "a text line has its fields in order");
	CHECK(strcmp(of_head(LINE_JSON, head, sizeof head - 1),
		  "{\"time\":\"2025-11-24T21:45:32.123Z\","
		  "\"client\":\"127.0.0.1:51234\","
		  "\"upstream\":\"10.0.0.1:80\",\"status\":200,"
		  "\"code\":\"--\",\"attempts\":1,\"retries\":0,"
		  "\"connection\":\"reused\",\"received\":120,"
		  "\"sent\":3450,\"head_ms\":0.012,\"connect_ms\":0.003,"
		  "\"response_ms\":1.234,\"total_ms\":2001.400,"
		  "\"request\":\"GET /item HTTP/1.1\",\"why\":\"\"}\n") == 0,
	    "a JSON line has the same under the same names");
}

static void
nothing(void)
{
	struct proxy_account none = { .who = 'P',
		.when = 'R',
		.why = "half a request",
		.begun_us = 5,
		.done_us = 5 };
	struct proxy_account again = good;

	CHECK(strstr(write_line(LINE_TEXT, &none, "", 0),
		  "upstream=- status=- code=PR attempts=0 retries=0"
		  " connection=- received=0 sent=0 head_ms=- connect_ms=-"
		  " response_ms=- total_ms=0.000 request=-"
		  " why=\"half a request\"\n") != NULL,
	    "what was not reached is a dash");
	CHECK(strstr(write_line(LINE_JSON, &none, "", 0),
		  "\"upstream\":null,\"status\":null,\"code\":\"PR\","
		  "\"attempts\":0,\"retries\":0,\"connection\":null,"
		  "\"received\":0,\"sent\":0,\"head_ms\":null,"
		  "\"connect_ms\":null,\"response_ms\":null,"
		  "\"total_ms\":0.000,\"request\":null,") != NULL,
	    "and null in JSON");
	again.ready_us = again.answered_us + 1;
	CHECK(strstr(write_line(LINE_TEXT, &again, "", 0), "response_ms=- ") !=
		NULL,
	    "an answer older than the attempt is not this attempt's");
	again = good;
	again.reused = false;
	CHECK(strstr(write_line(LINE_TEXT, &again, "", 0),
		  " connection=fresh ") != NULL,
	    "a connection may be fresh");
}

/* Every byte that a request line may begin or go on with. */
static void
escapes(void)
{
	char wanted[64], c[3] = "a";
	int n_bad = 0;

	for (int i = 0; i < 256; i++) {
		bool plain = i >= ' ' && i <= '~' && i != '"' && i != '\\';

		if (i == '\r' || i == '\n')
			continue;
		c[1] = (char)i;
		if (plain)
			snprintf(wanted, sizeof wanted, "\"a%c\"", i);
		else
			snprintf(wanted, sizeof wanted, "\"a\\x%02x\"", i);
		n_bad += strstr(of_head(LINE_TEXT, c, 2), wanted) == NULL;
		if (!plain)
			snprintf(wanted, sizeof wanted, "\"a\\u00%02x\"", i);
		n_bad += strstr(of_head(LINE_JSON, c, 2), wanted) == NULL;
	}
	CHECK(n_bad == 0, "every byte but the plain ones is escaped");
	CHECK(strstr(of_head(LINE_TEXT, "GET /\nforged", 12),
		  "request=\"GET /\" why") != NULL,
	    "a line feed ends the request line");
	CHECK(strstr(of_head(LINE_TEXT, "GET /\rforged", 12),
		  "request=\"GET /\" why") != NULL,
	    "so does a carriage return");
}

static void
sizes(void)
{
	static char head[100000], why[1000];
	struct proxy_account worst = good;

	for (int format = LINE_TEXT; format <= LINE_JSON; format++) {
		const char *line, *request;
		size_t n;

		memset(head, 'x', sizeof head);
		line = of_head(
		    (enum line_format)format, head, LINE_REQUEST_MAX - 3);
		CHECK(strstr(line, "...") == NULL,
		    "a request line of the greatest size is whole");
		line = of_head((enum line_format)format, head, sizeof head);
		request = strstr(line, "xxx");
		n = strspn(request, "x");
		CHECK(n == LINE_REQUEST_MAX - 3 &&
			strncmp(request + n, "...\"", 4) == 0,
		    "a longer one is cut, and that shows");
		memset(head, '"', sizeof head);
		memset(why, 1, sizeof why - 1);
		worst.why = why;
		worst.status = 2147483647;
		worst.n_attempts = worst.n_retries = 4294967295U;
		worst.received = worst.sent = SIZE_MAX;
		worst.begun_us = 1;
		worst.asked_us = 4000000000000000000;
		worst.ready_us = 8000000000000000000;
		worst.answered_us = worst.done_us = INT64_MAX;
		line = write_line(
		    (enum line_format)format, &worst, head, sizeof head);
		n = strlen(line);
		CHECK(n <= LINE_SIZE && line[n - 1] == '\n' &&
			strchr(line, '\n') == line + n - 1,
		    "whatever the facts, a line is a line (%zu bytes)", n);
	}
}

static void
times(void)
{
	char text[LINE_TIME_SIZE];

	CHECK(line_write_time(text, 0) == 24 &&
		strcmp(text, "1970-01-01T00:00:00.000Z") == 0,
	    "the epoch");
	line_write_time(text, 1709251199999999);
	CHECK(strcmp(text, "2024-02-29T23:59:59.999Z") == 0,
	    "a leap day, to its last millisecond");
}

int
main(void)
{
	formats();
	nothing();
	escapes();
	sizes();
	times();
	return CHECK_DONE();
}
