/* worker.c - see worker.h. */
#include "proxy/program/worker.h"

#include <errno.h>
#include <event2/buffer.h>
#include <event2/event.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "proxy/program/log.h"
#include "proxy/program/say.h"

struct worker {
	const struct arguments *arguments;
	struct proxy *proxy;
	struct log *log; /* NULL: none is kept */
	struct counters counters;
	worker_over_fn *over;
	void *over_arg;
	bool draining;
	struct event *gone;  /* a session has ended while draining */
	struct event *limit; /* it drains for too long */
	unsigned tells;

	/* The client of each session's descriptor: once it is gone, the kernel
	 * does not tell any more. */
	char (*clients)[ADDRESS_PEER_TEXT];
	size_t n_clients;
};

static int64_t
wall_us(void)
{
	struct timespec t;

	clock_gettime(CLOCK_REALTIME, &t);
	return (int64_t)t.tv_sec * 1000000 + t.tv_nsec / 1000;
}

/* ---------------------------------------------------------------- watching */

static void
remember_client(struct worker *w, int fd)
{
	size_t n = w->n_clients;

	if ((size_t)fd >= n) {
		void *grown;

		while ((size_t)fd >= n)
			n = n == 0 ? 64 : n * 2;
		grown = realloc(w->clients, n * sizeof *w->clients);
		if (grown == NULL)
			return;
		w->clients = grown;
		w->n_clients = n;
	}
	address_of_peer(w->clients[fd], fd);
}

static const char *
client_of(const struct worker *w, int fd)
{
	return (size_t)fd < w->n_clients && w->clients[fd][0] != '\0'
	    ? w->clients[fd]
	    : NULL;
}

static void
log_done(struct worker *w, const struct proxy_event *e)
{
	const struct proxy_account *a = e->account;
	struct line_facts f = { .client = client_of(w, e->fd),
		.head = e->head,
		.head_size = e->head_size,
		.account = a };

	f.begun_us = wall_us() - (a->done_us - a->begun_us);
	if (a->n_attempts > 0)
		f.upstream = w->arguments->options.upstreams[a->upstream].text;
	log_exchange(w->log, &f);
}

static void
note_opened(struct worker *w, const struct proxy_event *e)
{
	if (strncmp(e->checkpoint, "upstream.", 9) == 0) {
		w->counters.n_upstreams++;
		return;
	}
	w->counters.n_sessions++;
	if (w->log != NULL)
		remember_client(w, e->fd);
}

static enum proxy_answer
watch(void *arg, const struct proxy_event *e)
{
	struct worker *w = arg;

	if (e->what == PROXY_OPENED)
		note_opened(w, e);
	if (e->what == PROXY_DONE) {
		counters_add(&w->counters, e->account);
		if (w->log != NULL)
			log_done(w, e);
	}
	if (e->what == PROXY_CLOSED && w->draining)
		event_active(w->gone, EV_TIMEOUT, 0);
	return PROXY_GO;
}

/* -------------------------------------------------------------------- life */

static void
say_for_libevent(int severity, const char *text)
{
	if (severity >= EVENT_LOG_WARN)
		say("%s", text);
}

/* Sockets here are edge-triggered. */
struct event_base *
worker_base(void)
{
	struct event_config *config = event_config_new();
	struct event_base *base = NULL;

	event_set_log_callback(say_for_libevent);
	if (config != NULL &&
	    event_config_require_features(config, EV_FEATURE_ET) == 0 &&
	    event_config_set_flag(config, EVENT_BASE_FLAG_IGNORE_ENV) == 0)
		base = event_base_new_with_config(config);
	if (config != NULL)
		event_config_free(config);
	if (base == NULL)
		say("no event base");
	else
		event_base_priority_init(base, LOG_PRIORITIES);
	return base;
}

static void
on_gone(evutil_socket_t fd, short what, void *arg)
{
	struct worker *w = arg;

	if (proxy_n_sessions(w->proxy) == 0)
		w->over(w->over_arg);
}

