/* status.c - report_status() and report_worker() of report.h. */
#include <event2/buffer.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "proxy/program/report.h"

/* A JSON string.  Bytes above 0x7e are taken for Latin-1, so that whatever a
 * file is called gives valid JSON. */
static void
add_string(struct evbuffer *out, const char *text)
{
	evbuffer_add_printf(out, "\"");
	for (; *text != '\0'; text++) {
		unsigned char c = (unsigned char)*text;

		if (c < ' ' || c > '~' || c == '"' || c == '\\')
			evbuffer_add_printf(out, "\\u%04x", c);
		else
			evbuffer_add(out, text, 1);
	}
	evbuffer_add_printf(out, "\"");
}

/* A value as it is typed: a number, a truth, else a word. */
static void
add_value(struct evbuffer *out, const char *text)
{
	if (*text >= '0' && *text <= '9' &&
	    strspn(text, "0123456789") == strlen(text))
		evbuffer_add_printf(out, "%ld", strtol(text, NULL, 10));
	else if (strcmp(text, "true") == 0 || strcmp(text, "false") == 0)
		evbuffer_add_printf(out, "%s", text);
	else
		add_string(out, text);
}

static void
add_upstreams(struct evbuffer *out, const struct proxy_options *o)
{
	evbuffer_add_printf(out, "\"upstream\":[");
	for (size_t i = 0; i < o->n_upstreams; i++)
		evbuffer_add_printf(
		    out, "%s\"%s\"", i > 0 ? "," : "", o->upstreams[i].text);
	evbuffer_add_printf(out, "]");
}

static void
add_file(struct evbuffer *out, const char *name, const char *path)
{
	evbuffer_add_printf(out, ",\n\"%s\":", name);
	if (path != NULL)
		add_string(out, path);
	else
		evbuffer_add_printf(out, "null");
}

/* The options in force, under the library's names. */
static void
add_options(struct evbuffer *out, const struct arguments *a)
{
	struct proxy_option option;
	char value[64];

	evbuffer_add_printf(out, "\"options\":{\n");
	add_upstreams(out, &a->options);
	for (size_t i = 0; proxy_options_describe(i, &option) == 0; i++) {
		proxy_options_value(&a->options, i, value);
		if (*value == '\0')
			continue; /* a list */
		evbuffer_add_printf(out, ",\n\"%s\":", option.name);
		add_value(out, value);
	}
	add_file(out, "retry_list", a->retry_list);
	add_file(out, "listen", a->listen);
	add_file(out, "admin", a->admin);
	add_file(out, "access_log", a->access_log);
	evbuffer_add_printf(out,
	    ",\n\"log_format\":\"%s\",\n\"workers\":%d,\n\"drain_ms\":%d}",
	    a->log_format == LINE_JSON ? "json" : "text", a->n_workers,
	    a->drain_ms);
}

void
report_status(struct evbuffer *out, const struct report_program *p,
    const struct report *reports, size_t n)
{
	char started[LINE_TIME_SIZE];
	struct timespec now;

	line_write_time(started, p->started_us);
	clock_gettime(CLOCK_REALTIME, &now);
	evbuffer_add_printf(out,
	    "{\"version\":\"%s\",\n\"pid\":%ld,\n\"started\":\"%s\",\n"
	    "\"uptime_s\":%.3f,\n\"listening\":\"%s\",\n\"draining\":%s,\n"
	    "\"retry_list_entries\":%zu,\n",
	    CLOSERACE_VERSION, (long)getpid(), started,
	    (double)now.tv_sec + (double)now.tv_nsec / 1e9 -
		(double)p->started_us / 1e6,
	    p->listening, p->draining ? "true" : "false",
	    p->arguments->options.retry_list.n);
	add_options(out, p->arguments);
	evbuffer_add_printf(out, ",\n\"workers\":[");
	for (size_t i = 0; i < n; i++) {
		const struct report *r = &reports[i];

		evbuffer_add_printf(out,
		    "%s\n{\"worker\":%d,\"pid\":%ld,\"answered\":%s",
		    i > 0 ? "," : "", r->worker, (long)r->pid,
		    r->answered ? "true" : "false");
		if (r->answered) {
			evbuffer_add(out, ",", 1);
			evbuffer_add(out, r->status, r->status_size);
		}
		evbuffer_add(out, "}", 1);
	}
	evbuffer_add_printf(out, "\n]}\n");
}

/* ----------------------------------------------------------- of a worker */

struct pool_list {
	struct evbuffer *out;
	const struct proxy_options *options;
	size_t upstream, n; /* whose list it is, and what is in it */
};

static void
add_pooled(void *arg, const struct proxy_pooled *c)
{
	struct pool_list *l = arg;

	if (c->upstream != l->upstream)
		return;
	evbuffer_add_printf(l->out,
	    "%s{\"serial\":%lu,\"uses\":%u,\"port\":%d}", l->n++ > 0 ? "," : "",
	    c->serial, c->n_uses, address_port(c->fd));
}

void
report_worker(struct evbuffer *out, const struct proxy *proxy,
    const struct arguments *a, bool draining)
{
	struct pool_list list = { out, &a->options, 0, 0 };

	evbuffer_add_printf(out,
	    "\"draining\":%s,\"client_connections\":%zu,"
	    "\"upstream_connections\":%zu,\"pool\":[",
	    draining ? "true" : "false", proxy_n_sessions(proxy),
	    proxy_n_upstreams(proxy));
	for (size_t i = 0; i < a->options.n_upstreams; i++) {
		evbuffer_add_printf(out, "%s\n {\"upstream\":\"%s\",\"idle\":[",
		    i > 0 ? "," : "", a->options.upstreams[i].text);
		list.upstream = i;
		list.n = 0;
		proxy_pool(proxy, add_pooled, &list);
		evbuffer_add_printf(out, "]}");
	}
	evbuffer_add_printf(out, "]");
}
