/* client.c - see client.h.
 *
 * A client has at most one connection that it sends on, and possibly older
 * ones whose end it still waits for.  Exchanges queue on a connection in the
 * order in which they were sent; the first one of the queue gets the bytes
 * that come.  Bytes that come while nobody waits are kept: like any client,
 * this one takes them for the answer to its next request.
 */
#include "harness/client.h"

#include <assert.h>
#include <errno.h>
#include <event2/event.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "backend/endpoint.h"
#include "harness/bytes.h"
#include "harness/clock.h"
#include "harness/compose.h"
#include "harness/lab.h"
#include "harness/trace.h"

/* For one address of several to refuse; only a server outside the lab has
 * several. */
enum { DIAL_WAIT_MS = 1000 };

struct conn {
	struct client *client;
	struct conn *next;
	struct event *ev;
	unsigned number; /* the n-th of its client, from 1 */
	int fd;
	bool connected;
	bool fin_wanted;  /* behind the last byte of out */
	bool half_closed; /* nothing more is to be sent */
	bool peer_fin;	  /* nothing more will come; we may still send */
	bool gone;	  /* closed by either side; fd is closed */
	int send_error;	  /* a reset is told once, here to a send */
	struct bytes out;
	struct bytes early; /* came while nobody waited */
};

struct exchange {
	struct client *client;
	struct exchange *next;
	struct conn *conn;
	char id[LEDGER_ID_MAX];
	char method[16], path[256];
	bool open, raw, chunked;
	bool watched;			     /* no connection is ours */
	uint64_t content_size, content_hash; /* … of what was to be sent */
	void *timer;
	int64_t start_ms, end_ms;
	uint64_t start_seq, end_seq;
	struct told told;
	struct reply reply;
};

struct client {
	struct lab *lab;
	unsigned number;
	struct endpoint to;
	int timeout_ms;
	bool half_open;
	struct conn *conns;		   /* newest first */
	struct exchange *exchanges, *last; /* in the order of sending */
};

static void
note(const struct client *c, const char *what, const void *bytes, size_t size)
{
	char text[TRACE_TEXT] = "";

	if (lab_is_traced(c->lab))
		trace_snippet(text, bytes, size);
	lab_note(c->lab, "client", c->number, what, size, text);
}

/* ------------------------------------------------------------- exchanges -- */

static void
end_exchange(struct exchange *e)
{
	e->told.done = true;
	e->end_ms = lab_now_ms(e->client->lab);
	e->end_seq = trace_seq(lab_trace(e->client->lab));
	clock_timer_free(e->timer);
	e->timer = NULL;
}

/* The exchange whose response comes next on the connection. */
static struct exchange *
awaiting(const struct conn *k)
{
	struct exchange *e = k->client->exchanges;

	while (e != NULL && (e->conn != k || e->told.done))
		e = e->next;
	return e;
}

static void
close_conn(struct conn *k, bool reset)
{
	struct linger lg = { 1, 0 };

	if (k->gone)
		return;
	k->gone = true;
	if (reset)
		setsockopt(k->fd, SOL_SOCKET, SO_LINGER, &lg, sizeof lg);
	lab_drop_fd(k->client->lab, k->fd);
	event_free(k->ev);
	k->ev = NULL;
	close(k->fd);
}

/* The connection ended: so does every exchange that waits on it. */
static void
conn_ended(struct conn *k, int error)
{
	struct exchange *e;

	note(k->client, error == 0 ? "eof" : "reset", strerror(error),
	    error == 0 ? 0 : strlen(strerror(error)));
	while ((e = awaiting(k)) != NULL) {
		reply_end(&e->reply, error == 0);
		e->told.complete = e->reply.state == REPLY_COMPLETE;
		e->told.closed = true;
		e->told.error = error;
		e->told.refused = !k->connected && error != ECONNRESET;
		e->told.reset = error != 0 && !e->told.refused;
		e->told.truncated = !e->told.complete && reply_begun(&e->reply);
		end_exchange(e);
	}
	k->peer_fin = true;
	if (error != 0 || !k->client->half_open)
		close_conn(k, true);
}

