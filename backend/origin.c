/* origin.c - see origin.h.
 *
 * A *job* is one request.  It begins when libmicrohttpd has read the request
 * line, collects the body, and ends when libmicrohttpd says "completed".  A
 * delayed job is suspended in between; to give it up, it is resumed and its
 * handler returns MHD_NO.
 */
#include "backend/origin.h"

#include <microhttpd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "backend/follow.h"
#include "backend/resource.h"

/* One MHD_run() answers most requests; a body that is read in many chunks
 * needs many. */
#define DRIVE_MAX 64
/* Bytes in one chunk of /chunked/N: the same on every day and machine. */
#define CHUNK_SIZE 1024
/* Bytes of a body that is made in one piece. */
#define SMALL_SIZE 4096

struct origin {
	struct MHD_Daemon *daemon;
	struct backend_clock clock;
	struct ledger *ledger;
	int keep_alive_ms;
	struct origin_calls calls;
	struct sockaddr_un listener;
	socklen_t listener_size;
	struct origin_conn *connecting; /* during origin_connect() … */
	struct sockaddr_un from;	/* … from there */
	socklen_t from_size;
};

struct origin_conn {
	struct origin *origin;
	void *who; /* NULL: dropped */
	struct job *job;
	bool closed; /* by libmicrohttpd */
};

struct job {
	struct origin_conn *conn;
	struct MHD_Connection *mhd;
	char *target;
	struct resource resource;
	bool begun;
	bool suspended;
	bool given_up;
	bool no_body; /* the answer to a HEAD */
	bool too_big;
	struct origin_reply reply;
	char method[16];
	void *timer;
	uint64_t content_size, content_hash; /* of the request's body */
	char *body;			     /* … kept, for /echo */
	size_t body_size, body_room;
};

static void
ignore_log(void *arg, const char *format, va_list args)
{
}

/* Targets are taken as they are on the wire. */
static size_t
do_not_unescape(void *arg, struct MHD_Connection *mhd, char *text)
{
	return strlen(text);
}

/* ------------------------------------------------------------- answers ---- */

/* A body on its way out: the callback of /bytes and /chunked. */
struct stream {
	size_t size, chunk;
};

static ssize_t
read_stream(void *arg, uint64_t offset, char *to, size_t room)
{
	const struct stream *s = arg;
	size_t n = s->size - (size_t)offset;

	if (n == 0)
		return MHD_CONTENT_READER_END_OF_STREAM;
	if (n > room)
		n = room;
	if (n > s->chunk)
		n = s->chunk;
	resource_fill(to, (size_t)offset, n);
	return (ssize_t)n;
}

static struct MHD_Response *
stream_response(size_t size, enum resource_kind kind)
{
	bool sized = kind == RESOURCE_BYTES;
	struct stream *s = malloc(sizeof *s);
	struct MHD_Response *r;

	if (s == NULL)
		return NULL;
	s->size = size;
	s->chunk = kind == RESOURCE_CHUNKED ? CHUNK_SIZE : SIZE_MAX;
	r = MHD_create_response_from_callback(
	    sized ? size : MHD_SIZE_UNKNOWN, 32 * 1024, read_stream, s, free);
	if (r == NULL) {
		free(s);
		return NULL;
	}
	if (kind == RESOURCE_CLOSE)
		MHD_set_response_options(
		    r, MHD_RF_HTTP_1_0_COMPATIBLE_STRICT, MHD_RO_END);
	return r;
}

static struct MHD_Response *
buffer_response(struct ledger_mark *mark, const char *bytes, size_t size)
{
	mark->body_size = size;
	mark->body_hash = ledger_hash(LEDGER_HASH_INIT, bytes, size);
	return MHD_create_response_from_buffer(
	    size, (void *)(uintptr_t)bytes, MHD_RESPMEM_MUST_COPY);
}

/* A body that fits into what the valve reads at once: libmicrohttpd sends it
 * together with the head. */
static struct MHD_Response *
bytes_response(struct ledger_mark *mark, size_t size)
{
	char bytes[SMALL_SIZE];

	resource_fill(bytes, 0, size);
	return buffer_response(mark, bytes, size);
}

static uint64_t
stream_hash(size_t size)
{
	char part[4096];
	uint64_t hash = LEDGER_HASH_INIT;

	for (size_t at = 0, n; at < size; at += n) {
		n = size - at < sizeof part ? size - at : sizeof part;
		resource_fill(part, at, n);
		hash = ledger_hash(hash, part, n);
	}
	return hash;
}

static struct MHD_Response *
text_response(struct job *job, struct ledger_mark *mark)
{
	char text[FOLLOW_TARGET_MAX + 160];
	int n =
	    snprintf(text, sizeof text, "%s %.*s id=%s mark=%lu\n", job->method,
		FOLLOW_TARGET_MAX, job->target, job->reply.id, job->reply.mark);

	return buffer_response(mark, text, (size_t)n);
}

