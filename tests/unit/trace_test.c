/* The timeline: what is kept, and how it reads. */
#include "harness/trace.h"

#include <stdbool.h>
#include <string.h>

#include "check.h"

static void
add(struct trace *t, size_t n)
{
	for (size_t i = 0; i < n; i++)
		trace_add(t, (int64_t)trace_seq(t), "client", 1, "sent", 0, "");
}

/* The entries kept are the newest, without a gap. */
static bool
is_whole(const struct trace *t)
{
	size_t n = trace_n(t);

	for (size_t i = 0; i < n; i++)
		if (trace_entry(t, i)->seq != trace_seq(t) - n + 1 + i ||
		    trace_entry(t, i)->time_ms + 1 !=
			(int64_t)trace_entry(t, i)->seq)
			return false;
	return true;
}

/* Around every size at which the ring grows, and where it turns. */
static void
test_ring(void)
{
	static const size_t sizes[] = { 1, 63, 64, 65, 127, 128, 129, 2048,
		TRACE_ROOM - 1, TRACE_ROOM, TRACE_ROOM + 1, 2 * TRACE_ROOM - 1,
		2 * TRACE_ROOM, 2 * TRACE_ROOM + 1 };

	for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
		struct trace *t = trace_new();
		size_t kept = sizes[i] < TRACE_ROOM ? sizes[i] : TRACE_ROOM;

		add(t, sizes[i]);
		CHECK(trace_seq(t) == sizes[i], "%zu entries are counted",
		    sizes[i]);
		CHECK(trace_n(t) == kept, "of %zu entries %zu are kept",
		    sizes[i], kept);
		CHECK(is_whole(t), "of %zu entries the newest are kept",
		    sizes[i]);
		trace_free(t);
	}
}

static void
test_empty(void)
{
	struct trace *t = trace_new();

	CHECK(trace_seq(t) == 0, "a new timeline is at 0");
	CHECK(trace_n(t) == 0, "a new timeline is empty");
	trace_free(t);
	trace_free(NULL);
}

static void
test_entry(void)
{
	struct trace *t = trace_new();
	const struct trace_entry *e;
	char longer[2 * TRACE_TEXT], line[200];

	memset(longer, 'x', sizeof longer - 1);
	longer[sizeof longer - 1] = '\0';
	trace_add(t, 60000, "conn", 2, "ended", 17, longer);
	e = trace_entry(t, 0);
	CHECK(strcmp(e->who, "conn") == 0 && e->n == 2 &&
		strcmp(e->what, "ended") == 0 && e->size == 17,
	    "an entry keeps who, what and how much");
	CHECK(strlen(e->text) == TRACE_TEXT - 1, "a long text is cut");
	trace_line(e, line, sizeof line);
	CHECK(strstr(line, "60000 ms") != NULL &&
		strstr(line, "conn 2") != NULL && strstr(line, "17 B") != NULL,
	    "a line tells time, actor and size (%s)", line);

	trace_add(t, 0, "client", 1, "eof", 0, "");
	trace_line(trace_entry(t, 1), line, sizeof line);
	CHECK(strstr(line, " B") == NULL, "no size where there is none");
	CHECK(strcmp(line + strlen(line) - 3, "eof") == 0,
	    "a line does not end in blanks (%s)", line);
	trace_line(e, line, 10);
	CHECK(strlen(line) == 9, "a line is cut at the size given");
	trace_free(t);
}

static void
test_snippet(void)
{
	char text[TRACE_TEXT], bytes[3 * TRACE_TEXT];

	memset(bytes, 'y', sizeof bytes);
	CHECK(strcmp(trace_snippet(text, "GET / HTTP/1.1\r\nHost: a\r\n", 25),
		  "GET / HTTP/1.1") == 0,
	    "a snippet is the first line");
	CHECK(strcmp(trace_snippet(text, "ab", 1), "a") == 0,
	    "a snippet does not read beyond the bytes");
	CHECK(strcmp(trace_snippet(text, "", 0), "") == 0,
	    "a snippet of nothing is empty");
	CHECK(strcmp(trace_snippet(text, "a\0\x1b\xc3\xa4~", 6), "a....~") == 0,
	    "a snippet can be printed (%s)", text);
	CHECK(
	    strlen(trace_snippet(text, bytes, sizeof bytes)) == TRACE_TEXT - 1,
	    "a long line is cut");
}

int
main(void)
{
	test_empty();
	test_ring();
	test_entry();
	test_snippet();
	return CHECK_DONE();
}