/* Hand bytes to whoever waits; keep the rest. */
static void
deliver(struct conn *k)
{
	struct exchange *e;
	size_t used = 0;

	while (!k->gone && used < k->early.size && (e = awaiting(k)) != NULL) {
		size_t n = reply_feed(
		    &e->reply, k->early.p + used, k->early.size - used);

		used += n;
		e->told.received += n;
		if (e->reply.state == REPLY_READING)
			continue;
		e->told.complete = e->reply.state == REPLY_COMPLETE;
		e->told.invalid = e->reply.state == REPLY_INVALID;
		end_exchange(e);
		if (e->told.invalid)
			conn_ended(k, EBADMSG);
	}
	bytes_drop(&k->early, used);
}

/* ------------------------------------------------------------ connections -- */

static void
flush(struct conn *k)
{
	while (!k->gone && k->connected && k->out.size > 0) {
		ssize_t n = send(
		    k->fd, k->out.p, k->out.size, MSG_DONTWAIT | MSG_NOSIGNAL);

		if (n < 0 && (errno == EAGAIN || errno == EINTR))
			return;
		if (n < 0) {
			/* A response may lie in front of the reset: what is
			 * left to read is read before anything is judged. */
			k->send_error = errno;
			k->out.size = 0;
			return;
		}
		note(k->client, "sent", k->out.p, n);
		lab_count_sent(k->client->lab, n);
		bytes_drop(&k->out, n);
	}
	if (!k->gone && k->connected && k->fin_wanted) {
		k->fin_wanted = false;
		shutdown(k->fd, SHUT_WR);
		note(k->client, "fin", "", 0);
	}
}

static void
take_input(struct conn *k)
{
	char buf[16384];

	while (!k->gone && !k->peer_fin) {
		ssize_t n = recv(k->fd, buf, sizeof buf, MSG_DONTWAIT);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0 && errno == EAGAIN)
			return;
		if (n <= 0) {
			conn_ended(k, n < 0 ? errno : k->send_error);
			return;
		}
		note(k->client, "received", buf, n);
		lab_count_taken(k->client->lab, n);
		bytes_append(&k->early, buf, n);
		deliver(k);
	}
}

static int
take_error(int fd)
{
	int error = 0;
	socklen_t size = sizeof error;

	getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &size);
	return error;
}

/* Where there is an error, or anything to read, the event says that it can be
 * read. */
static void
on_socket(evutil_socket_t fd, short what, void *arg)
{
	struct conn *k = arg;
	bool readable = (what & (EV_READ | EV_CLOSED)) != 0;
	int error;

	if (!k->connected && (what & EV_WRITE)) {
		error = readable ? take_error(fd) : 0;
		if (error != 0) {
			conn_ended(k, error);
			return;
		}
		k->connected = true;
	}

	flush(k);
	if (k->connected && (readable || k->send_error != 0))
		take_input(k);
}

/* How connect() ends; 0 where it goes on. */
static int
dial_error(int fd)
{
	struct pollfd p = { .fd = fd, .events = POLLOUT };
	socklen_t size = sizeof(int);
	int error = 0;

	if (poll(&p, 1, DIAL_WAIT_MS) > 0)
		getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &size);
	return error;
}

/* Dial the first address that does not refuse.  The last one may do so later:
 * no other is left.  Returns: -1 with errno. */
static int
dial(const struct endpoint *to)
{
	int fd = -1, error = 0;

	for (size_t i = 0; i < to->n && fd < 0; i++) {
		fd = endpoint_dial(to, i);
		error = errno;
		if (fd >= 0 && error == 0 && i + 1 < to->n)
			error = dial_error(fd);
		if (fd >= 0 && error != 0) {
			close(fd);
			fd = -1;
		}
	}
	errno = error;
	return fd;
}