static bool
has_body(int status)
{
	return status != 204 && status != 205 && status != 304;
}

/* Make the response of a job; status and body go into the mark, too. */
static struct MHD_Response *
make_response(struct job *job, struct ledger_mark *mark)
{
	const struct resource *what = &job->resource;

	mark->status = job->too_big ? 413 : 200;
	if (job->too_big)
		return text_response(job, mark);
	switch (what->kind) {
	case RESOURCE_BYTES:
		if (what->n <= SMALL_SIZE)
			return bytes_response(mark, what->n);
		/* fall through */
	case RESOURCE_CHUNKED:
	case RESOURCE_CLOSE:
		mark->body_size = what->n;
		mark->body_hash = stream_hash(what->n);
		/* libmicrohttpd would send the last chunk to a HEAD, too. */
		return stream_response(what->n,
		    what->kind == RESOURCE_CHUNKED && job->no_body
			? RESOURCE_BYTES
			: what->kind);
	case RESOURCE_ECHO:
		return buffer_response(mark, job->body, job->body_size);
	case RESOURCE_STATUS:
		mark->status = (int)what->n;
		if (!has_body(mark->status))
			return buffer_response(mark, "", 0);
		break;
	case RESOURCE_BAD:
		mark->status = 400;
		break;
	case RESOURCE_TEXT:
	case RESOURCE_DELAY:
		break;
	}
	return text_response(job, mark);
}

static void
add_headers(const struct job *job, struct MHD_Response *r)
{
	const struct origin *o = job->conn->origin;
	bool text = job->resource.kind == RESOURCE_TEXT ||
	    job->resource.kind == RESOURCE_DELAY ||
	    job->resource.kind == RESOURCE_STATUS;
	char value[64];

	MHD_add_response_header(r, "Content-Type",
	    text ? "text/plain" : "application/octet-stream");
	if (job->reply.id[0] != '\0')
		MHD_add_response_header(r, LEDGER_ID_HEADER, job->reply.id);
	snprintf(value, sizeof value, "%lu", job->reply.mark);
	MHD_add_response_header(r, LEDGER_MARK_HEADER, value);
	if (o->keep_alive_ms > 0) {
		snprintf(
		    value, sizeof value, "timeout=%d", o->keep_alive_ms / 1000);
		MHD_add_response_header(r, "Keep-Alive", value);
	}
	if (job->reply.announce)
		MHD_add_response_header(r, "Connection", "close");
}

/* Queue the response.  MHD_NO: the connection must end. */
static enum MHD_Result
answer(struct job *job)
{
	struct ledger_mark mark = { .mark = job->reply.mark, .belongs = true };
	struct MHD_Response *r = make_response(job, &mark);
	enum MHD_Result queued;

	if (r == NULL)
		return MHD_NO;
	if (job->no_body) {
		mark.body_size = 0;
		mark.body_hash = LEDGER_HASH_INIT;
	}
	memcpy(mark.id, job->reply.id, sizeof mark.id);
	add_headers(job, r);
	queued = MHD_queue_response(job->mhd, (unsigned)mark.status, r);
	MHD_destroy_response(r);
	if (queued == MHD_YES)
		ledger_enter_mark(job->conn->origin->ledger, &mark);
	return queued;
}

/* ------------------------------------------------------------- handler ---- */

static void
tell_executed(struct job *job, const char *method, bool executed)
{
	struct origin_conn *conn = job->conn;
	const char *header = MHD_lookup_connection_value(
	    job->mhd, MHD_HEADER_KIND, LEDGER_ID_HEADER);
	char id[FOLLOW_ID_MAX];
	struct origin_request request = { method, job->target,
		header != NULL ? header : id, executed, job->content_size,
		job->content_hash };

	follow_path_id(job->target, id);
	snprintf(job->method, sizeof job->method, "%s", method);
	job->no_body = strcmp(method, "HEAD") == 0;
	conn->origin->calls.executed(conn->who, &request, &job->reply);
}

static void
on_delay_over(void *arg)
{
	struct job *job = arg;
	struct origin_conn *conn = job->conn;

	if (answer(job) != MHD_YES)
		job->given_up = true;
	job->suspended = false;
	MHD_resume_connection(job->mhd);
	conn->origin->calls.ready(conn->who);
}

static enum MHD_Result
delay(struct job *job)
{
	const struct backend_clock *clock = &job->conn->origin->clock;

	job->timer = clock->timer_new(clock->arg, on_delay_over, job);
	if (job->timer == NULL)
		return answer(job);
	MHD_suspend_connection(job->mhd);
	job->suspended = true;
	clock->timer_arm(job->timer, (int64_t)job->resource.n);
	return MHD_YES;
}

