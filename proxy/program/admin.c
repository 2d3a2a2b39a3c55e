/* admin.c - see admin.h. */
#include "proxy/program/admin.h"

#include <event2/buffer.h>
#include <event2/bufferevent.h>
#include <event2/event.h>
#include <event2/http.h>
#include <event2/keyvalq_struct.h>
#include <event2/listener.h>
#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>

#include "proxy/program/address.h"
#include "proxy/program/say.h"
#include "proxy/program/sender.h"

enum {
	HTTP_FORBIDDEN = 403, /* libevent has no word for it */
	HEAD_BYTES = 16384,
	BODY_BYTES = 65536, /* of a request; nobody wants it */
	TIMEOUT_S = 30,	    /* a client that sends or takes nothing */
	PAUSE_MS = 100	    /* until it accepts again */
};

struct admin {
	struct evhttp *http;
	const struct report_program *facts;
	const struct program_hands *hands;
	LIST_HEAD(, query) waiting;
};

typedef void print_fn(struct evbuffer *, const struct report_program *,
    const struct report *, size_t n);

/* A request that waits for the workers' reports. */
struct query {
	LIST_ENTRY(query) link;
	struct admin *admin;
	struct evhttp_request *request;
	const struct page *page;
};

struct page {
	const char *path, *type;
	print_fn *print;
};

static const struct page pages[] = {
	{ "/metrics", "text/plain; version=0.0.4; charset=utf-8",
	    report_metrics },
	{ "/status", "application/json", report_status },
	{ "/healthz", "text/plain", NULL },
};

/* Takes text.  To HEAD, libevent would send the body as well. */
static void
reply(struct evhttp_request *request, int status, const char *reason,
    const char *type, struct evbuffer *text)
{
	struct evkeyvalq *headers = evhttp_request_get_output_headers(request);
	size_t size = text != NULL ? evbuffer_get_length(text) : 0;
	char length[32];

	evhttp_add_header(headers, "Content-Type", type);
	if (evhttp_request_get_command(request) == EVHTTP_REQ_HEAD) {
		evutil_snprintf(length, sizeof length, "%zu", size);
		evhttp_add_header(headers, "Content-Length", length);
		if (size > 0)
			evbuffer_drain(text, size);
	}
	evhttp_send_reply(request, status, reason, text);
	if (text != NULL)
		evbuffer_free(text);
}

static void
reply_text(struct evhttp_request *request, int status, const char *reason)
{
	struct evbuffer *text = evbuffer_new();

	if (text != NULL)
		evbuffer_add_printf(text, "%s\n", reason);
	reply(request, status, reason, "text/plain", text);
}

static void
on_reports(void *arg, const struct report *reports, size_t n)
{
	struct query *q = arg;
	struct evbuffer *text = evbuffer_new();

	if (text != NULL) {
		q->page->print(text, q->admin->facts, reports, n);
		reply(q->request, HTTP_OK, "OK", q->page->type, text);
	} else {
		reply_text(q->request, HTTP_SERVUNAVAIL, "Out of memory");
	}
	LIST_REMOVE(q, link);
	free(q);
}

static void
ask(struct admin *a, struct evhttp_request *request, const struct page *page)
{
	struct query *q = malloc(sizeof *q);

	if (q == NULL) {
		reply_text(request, HTTP_SERVUNAVAIL, "Out of memory");
		return;
	}
	*q = (struct query){ .admin = a, .request = request, .page = page };
	LIST_INSERT_HEAD(&a->waiting, q, link);
	a->hands->collect(a->hands->arg, on_reports, q);
}

static const struct page *
page_of(struct evhttp_request *request)
{
	const struct evhttp_uri *uri = evhttp_request_get_evhttp_uri(request);
	const char *path = uri != NULL ? evhttp_uri_get_path(uri) : NULL;

	for (size_t i = 0; i < sizeof pages / sizeof *pages; i++)
		if (path != NULL && strcmp(path, pages[i].path) == 0)
			return &pages[i];
	return NULL;
}

/* What a lab's clients say.  Under .test (RFC 6761 6.2) no page can live. */
#define LAB_HOST "closerace.test"