static struct conn *
connect_to(struct client *c)
{
	struct conn *k = calloc(1, sizeof *k);
	int error;

	if (k == NULL)
		return NULL;
	k->client = c;
	k->fd = dial(&c->to);
	if (k->fd < 0)
		goto fail;
	k->ev = event_new(lab_base(c->lab), k->fd,
	    EV_READ | EV_WRITE | EV_CLOSED | EV_ET | EV_PERSIST, on_socket, k);
	if (k->ev == NULL || event_add(k->ev, NULL) != 0)
		goto fail;
	lab_add_fd(c->lab, k->fd);
	k->number = c->conns != NULL ? c->conns->number + 1 : 1;
	k->next = c->conns;
	c->conns = k;
	lab_note(c->lab, "client", c->number, "connect", 0, "");
	return k;
fail:
	error = errno;
	if (k->ev != NULL)
		event_free(k->ev);
	if (k->fd >= 0)
		close(k->fd);
	free(k);
	errno = error;
	return NULL;
}

/* May another request go out on it? */
static bool
is_usable(const struct conn *k)
{
	const struct exchange *e;

	if (k == NULL || k->gone || k->peer_fin || k->half_closed)
		return false;
	for (e = k->client->exchanges; e != NULL; e = e->next)
		if (e->conn == k && (e->reply.close || e->told.timeout))
			return false;
	return true;
}

/* ---------------------------------------------------------------- public -- */

static void
client_reset(void *arg)
{
	struct client *c = arg;
	struct conn *k;
	struct exchange *e;

	while ((k = c->conns) != NULL) {
		c->conns = k->next;
		close_conn(k, true);
		bytes_free(&k->out);
		bytes_free(&k->early);
		free(k);
	}
	while ((e = c->exchanges) != NULL) {
		c->exchanges = e->next;
		clock_timer_free(e->timer);
		reply_free(&e->reply);
		free(e);
	}
	c->last = NULL;
}

static void
client_free(void *arg)
{
	client_reset(arg);
	free(arg);
}

struct client *
client_new(struct lab *lab, const struct endpoint *to, int timeout_ms)
{
	struct client *c = calloc(1, sizeof *c);

	if (c == NULL)
		return NULL;
	c->lab = lab;
	c->to = *to;
	c->timeout_ms = timeout_ms;
	c->number = lab_enrol(lab, LAB_CLIENT, c, client_free, client_reset);
	if (c->number == 0) {
		free(c);
		return NULL;
	}
	return c;
}

void
client_stay_half_open(struct client *c)
{
	c->half_open = true;
}

unsigned
client_number(const struct client *c)
{
	return c->number;
}

static void
on_timeout(void *arg)
{
	struct exchange *e = arg;

	e->told.timeout = true;
	e->told.truncated = reply_begun(&e->reply);
	note(e->client, "timeout", e->path, strlen(e->path));
	end_exchange(e);
	if (e->conn != NULL)
		close_conn(e->conn, true);
}

void
exchange_time_out(struct exchange *e)
{
	lab_touch(e->client->lab);
	on_timeout(e);
}

/* Make an exchange that begins now, on that connection or on none. */
static struct exchange *
enter(struct client *c, struct conn *k, const char *method)
{
	struct exchange *e = calloc(1, sizeof *e);

	if (e == NULL)
		return NULL;
	e->client = c;
	e->conn = k;
	e->start_ms = lab_now_ms(c->lab);
	e->start_seq = trace_seq(lab_trace(c->lab));
	snprintf(e->method, sizeof e->method, "%s", method);
	reply_init(&e->reply, strcmp(method, "HEAD") == 0);
	if (c->last != NULL)
		c->last->next = e;
	else
		c->exchanges = e;
	c->last = e;
	return e;
}