static void
keep_body(struct job *job, const char *bytes, size_t size)
{
	size_t room = job->body_room;
	char *grown;

	if (job->resource.kind != RESOURCE_ECHO || job->too_big)
		return;
	while (room < job->body_size + size)
		room = room == 0 ? 4096 : room * 2;
	grown = job->body_size + size > RESOURCE_ECHO_MAX ? NULL
	    : room == job->body_room			  ? job->body
				     : realloc(job->body, room);
	if (grown == NULL) {
		job->too_big = true;
		return;
	}
	job->body = grown;
	job->body_room = room;
	memcpy(job->body + job->body_size, bytes, size);
	job->body_size += size;
}

/* What Content-Length says. */
struct length {
	const char *text; /* NULL: nothing */
	bool contradicts; /* itself */
};

static enum MHD_Result
see_length(
    void *arg, enum MHD_ValueKind kind, const char *name, const char *value)
{
	struct length *length = arg;

	if (strcasecmp(name, "Content-Length") != 0 || value == NULL)
		return MHD_YES;
	if (length->text != NULL && strcmp(length->text, value) != 0)
		length->contradicts = true;
	length->text = value;
	return MHD_YES;
}

/* The first call, when the head was read.  A body that is announced to be too
 * big is refused before it is read (RFC 9110 15.5.14), and so is one whose
 * size is told in two ways (RFC 9112 6.3); libmicrohttpd lets it pass. */
static enum MHD_Result
begin(struct job *job, const char *method)
{
	struct length length = { NULL, false };

	job->begun = true;
	MHD_get_connection_values(
	    job->mhd, MHD_HEADER_KIND, see_length, &length);
	if (length.contradicts)
		job->resource.kind = RESOURCE_BAD;
	else if (job->resource.kind == RESOURCE_ECHO && length.text != NULL &&
	    strtoull(length.text, NULL, 10) > RESOURCE_ECHO_MAX)
		job->too_big = true;
	else
		return MHD_YES;
	tell_executed(job, method, false);
	return answer(job);
}

static enum MHD_Result
handle(void *arg, struct MHD_Connection *mhd, const char *url,
    const char *method, const char *version, const char *upload,
    size_t *upload_size, void **con_cls)
{
	struct job *job = *con_cls;

	if (job == NULL || job->given_up || job->conn->who == NULL)
		return MHD_NO;
	if (!job->begun)
		return begin(job, method);
	if (*upload_size > 0) {
		job->content_size += *upload_size;
		job->content_hash =
		    ledger_hash(job->content_hash, upload, *upload_size);
		keep_body(job, upload, *upload_size);
		*upload_size = 0;
		return MHD_YES;
	}
	tell_executed(job, method, true);
	return job->resource.kind == RESOURCE_DELAY ? delay(job) : answer(job);
}

/* --------------------------------------------------- requests come and go -- */

static void *
on_target(void *arg, const char *target, struct MHD_Connection *mhd)
{
	const union MHD_ConnectionInfo *info =
	    MHD_get_connection_info(mhd, MHD_CONNECTION_INFO_SOCKET_CONTEXT);
	struct job *job = calloc(1, sizeof *job);

	if (job == NULL || info == NULL || info->socket_context == NULL ||
	    (job->target = strdup(target)) == NULL) {
		free(job);
		return NULL;
	}
	job->conn = info->socket_context;
	job->conn->job = job;
	job->mhd = mhd;
	job->resource = resource_of(target);
	job->content_hash = LEDGER_HASH_INIT;
	return job;
}

static void
on_completed(void *arg, struct MHD_Connection *mhd, void **con_cls,
    enum MHD_RequestTerminationCode why)
{
	struct job *job = *con_cls;

	if (job == NULL)
		return;
	job->conn->job = NULL;
	job->conn->origin->clock.timer_free(job->timer);
	free(job->target);
	free(job->body);
	free(job);
	*con_cls = NULL;
}

/* Anybody on this machine could connect to the origin's listener; whom no valve
 * has sent is served by nobody. */
static bool
is_from_valve(const struct origin *o, struct MHD_Connection *mhd)
{
	const union MHD_ConnectionInfo *info =
	    MHD_get_connection_info(mhd, MHD_CONNECTION_INFO_CONNECTION_FD);
	struct sockaddr_un peer = { 0 };
	socklen_t size = sizeof peer;

	return o->connecting != NULL && info != NULL &&
	    getpeername(info->connect_fd, (struct sockaddr *)&peer, &size) ==
	    0 &&
	    size == o->from_size && memcmp(&peer, &o->from, size) == 0;
}

static void
on_connection(void *arg, struct MHD_Connection *mhd, void **context,
    enum MHD_ConnectionNotificationCode what)
{
	struct origin *o = arg;
	struct origin_conn *conn = *context;