static bool
may_ask(const struct admin *a, struct evhttp_request *request)
{
	struct evkeyvalq *headers = evhttp_request_get_input_headers(request);
	struct bufferevent *peer = evhttp_connection_get_bufferevent(
	    evhttp_request_get_connection(request));
	const char *host = evhttp_find_header(headers, "Host");
	char here[ADDRESS_TEXT];
	const char *names[] = { here, a->facts->arguments->admin, LAB_HOST,
		NULL };

	address_of_socket(here, bufferevent_getfd(peer));
	return sender_names(host, names) &&
	    sender_is_same(evhttp_find_header(headers, "Origin"),
		evhttp_find_header(headers, "Sec-Fetch-Site"), host);
}

static void
on_request(struct evhttp_request *request, void *arg)
{
	const struct page *page = page_of(request);
	enum evhttp_cmd_type method = evhttp_request_get_command(request);
	struct admin *a = arg;

	if (!may_ask(a, request)) {
		reply_text(request, HTTP_FORBIDDEN, "Forbidden");
	} else if (page == NULL) {
		reply_text(request, HTTP_NOTFOUND, "Not Found");
	} else if (method != EVHTTP_REQ_GET && method != EVHTTP_REQ_HEAD) {
		evhttp_add_header(evhttp_request_get_output_headers(request),
		    "Allow", "GET, HEAD");
		reply_text(request, HTTP_BADMETHOD, "Method Not Allowed");
	} else if (page->print != NULL) {
		ask(a, request, page);
	} else if (a->facts->draining) {
		reply_text(request, HTTP_SERVUNAVAIL, "Draining");
	} else {
		reply_text(request, HTTP_OK, "OK");
	}
}

/* ---------------------------------------------------------------- accepting */

static void
on_pause_over(evutil_socket_t fd, short what, void *listener)
{
	evconnlistener_enable(listener);
}

/* Where no descriptor is left the listener would spin. */
static void
on_accept_failed(struct evconnlistener *listener, void *http)
{
	struct timeval pause = { .tv_usec = PAUSE_MS * 1000 };

	if (event_base_once(evconnlistener_get_base(listener), -1, EV_TIMEOUT,
		on_pause_over, listener, &pause) == 0)
		evconnlistener_disable(listener);
}

struct admin *
admin_new(struct event_base *base, int fd, const struct report_program *facts,
    const struct program_hands *hands)
{
	struct admin *a = calloc(1, sizeof *a);
	struct evhttp_bound_socket *bound = NULL;

	if (a == NULL)
		return NULL;
	a->facts = facts;
	a->hands = hands;
	a->http = evhttp_new(base);
	if (a->http != NULL && evutil_make_socket_nonblocking(fd) == 0)
		bound = evhttp_accept_socket_with_handle(a->http, fd);
	if (bound == NULL) {
		admin_free(a);
		return NULL;
	}
	evconnlistener_set_error_cb(
	    evhttp_bound_socket_get_listener(bound), on_accept_failed);
	evhttp_set_gencb(a->http, on_request, a);
	/* All that libevent knows: it would answer the others with 501. */
	evhttp_set_allowed_methods(a->http,
	    EVHTTP_REQ_GET | EVHTTP_REQ_POST | EVHTTP_REQ_HEAD |
		EVHTTP_REQ_PUT | EVHTTP_REQ_DELETE | EVHTTP_REQ_OPTIONS |
		EVHTTP_REQ_TRACE | EVHTTP_REQ_CONNECT | EVHTTP_REQ_PATCH);
	evhttp_set_max_headers_size(a->http, HEAD_BYTES);
	evhttp_set_max_body_size(a->http, BODY_BYTES);
	evhttp_set_timeout(a->http, TIMEOUT_S);
	return a;
}

void
admin_free(struct admin *a)
{
	struct query *q;

	if (a == NULL)
		return;
	while ((q = LIST_FIRST(&a->waiting)) != NULL) {
		reply_text(q->request, HTTP_SERVUNAVAIL, "Ending");
		LIST_REMOVE(q, link);
		free(q);
	}
	if (a->http != NULL)
		evhttp_free(a->http);
	free(a);
}