/* Every start ends here: find or make a connection, join its queue. */
static struct exchange *
begin(struct client *c, const char *method, int timeout_ms)
{
	struct conn *k = c->conns;
	struct exchange *e;

	lab_touch(c->lab);
	if (!is_usable(k) && (k = connect_to(c)) == NULL)
		return NULL;
	e = enter(c, k, method);
	if (e == NULL)
		return NULL;
	if (timeout_ms < 0)
		timeout_ms = c->timeout_ms;
	if (timeout_ms > 0) {
		e->timer = clock_timer_new(lab_clock(c->lab), on_timeout, e);
		if (e->timer != NULL)
			clock_timer_arm(e->timer, timeout_ms);
	}
	return e;
}

struct exchange *
client_start(struct client *c, const struct client_request *request)
{
	struct client_request r = *request;
	struct exchange *e;
	size_t at;

	assert(client_open_exchange(c) == NULL);
	if (r.method == NULL)
		r.method = "GET";
	if (r.path == NULL)
		r.path = "/";
	e = begin(c, r.method, r.timeout_ms);
	if (e == NULL)
		return NULL;
	snprintf(e->path, sizeof e->path, "%s", r.path);
	e->open = r.open;
	e->chunked = r.open ? r.length < 0 : r.chunked;
	e->content_size = r.body_size;
	e->content_hash = ledger_hash(LEDGER_HASH_INIT, r.body, r.body_size);
	at = e->conn->out.size;
	compose_request(&e->conn->out, &r);
	if (r.id != NULL && r.n_headers == 0 && strlen(r.id) < sizeof e->id)
		strcpy(e->id, r.id);
	else
		ledger_id_of(
		    e->conn->out.p + at, e->conn->out.size - at, e->id);
	flush(e->conn);
	deliver(e->conn);
	return e;
}

struct exchange *
client_raw(struct client *c, const char *bytes, size_t size, int timeout_ms)
{
	char line[256];
	char method[16] = "", path[256] = "";
	struct exchange *e;

	assert(client_open_exchange(c) == NULL);
	snprintf(
	    line, sizeof line, "%.*s", (int)(size < 255 ? size : 255), bytes);
	sscanf(line, "%15s %255s", method, path);
	e = begin(c, method, timeout_ms);
	if (e == NULL)
		return NULL;
	e->open = e->raw = true;
	snprintf(e->path, sizeof e->path, "%s", path);
	ledger_id_of(bytes, size, e->id);
	bytes_append(&e->conn->out, bytes, size);
	flush(e->conn);
	deliver(e->conn);
	return e;
}

struct exchange *
client_watch(
    struct client *c, const struct client_request *r, bool content_known)
{
	struct exchange *e;

	lab_touch(c->lab);
	e = enter(c, NULL, r->method);
	if (e == NULL)
		return NULL;
	e->watched = true;
	e->raw = !content_known;
	snprintf(e->path, sizeof e->path, "%s", r->path);
	snprintf(e->id, sizeof e->id, "%s", r->id);
	e->content_size = r->body_size;
	e->content_hash = ledger_hash(LEDGER_HASH_INIT, r->body, r->body_size);
	note(c, "watch", e->path, strlen(e->path));
	return e;
}

void
exchange_tell(struct exchange *e, const struct tale *tale)
{
	struct reply *r = &e->reply;

	lab_touch(e->client->lab);
	assert(e->watched && !e->told.done);
	e->told.complete = tale->complete;
	e->told.timeout = tale->timeout;
	e->told.failed = !tale->complete && !tale->timeout;
	e->told.silent = tale->complete && tale->status == 0;
	e->told.body_known = tale->body != NULL;
	r->status = tale->status;
	r->mark = tale->mark;
	if (tale->body != NULL) {
		bytes_append(&r->body, tale->body, tale->body_size);
		r->body_hash =
		    ledger_hash(LEDGER_HASH_INIT, tale->body, tale->body_size);
	}
	note(e->client,
	    tale->complete	? "complete"
		: tale->timeout ? "timeout"
				: "failed",
	    e->path, strlen(e->path));
	end_exchange(e);
}