	if (what == MHD_CONNECTION_NOTIFY_STARTED) {
		if (!is_from_valve(o, mhd))
			return;
		*context = o->connecting;
		o->connecting = NULL;
	} else if (conn != NULL) {
		conn->closed = true;
		if (conn->who == NULL)
			free(conn);
	}
}

/* ---------------------------------------------------------------- life ---- */

/* A local socket with a name that the kernel chose.  Returns: -1 with errno. */
static int
named_socket(struct sockaddr_un *name, socklen_t *size)
{
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

	*name = (struct sockaddr_un){ .sun_family = AF_UNIX };
	*size = sizeof *name;
	if (fd >= 0 &&
	    bind(fd, (struct sockaddr *)name, sizeof name->sun_family) == 0 &&
	    getsockname(fd, (struct sockaddr *)name, size) == 0)
		return fd;
	if (fd >= 0)
		close(fd);
	return -1;
}

/* libmicrohttpd must accept by itself: to a local connection that was handed to
 * it, it tries to set two options of TCP behind every response. */
static int
make_listener(struct origin *o)
{
	int fd = named_socket(&o->listener, &o->listener_size);

	if (fd < 0 || listen(fd, 16) == 0)
		return fd;
	close(fd);
	return -1;
}

struct origin *
origin_new(const struct backend_clock *clock, struct ledger *ledger,
    int keep_alive_ms, const struct origin_calls *calls)
{
	struct origin *o = calloc(1, sizeof *o);
	int fd;

	if (o == NULL)
		return NULL;
	o->clock = *clock;
	o->ledger = ledger;
	o->keep_alive_ms = keep_alive_ms;
	o->calls = *calls;
	fd = make_listener(o);
	o->daemon = fd < 0
	    ? NULL
	    : MHD_start_daemon(MHD_USE_EPOLL | MHD_ALLOW_SUSPEND_RESUME |
		      MHD_USE_SUPPRESS_DATE_NO_CLOCK | MHD_USE_ERROR_LOG,
		  0, NULL, NULL, handle, o, MHD_OPTION_EXTERNAL_LOGGER,
		  ignore_log, NULL, MHD_OPTION_URI_LOG_CALLBACK, on_target, o,
		  MHD_OPTION_NOTIFY_COMPLETED, on_completed, o,
		  MHD_OPTION_NOTIFY_CONNECTION, on_connection, o,
		  MHD_OPTION_UNESCAPE_CALLBACK, do_not_unescape, NULL,
		  MHD_OPTION_CONNECTION_LIMIT, 1u << 20,
		  MHD_OPTION_LISTEN_SOCKET, fd, MHD_OPTION_END);
	if (o->daemon == NULL) {
		if (fd >= 0)
			close(fd);
		free(o);
		return NULL;
	}
	return o;
}

void
origin_free(struct origin *o)
{
	if (o == NULL)
		return;
	origin_drive(o);
	MHD_stop_daemon(o->daemon);
	free(o);
}

struct origin_conn *
origin_connect(struct origin *o, void *who, int *fd)
{
	struct origin_conn *conn = calloc(1, sizeof *conn);

	*fd = -1;
	if (conn == NULL)
		return NULL;
	conn->origin = o;
	conn->who = who;
	o->connecting = conn;
	*fd = named_socket(&o->from, &o->from_size);
	if (*fd >= 0 &&
	    connect(*fd, (struct sockaddr *)&o->listener, o->listener_size) ==
		0)
		MHD_run(o->daemon);
	if (o->connecting == NULL)
		return conn;
	o->connecting = NULL;
	free(conn);
	if (*fd >= 0)
		close(*fd);
	*fd = -1;
	return NULL;
}

void
origin_serve(struct origin_conn *conn, void *who)
{
	conn->who = who;
}

bool
origin_is_idle(const struct origin_conn *conn)
{
	return conn->job == NULL && !conn->closed;
}

void
origin_drop(struct origin_conn *conn)
{
	if (conn == NULL)
		return;
	conn->who = NULL;
	if (conn->closed) {
		free(conn);
		return;
	}
	if (conn->job != NULL && conn->job->suspended) {
		conn->job->suspended = false;
		conn->job->given_up = true;
		conn->origin->clock.timer_cancel(conn->job->timer);
		MHD_resume_connection(conn->job->mhd);
	}
}

void
origin_drive(struct origin *o)
{
	MHD_UNSIGNED_LONG_LONG ms = 0;

	MHD_run(o->daemon);
	for (int i = 0; i < DRIVE_MAX; i++) {
		if (MHD_get_timeout(o->daemon, &ms) != MHD_YES || ms != 0)
			return;
		MHD_run(o->daemon);
	}
	o->calls.unfinished(o->calls.arg);
}