static void
on_limit(evutil_socket_t fd, short what, void *arg)
{
	struct worker *w = arg;

	say("%zu client connections were not done in time",
	    proxy_n_sessions(w->proxy));
	w->over(w->over_arg);
}

/* Returns: false, and says why. */
static bool
open_log(struct worker *w, struct event_base *base)
{
	const struct arguments *a = w->arguments;

	if (a->access_log == NULL)
		return true;
	w->log = log_open(base, a->access_log, a->log_format);
	if (w->log == NULL)
		say("--access-log: %s: %s", a->access_log, strerror(errno));
	return w->log != NULL;
}

struct worker *
worker_new(struct event_base *base, const struct arguments *a, int fd,
    worker_over_fn *over, void *over_arg)
{
	struct worker *w = calloc(1, sizeof *w);

	if (w != NULL) {
		w->arguments = a;
		w->over = over;
		w->over_arg = over_arg;
		w->counters.started_us = wall_us();
		w->gone = event_new(base, -1, 0, on_gone, w);
		w->limit = evtimer_new(base, on_limit, w);
		w->proxy = proxy_new(base, &a->options, NULL, watch, w);
	}
	if (w == NULL || w->gone == NULL || w->limit == NULL ||
	    w->proxy == NULL) {
		say("out of memory");
		close(fd);
	} else if (!open_log(w, base)) {
		close(fd);
	} else if (proxy_listen(w->proxy, fd) != 0) {
		say("--listen %s: %s", a->listen, strerror(errno));
	} else {
		/* Nobody watches what nobody asks for. */
		if (a->access_log != NULL || a->admin != NULL)
			w->tells =
			    PROXY_TELL(PROXY_OPENED) | PROXY_TELL(PROXY_DONE);
		proxy_tell_only(w->proxy, w->tells);
		return w;
	}
	worker_free(w);
	return NULL;
}

void
worker_drain(struct worker *w)
{
	struct timeval limit = { w->arguments->drain_ms / 1000,
		w->arguments->drain_ms % 1000 * 1000 };

	w->draining = true;
	proxy_tell_only(w->proxy, w->tells | PROXY_TELL(PROXY_CLOSED));
	proxy_drain(w->proxy);
	event_active(w->gone, EV_TIMEOUT, 0);
	if (w->arguments->drain_ms > 0)
		event_add(w->limit, &limit);
}

void
worker_reload(struct worker *w, const struct retry_list *list)
{
	const char *path = w->arguments->access_log;

	if (list != NULL)
		proxy_set_retry_list(w->proxy, list);
	if (w->log == NULL || strcmp(path, "-") == 0)
		return;
	if (log_reopen(w->log) == 0)
		say("access log %s: opened again", path);
	else
		say("access log %s: %s; it goes on in the old file", path,
		    strerror(errno));
}

static void
count_idle(void *arg, const struct proxy_pooled *c)
{
	uint64_t *n_idle = arg;

	n_idle[c->upstream]++;
}

void
worker_report(struct worker *w, struct report *r, struct evbuffer *text)
{
	r->answered = true;
	r->counters = w->counters;
	r->counters.n_sessions_open = proxy_n_sessions(w->proxy);
	r->counters.n_upstreams_open = proxy_n_upstreams(w->proxy);
	proxy_pool(w->proxy, count_idle, r->counters.n_idle);
	if (w->log != NULL) {
		log_flush(w->log);
		r->counters.n_lost = log_n_lost(w->log);
	}
	report_worker(text, w->proxy, w->arguments, w->draining);
	r->status_size = evbuffer_get_length(text);
	r->status = (const char *)evbuffer_pullup(text, -1);
}

void
worker_free(struct worker *w)
{
	if (w == NULL)
		return;
	proxy_free(w->proxy);
	log_close(w->log);
	if (w->gone != NULL)
		event_free(w->gone);
	if (w->limit != NULL)
		event_free(w->limit);
	free(w->clients);
	free(w);
}