bool
exchange_is_watched(const struct exchange *e)
{
	return e->watched;
}

struct exchange *
client_open_exchange(const struct client *c)
{
	return c->last != NULL && c->last->open && !c->last->raw &&
		!c->last->told.done
	    ? c->last
	    : NULL;
}

bool
client_connect(struct client *c)
{
	lab_touch(c->lab);
	return is_usable(c->conns) || connect_to(c) != NULL;
}

bool
client_half_close(struct client *c)
{
	struct conn *k = c->conns;

	lab_touch(c->lab);
	if (k == NULL || k->gone)
		return false;
	k->fin_wanted = !k->half_closed;
	k->half_closed = true;
	flush(k);
	return true;
}

void
client_close(struct client *c)
{
	struct conn *k = c->conns;

	lab_touch(c->lab);
	if (k == NULL || k->gone)
		return;
	note(c, "abort", "", 0);
	while (awaiting(k) != NULL) {
		struct exchange *e = awaiting(k);

		e->told.closed = true;
		e->told.truncated = reply_begun(&e->reply);
		end_exchange(e);
	}
	close_conn(k, true);
}

int
exchange_send(struct exchange *e, const char *bytes, size_t size)
{
	struct conn *k = e->conn;

	lab_touch(e->client->lab);
	assert(e->open);
	e->content_size += size;
	e->content_hash = ledger_hash(e->content_hash, bytes, size);
	if (k->gone)
		return ENOTCONN;
	if (k->half_closed)
		return EPIPE;
	if (e->chunked && size > 0)
		compose_chunk(&k->out, bytes, size);
	else if (!e->chunked)
		bytes_append(&k->out, bytes, size);
	flush(k);
	return k->send_error;
}

void
exchange_finish(struct exchange *e)
{
	struct conn *k = e->conn;

	lab_touch(e->client->lab);
	assert(e->open);
	if (e->chunked && !k->gone) {
		compose_last_chunk(&k->out);
		flush(k);
	}
	e->open = false;
}

bool
exchange_is_open(const struct exchange *e)
{
	return e->open;
}

const struct told *
exchange_told(const struct exchange *e)
{
	return &e->told;
}

const struct reply *
exchange_reply(const struct exchange *e)
{
	return &e->reply;
}

unsigned
exchange_conn(const struct exchange *e)
{
	return e->conn != NULL ? e->conn->number : 0;
}

const char *
exchange_id(const struct exchange *e)
{
	return e->id;
}

const char *
exchange_method(const struct exchange *e)
{
	return e->method;
}

const char *
exchange_path(const struct exchange *e)
{
	return e->path;
}

bool
exchange_content(const struct exchange *e, uint64_t *size, uint64_t *hash)
{
	*size = e->content_size;
	*hash = e->content_hash;
	return !e->raw;
}

uint64_t
exchange_start_seq(const struct exchange *e)
{
	return e->start_seq;
}

uint64_t
exchange_end_seq(const struct exchange *e)
{
	return e->end_seq;
}

int64_t
exchange_ms(const struct exchange *e)
{
	return (e->told.done ? e->end_ms : lab_now_ms(e->client->lab)) -
	    e->start_ms;
}

struct exchange *
client_find(struct lab *lab, const char *id)
{
	struct exchange *found = NULL;
	struct client *c;

	for (unsigned n = 1; (c = lab_actor(lab, LAB_CLIENT, n)) != NULL; n++)
		for (struct exchange *e = c->exchanges; e != NULL; e = e->next)
			if (strcmp(e->id, id) == 0 &&
			    (found == NULL || e->start_seq >= found->start_seq))
				found = e;
	return found;
}
