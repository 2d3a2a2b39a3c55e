/* metrics.c - report_metrics() of report.h.
 *
 * https://prometheus.io/docs/instrumenting/exposition_formats: all samples of a
 * name stand together, behind its HELP and TYPE.
 */
#include <event2/buffer.h>
#include <inttypes.h>

#include "proxy/program/report.h"

struct metrics {
	struct evbuffer *out;
	const struct report_program *program;
	const struct report *reports;
	size_t n;
};

static void
head(struct metrics *m, const char *name, const char *type, const char *help)
{
	evbuffer_add_printf(m->out,
	    "# HELP closerace_%s %s\n"
	    "# TYPE closerace_%s %s\n",
	    name, help, name, type);
}

/* The address of the n-th upstream, from 1; 0 is none. */
static const char *
upstream_of(const struct metrics *m, size_t n)
{
	return n > 0 ? m->program->arguments->options.upstreams[n - 1].text
		     : "none";
}

/* The next worker that has answered, from *i on.  NULL: no more. */
static const struct report *
next(const struct metrics *m, size_t *i)
{
	while (*i < m->n && !m->reports[*i].answered)
		++*i;
	return *i < m->n ? &m->reports[(*i)++] : NULL;
}

static void
requests(struct metrics *m)
{
	static const char *const classes[N_CLASSES] = { "none", "1xx", "2xx",
		"3xx", "4xx", "5xx" };
	size_t n_upstreams = m->program->arguments->options.n_upstreams;
	const struct report *r;
	const char *upstream;

	head(m, "requests_total", "counter",
	    "Exchanges that are over, by the backend asked last and the class"
	    " of the status sent.");
	for (size_t i = 0; (r = next(m, &i)) != NULL;)
		for (size_t u = 0; u <= n_upstreams; u++) {
			upstream = upstream_of(m, u);
			for (size_t c = 0; c < N_CLASSES; c++)
				evbuffer_add_printf(m->out,
				    "closerace_requests_total{worker=\"%d\","
				    "upstream=\"%s\",class=\"%s\"} %" PRIu64
				    "\n",
				    r->worker, upstream, classes[c],
				    r->counters.requests[u][c]);
		}
}

/* Most codes never occur. */
static void
codes(struct metrics *m)
{
	const struct report *r;

	head(m, "exchanges_total", "counter",
	    "Exchanges that are over, by who ended them early and while what"
	    " was going on; -- where nobody did.");
	for (size_t i = 0; (r = next(m, &i)) != NULL;)
		for (size_t who = 0; who < N_WHO; who++)
			for (size_t when = 0; when < N_WHEN; when++) {
				uint64_t n = r->counters.codes[who][when];

				if (n == 0 && (who > 0 || when > 0))
					continue;
				evbuffer_add_printf(m->out,
				    "closerace_exchanges_total{worker=\"%d\","
				    "code=\"%c%c\"} %" PRIu64 "\n",
				    r->worker, COUNTERS_WHO[who],
				    COUNTERS_WHEN[when], n);
			}
}

static void
durations(struct metrics *m)
{
	static const char *const bounds[N_BUCKETS] = {
#define X(text, us) text,
		COUNTERS_BUCKETS(X)
#undef X
	};
	const struct report *r;

	head(m, "request_duration_seconds", "histogram",
	    "From the request's first byte to the exchange's end.");
	for (size_t i = 0; (r = next(m, &i)) != NULL;) {
		uint64_t n = 0;

		for (size_t b = 0; b < N_BUCKETS; b++) {
			n += r->counters.buckets[b];
			evbuffer_add_printf(m->out,
			    "closerace_request_duration_seconds_bucket{"
			    "worker=\"%d\",le=\"%s\"} %" PRIu64 "\n",
			    r->worker, bounds[b], n);
		}
		evbuffer_add_printf(m->out,
		    "closerace_request_duration_seconds_sum{worker=\"%d\"}"
		    " %" PRIu64 ".%06" PRIu64 "\n"
		    "closerace_request_duration_seconds_count{worker=\"%d\"}"
		    " %" PRIu64 "\n",
		    r->worker, r->counters.total_us / 1000000,
		    r->counters.total_us % 1000000, r->worker, n);
	}
}

static void
idle(struct metrics *m)
{
	size_t n_upstreams = m->program->arguments->options.n_upstreams;
	const struct report *r;
	const char *upstream;

	head(m, "upstream_connections_idle", "gauge",
	    "Connections to the backend that lie in the pool.");
	for (size_t i = 0; (r = next(m, &i)) != NULL;)
		for (size_t u = 1; u <= n_upstreams; u++) {
			upstream = upstream_of(m, u);
			evbuffer_add_printf(m->out,
			    "closerace_upstream_connections_idle{worker=\"%d\","
			    "upstream=\"%s\"} %" PRIu64 "\n",
			    r->worker, upstream, r->counters.n_idle[u - 1]);
		}
}

