/* control.c - see control.h. */
#include "backend/control.h"

#include <event2/event.h>
#include <microhttpd.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define DRIVE_MAX 64
#define BODY_MAX  ((size_t)1 << 20)

struct control {
	struct backend *backend;
	struct MHD_Daemon *daemon;
	struct event *event;
};

/* ------------------------------------------------------------------ text -- */

struct text {
	char *at;
	size_t size, room;
	bool broken; /* out of memory */
};

static void
put_bytes(struct text *t, const char *bytes, size_t size)
{
	size_t room = t->room;
	char *grown;

	while (room < t->size + size + 1)
		room = room == 0 ? 4096 : room * 2;
	grown = room == t->room ? t->at : realloc(t->at, room);
	if (grown == NULL) {
		t->broken = true;
		return;
	}
	t->at = grown;
	t->room = room;
	memcpy(t->at + t->size, bytes, size);
	t->size += size;
	t->at[t->size] = '\0';
}

static void put(struct text *, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

static void
put(struct text *t, const char *format, ...)
{
	char line[256];
	va_list args;
	int n;

	va_start(args, format);
	n = vsnprintf(line, sizeof line, format, args);
	va_end(args);
	if (n > 0)
		put_bytes(t, line,
		    (size_t)n < sizeof line ? (size_t)n : sizeof line - 1);
}

/* A JSON string.  Bytes above 0x7f are taken for Latin-1, so that whatever
 * arrived gives valid JSON. */
static void
put_string(struct text *t, const char *key, const char *value)
{
	put(t, "\"%s\":\"", key);
	for (; *value != '\0'; value++) {
		unsigned char c = (unsigned char)*value;

		if (c == '"' || c == '\\')
			put(t, "\\%c", c);
		else if (c < ' ' || c > '~')
			put(t, "\\u%04x", c);
		else
			put_bytes(t, value, 1);
	}
	put(t, "\"");
}

static void
put_bool(struct text *t, const char *key, bool value)
{
	put(t, ",\"%s\":%s", key, value ? "true" : "false");
}

static void
put_attempt(struct text *t, const struct ledger_attempt *a)
{
	put(t, "{");
	put_string(t, "id", a->id);
	put(t, ",");
	put_string(t, "method", a->method);
	put(t, ",");
	put_string(t, "path", a->path);
	put(t, ",\"conn\":%u,\"request\":%u,\"unread\":%zu,\"read\":%zu",
	    a->conn, a->request, a->unread, a->read);
	put_bool(t, "whole", a->whole);
	put_bool(t, "after_end", a->after_end);
	put_bool(t, "unseen", a->unseen);
	put(t, ",\"executed\":%u,\"executed_max\":%u,\"answered\":%zu",
	    a->executed, a->executed_max, a->answered);
	put_bool(t, "answered_whole", a->answered_whole);
	put(t, ",\"mark\":%lu", a->mark);
	put_bool(t, "ended", a->ended);
	if (a->ended) {
		put(t, ",\"ended_on\":\"%s\",\"ending\":\"%s\"",
		    fault_point_name(a->ended_on),
		    fault_ending_name(a->ending));
		put_bool(t, "by_hand", a->by_hand);
	}
	if (a->server_ending != N_ENDINGS)
		put(t, ",\"server_close\":\"%s\",\"server_idle_ms\":%lld",
		    fault_ending_name(a->server_ending),
		    (long long)a->server_idle_ms);
	put(t, "}");
}

static void
put_ledger(struct text *t, const struct backend *b)
{
	const struct ledger *l = backend_ledger(b);

	put(t, "[");
	for (size_t i = 0; i < ledger_n_attempts(l); i++) {
		put(t, "%s\n", i > 0 ? "," : "");
		put_attempt(t, ledger_attempt(l, i));
	}
	put(t, "\n]\n");
}

static void
put_faults(struct text *t, const struct backend *b)
{
	char line[8 * FAULT_SAY_MAX];

	put(t, "[");
	for (size_t i = 0; i < backend_n_faults(b); i++) {
		fault_print(backend_fault(b, i), line, sizeof line);
		put(t, "%s\n{", i > 0 ? "," : "");
		put_string(t, "fault", line);
		put(t, ",\"fired\":%u}", backend_fault(b, i)->n_fired);
	}
	put(t, "\n]\n");
}

/* --------------------------------------------------------------- requests -- */

static enum MHD_Result
answer(struct MHD_Connection *mhd, unsigned status, const char *type,
    struct text *t)
{
	struct MHD_Response *r;
	enum MHD_Result queued;

	if (t->broken) {
		free(t->at);
		return MHD_NO;
	}
	r = MHD_create_response_from_buffer(
	    t->size, t->at, MHD_RESPMEM_MUST_FREE);
	if (r == NULL) {
		free(t->at);
		return MHD_NO;
	}
	MHD_add_response_header(r, "Content-Type", type);
	queued = MHD_queue_response(mhd, status, r);
	MHD_destroy_response(r);
	return queued;
}

/* Add all lines, or none. */
static unsigned
add_faults(struct backend *b, char *lines, struct text *reply)
{
	char error[256];
	struct fault f;
	char *line, *rest;

	for (int add = 0; add <= 1; add++) {
		char *copy = strdup(lines);

		if (copy == NULL)
			return 503;
		for (line = strtok_r(copy, "\r\n", &rest); line != NULL;
		     line = strtok_r(NULL, "\r\n", &rest)) {
			if (fault_parse(&f, line, error, sizeof error) != 0) {
				put(reply, "%s\n", error);
				free(copy);
				return 400;
			}
			if (add && backend_add_fault(b, &f) < 0)
				reply->broken = true;
		}
		free(copy);
	}
	put_faults(reply, b);
	return 200;
}

static enum MHD_Result
serve(struct control *c, struct MHD_Connection *mhd, const char *url,
    const char *method, struct text *body)
{
	struct text reply = { 0 };
	unsigned status = 200;
	bool faults = strcmp(url, "/faults") == 0;

	if (strcmp(url, "/ledger") == 0 && strcmp(method, "GET") == 0)
		put_ledger(&reply, c->backend);
	else if (faults && strcmp(method, "GET") == 0)
		put_faults(&reply, c->backend);
	else if (faults && strcmp(method, "DELETE") == 0) {
		backend_clear_faults(c->backend);
		put_faults(&reply, c->backend);
	} else if (faults && strcmp(method, "POST") == 0)
		status = add_faults(c->backend,
		    body->at != NULL ? body->at : (char[]){ "" }, &reply);
	else {
		status = 404;
		put(&reply, "GET /ledger; GET, POST or DELETE /faults\n");
	}
	return answer(mhd, status,
	    status == 200 ? "application/json" : "text/plain", &reply);
}

static enum MHD_Result
handle(void *arg, struct MHD_Connection *mhd, const char *url,
    const char *method, const char *version, const char *upload,
    size_t *upload_size, void **con_cls)
{
	struct text *body = *con_cls;

	if (body == NULL) {
		*con_cls = calloc(1, sizeof *body);
		return *con_cls != NULL ? MHD_YES : MHD_NO;
	}
	if (*upload_size > 0) {
		if (body->size + *upload_size > BODY_MAX)
			return MHD_NO;
		put_bytes(body, upload, *upload_size);
		*upload_size = 0;
		return body->broken ? MHD_NO : MHD_YES;
	}
	return serve(arg, mhd, url, method, body);
}

static void
on_completed(void *arg, struct MHD_Connection *mhd, void **con_cls,
    enum MHD_RequestTerminationCode why)
{
	struct text *body = *con_cls;

	if (body != NULL)
		free(body->at);
	free(body);
}

/* ------------------------------------------------------------------- life -- */

static unsigned
n_connections(const struct control *c)
{
	const union MHD_DaemonInfo *info =
	    MHD_get_daemon_info(c->daemon, MHD_DAEMON_INFO_CURRENT_CONNECTIONS);

	return info != NULL ? info->num_connections : 0;
}

/* A run gives back the descriptors of those who left; where none was left
 * before, only the next one accepts again. */
static void
drive(evutil_socket_t fd, short what, void *arg)
{
	struct control *c = arg;
	MHD_UNSIGNED_LONG_LONG ms = 0;
	int n_quiet = 0;

	for (int i = 0; i < DRIVE_MAX && n_quiet < 2; i++) {
		unsigned before = n_connections(c);

		MHD_run(c->daemon);
		n_quiet++;
		if (n_connections(c) != before ||
		    (MHD_get_timeout(c->daemon, &ms) == MHD_YES && ms == 0))
			n_quiet = 0;
	}
	if (n_quiet < 2)
		event_active(c->event, EV_READ, 0);
}

static void
ignore_log(void *arg, const char *format, va_list args)
{
}

struct control *
control_new(struct event_base *base, struct backend *backend, int fd)
{
	struct control *c = calloc(1, sizeof *c);
	const union MHD_DaemonInfo *info;

	if (c == NULL) {
		close(fd);
		return NULL;
	}
	c->backend = backend;
	c->daemon = MHD_start_daemon(MHD_USE_EPOLL | MHD_USE_ERROR_LOG, 0, NULL,
	    NULL, handle, c, MHD_OPTION_EXTERNAL_LOGGER, ignore_log, NULL,
	    MHD_OPTION_LISTEN_SOCKET, fd, MHD_OPTION_NOTIFY_COMPLETED,
	    on_completed, c, MHD_OPTION_END);
	if (c->daemon == NULL) {
		close(fd);
		free(c);
		return NULL;
	}
	info = MHD_get_daemon_info(c->daemon, MHD_DAEMON_INFO_EPOLL_FD);
	if (info != NULL)
		c->event = event_new(
		    base, info->epoll_fd, EV_READ | EV_PERSIST, drive, c);
	if (c->event == NULL || event_add(c->event, NULL) != 0) {
		control_free(c);
		return NULL;
	}
	return c;
}

void
control_free(struct control *c)
{
	if (c == NULL)
		return;
	if (c->event != NULL)
		event_free(c->event);
	MHD_stop_daemon(c->daemon);
	free(c);
}
