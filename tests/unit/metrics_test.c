#include "proxy/program/report.h"
#include "check.h"

#include <event2/buffer.h>
#include <stdlib.h>
#include <string.h>

static struct arguments arguments;
static struct report_program program = { .arguments = &arguments,
	.listening = "127.0.0.1:80",
	.started_us = 1764020732123456,
	.n_lists_read = 3,
	.n_lists_refused = 1 };
static char text[1 << 20];

static const char *
print(void (*report)(struct evbuffer *, const struct report_program *,
	  const struct report *, size_t),
    const struct report *reports, size_t n)
{
	struct evbuffer *out = evbuffer_new();
	ev_ssize_t size;

	report(out, &program, reports, n);
	size = evbuffer_remove(out, text, sizeof text - 1);
	text[size] = '\0';
	evbuffer_free(out);
	return text;
}

/* Is this line there? */
static bool
says(const char *line)
{
	const char *at = text;
	size_t n = strlen(line);

	while ((at = strstr(at, line)) != NULL) {
		if ((at == text || at[-1] == '\n') && at[n] == '\n')
			return true;
		at++;
	}
	return false;
}

static void
add(struct counters *c, int status, const char *code, unsigned n_attempts,
    unsigned n_retries, int64_t us)
{
	struct proxy_account a = { .status = status,
		.who = code[0],
		.when = code[1],
		.n_attempts = n_attempts,
		.n_retries = n_retries,
		.n_reused = status == 200,
		.upstream = 1,
		.received = 10,
		.sent = 100,
		.begun_us = 7,
		.done_us = 7 + us };

	counters_add(c, &a);
}

static void
counting(void)
{
	struct counters c = { 0 };
	uint64_t n = 0;

	add(&c, 200, "--", 1, 0, 250);
	add(&c, 200, "--", 4, 1, 251);
	add(&c, 502, "UH", 2, 1, 30000000);
	add(&c, 400, "PR", 0, 0, 0);
	add(&c, 0, "CH", 1, 0, 1000);
	add(&c, 999, "\0\0", 1, 0, 1000);
	for (int i = 0; i < N_BUCKETS; i++)
		n += c.buckets[i];
	CHECK(n == 6 && c.buckets[0] == 2 && c.buckets[1] == 1 &&
		c.buckets[2] == 2 && c.buckets[N_BUCKETS - 1] == 1,
	    "a time that is the bound is below it");
	CHECK(c.total_us == 250 + 251 + 30000000 + 2000, "times add up");
	CHECK(c.n_retries == 2 && c.n_elsewhere == 2,
	    "what is neither first nor a retry went elsewhere");
	CHECK(c.n_reused == 2 && c.n_fresh == 7,
	    "every attempt rode a pooled connection or a fresh one");
	CHECK(c.requests[2][2] == 2 && c.requests[2][5] == 1 &&
		c.requests[2][0] == 2 && c.requests[0][4] == 1,
	    "by whom was asked and by class");
	CHECK(c.codes[0][0] == 3, "what is unknown is a dash");
	CHECK(c.received == 60 && c.sent == 600, "bytes add up");
}

static void
metrics(void)
{
	struct report reports[3] = { { .worker = 1, .answered = true },
		{ .worker = 2 }, { .worker = 3, .answered = true } };

	reports[2].counters.started_us = 1764020733000000;
	reports[2].counters.n_idle[1] = 7;
	add(&reports[2].counters, 200, "--", 1, 0, 1234567);
	add(&reports[2].counters, 502, "UH", 1, 0, 1);
	print(report_metrics, reports, 3);
	CHECK(says("closerace_worker_up{worker=\"1\"} 1") &&
		says("closerace_worker_up{worker=\"2\"} 0"),
	    "a worker that does not answer is said to");
	CHECK(
	    strstr(text, "total{worker=\"2\"") == NULL, "and has no counters");
	CHECK(says("closerace_requests_total{worker=\"3\","
		   "upstream=\"10.0.0.2:81\",class=\"5xx\"} 1") &&
		says("closerace_requests_total{worker=\"3\","
		     "upstream=\"none\",class=\"4xx\"} 0"),
	    "requests by worker, upstream and class");
	CHECK(says("closerace_exchanges_total{worker=\"3\",code=\"UH\"} 1") &&
		says("closerace_exchanges_total{worker=\"1\",code=\"--\"} 0"),
	    "exchanges by code");
	CHECK(says("closerace_request_duration_seconds_bucket{worker=\"3\","
		   "le=\"1\"} 1") &&
		says("closerace_request_duration_seconds_bucket{"
		     "worker=\"3\",le=\"2.5\"} 2") &&
		says("closerace_request_duration_seconds_bucket{"
		     "worker=\"3\",le=\"+Inf\"} 2") &&
		says("closerace_request_duration_seconds_sum{worker=\"3\"}"
		     " 1.234568") &&
		says("closerace_request_duration_seconds_count{worker=\"3\"}"
		     " 2"),
	    "buckets hold what is below them, too");
	CHECK(says("closerace_upstream_connections_idle{worker=\"3\","
		   "upstream=\"10.0.0.2:81\"} 7"),
	    "idle connections by upstream");
	CHECK(says("closerace_retry_list_reloads_total{result=\"ok\"} 3") &&
		says("closerace_retry_list_reloads_total{result=\"refused\"}"
		     " 1") &&
		says("closerace_start_time_seconds 1764020732.123") &&
		says("closerace_draining 0"),
	    "what is known of the program");
}

static bool
has(const char *part)
{
	return strstr(text, part) != NULL;
}

static void
status(void)
{
	struct report reports[2] = { { .worker = 1,
					 .pid = 12,
					 .answered = true,
					 .status = "\"pool\":[]",
					 .status_size = 9 },
		{ .worker = 2, .pid = 13 } };

	arguments.access_log = "/a\"\\\n\xe4";
	arguments.options.retries = 7;
	arguments.options.retry = RETRY_LISTED;
	print(report_status, reports, 2);
	CHECK(has("\"upstream\":[\"10.0.0.1:80\",\"10.0.0.2:81\"]"),
	    "the upstreams are a list");
	CHECK(has("\"retries\":7,\n") && has("\"retry\":\"listed\",\n") &&
		has("\"pool_size\":128,\n") &&
		has("\"persist_client\":true,\n"),
	    "options in force are numbers, words and truths");
	CHECK(has("\"access_log\":\"/a\\u0022\\u005c\\u000a\\u00e4\""),
	    "any name of a file is a JSON string");
	CHECK(has("{\"worker\":1,\"pid\":12,\"answered\":true,"
		  "\"pool\":[]},\n{\"worker\":2,\"pid\":13,"
		  "\"answered\":false}\n]}\n"),
	    "a worker tells its own part, or nothing");
}

int
main(void)
{
	char error[256];

	proxy_options_init(&arguments.options);
	proxy_options_set(
	    &arguments.options, "upstream", "10.0.0.1:80", error, sizeof error);
	proxy_options_set(
	    &arguments.options, "upstream", "10.0.0.2:81", error, sizeof error);
	counting();
	metrics();
	status();
	return CHECK_DONE();
}