/*	member		name				type	help	*/
#define PLAIN(X)                                                           \
	X(n_retries, "retries_total", "counter",                           \
	    "Requests sent again after something had been sent.")          \
	X(n_elsewhere, "elsewhere_total", "counter",                       \
	    "Attempts on another connection, nothing having been sent.")   \
	X(received, "received_bytes_total", "counter",                     \
	    "Bytes of request heads and content from clients.")            \
	X(sent, "sent_bytes_total", "counter", "Bytes sent to clients.")   \
	X(n_sessions, "client_connections_total", "counter",               \
	    "Connections accepted from clients.")                          \
	X(n_sessions_open, "client_connections_open", "gauge",             \
	    "Connections from clients that are open.")                     \
	X(n_upstreams, "upstream_connections_total", "counter",            \
	    "Connections opened to a backend.")                            \
	X(n_upstreams_open, "upstream_connections_open", "gauge",          \
	    "Connections to a backend that are open, idle ones included.") \
	X(n_lost, "access_log_lost_lines_total", "counter",                \
	    "Lines of the access log that could not be written.")

static void
plain(struct metrics *m)
{
	static const struct {
		size_t offset;
		const char *name, *type, *help;
	} rows[] = {
#define X(member, name, type, help) \
	{ offsetof(struct counters, member), name, type, help },
		PLAIN(X)
#undef X
	};
	const struct report *r;

	for (size_t row = 0; row < sizeof rows / sizeof *rows; row++) {
		head(m, rows[row].name, rows[row].type, rows[row].help);
		for (size_t i = 0; (r = next(m, &i)) != NULL;)
			evbuffer_add_printf(m->out,
			    "closerace_%s{worker=\"%d\"} %" PRIu64 "\n",
			    rows[row].name, r->worker,
			    *(const uint64_t *)((const char *)&r->counters +
				rows[row].offset));
	}
}

static void
attempts(struct metrics *m)
{
	const struct report *r;

	head(m, "attempts_total", "counter",
	    "Sendings of requests to a backend, by connection.");
	for (size_t i = 0; (r = next(m, &i)) != NULL;)
		evbuffer_add_printf(m->out,
		    "closerace_attempts_total{worker=\"%d\","
		    "connection=\"reused\"} %" PRIu64 "\n"
		    "closerace_attempts_total{worker=\"%d\","
		    "connection=\"fresh\"} %" PRIu64 "\n",
		    r->worker, r->counters.n_reused, r->worker,
		    r->counters.n_fresh);
}

static void
workers(struct metrics *m)
{
	const struct report *r;

	head(m, "worker_up", "gauge", "Has the worker answered?");
	for (size_t i = 0; i < m->n; i++)
		evbuffer_add_printf(m->out,
		    "closerace_worker_up{worker=\"%d\"} %d\n",
		    m->reports[i].worker, m->reports[i].answered);
	head(m, "worker_start_time_seconds", "gauge",
	    "When the worker started, since 1970.");
	for (size_t i = 0; (r = next(m, &i)) != NULL;)
		evbuffer_add_printf(m->out,
		    "closerace_worker_start_time_seconds{worker=\"%d\"}"
		    " %" PRId64 ".%03" PRId64 "\n",
		    r->worker, r->counters.started_us / 1000000,
		    r->counters.started_us / 1000 % 1000);
}

/* The program as a whole. */
static void
program(struct metrics *m)
{
	const struct report_program *p = m->program;

	head(m, "start_time_seconds", "gauge",
	    "When the program started, since 1970.");
	evbuffer_add_printf(m->out,
	    "closerace_start_time_seconds %" PRId64 ".%03" PRId64 "\n",
	    p->started_us / 1000000, p->started_us / 1000 % 1000);
	head(m, "draining", "gauge", "Is it about to end?");
	evbuffer_add_printf(m->out, "closerace_draining %d\n", p->draining);
	head(m, "retry_list_entries", "gauge", "Lines of the list in force.");
	evbuffer_add_printf(m->out, "closerace_retry_list_entries %zu\n",
	    p->arguments->options.retry_list.n);
	head(m, "retry_list_reloads_total", "counter",
	    "Times that SIGHUP had the retry list read again.");
	evbuffer_add_printf(m->out,
	    "closerace_retry_list_reloads_total{result=\"ok\"} %lu\n"
	    "closerace_retry_list_reloads_total{result=\"refused\"} %lu\n",
	    p->n_lists_read, p->n_lists_refused);
}

void
report_metrics(struct evbuffer *out, const struct report_program *p,
    const struct report *reports, size_t n)
{
	struct metrics m = { out, p, reports, n };

	program(&m);
	workers(&m);
	requests(&m);
	codes(&m);
	plain(&m);
	attempts(&m);
	idle(&m);
	durations(&m);
}
