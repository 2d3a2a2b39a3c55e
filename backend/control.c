/* control.c - see control.h: the listener and the connections.  What requests
 * are answered with is in api.c. */
#include "backend/control.h"

#include <arpa/inet.h>
#include <errno.h>
#include <event2/event.h>
#include <fcntl.h>
#include <microhttpd.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/queue.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "backend/api.h"
#include "backend/endpoint.h"

enum {
	DRIVE_MAX = 64,
	CONNS_LEAST = 4,
	CONNS_MOST = 64,
	/* Who has just connected is about to ask. */
	GRACE_MS = 20
};

enum {
	LISTENER,
	PAUSE,	/* until it accepts again */
	INSIDE, /* the daemon has something to do … */
	LIMIT,	/* … or a connection's time is over */
	N_EVENTS
};

/* What a lab's clients say.  Under .test (RFC 6761 6.2) no page can live. */
#define LAB_HOST "closerace.test"

struct conn {
	TAILQ_ENTRY(conn) link;
	int fd;
	int64_t since_ms; /* its latest request, or else its beginning */
	bool shut;
	bool local; /* by a Unix socket */
	char here[INET6_ADDRSTRLEN + 2];
};

struct control {
	struct backend *backend;
	const char *name;
	struct MHD_Daemon *daemon;
	int fd;
	struct event *events[N_EVENTS];
	TAILQ_HEAD(conns, conn) conns; /* the latest request last */
	unsigned n_conns, conns_max;
	struct conn *adding;
};

/* ----------------------------------------------------------- connections -- */

static int64_t
now_ms(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

unsigned
control_conns_max(void)
{
	struct rlimit limit;
	rlim_t n = CONNS_MOST;

	if (getrlimit(RLIMIT_NOFILE, &limit) == 0 && limit.rlim_cur / 8 < n)
		n = limit.rlim_cur / 8;
	return n > CONNS_LEAST ? (unsigned)n : CONNS_LEAST;
}

static struct conn *
conn_of(struct MHD_Connection *mhd)
{
	const union MHD_ConnectionInfo *info =
	    MHD_get_connection_info(mhd, MHD_CONNECTION_INFO_SOCKET_CONTEXT);

	return info != NULL ? info->socket_context : NULL;
}

static void
on_connection(void *arg, struct MHD_Connection *mhd, void **context,
    enum MHD_ConnectionNotificationCode what)
{
	struct control *c = arg;
	struct conn *conn = *context;

	if (what == MHD_CONNECTION_NOTIFY_STARTED) {
		*context = c->adding;
		c->adding = NULL;
	} else if (conn != NULL) {
		TAILQ_REMOVE(&c->conns, conn, link);
		c->n_conns--;
		free(conn);
	}
}

/* The address that was asked, as a Host header has it. */
static void
note_here(struct conn *conn)
{
	struct sockaddr_storage at = { 0 };
	socklen_t size = sizeof at;
	char text[INET6_ADDRSTRLEN] = "";

	getsockname(conn->fd, (struct sockaddr *)&at, &size);
	conn->local = at.ss_family == AF_UNIX;
	if (at.ss_family == AF_INET)
		inet_ntop(AF_INET, &((struct sockaddr_in *)&at)->sin_addr,
		    conn->here, sizeof conn->here);
	if (at.ss_family == AF_INET6 &&
	    inet_ntop(AF_INET6, &((struct sockaddr_in6 *)&at)->sin6_addr, text,
		sizeof text) != NULL)
		snprintf(conn->here, sizeof conn->here, "[%s]", text);
}

static enum MHD_Result
handle(void *arg, struct MHD_Connection *mhd, const char *url,
    const char *method, const char *version, const char *upload,
    size_t *upload_size, void **context)
{
	struct control *c = arg;
	struct conn *conn = conn_of(mhd);
	const char *names[] = { conn->here, c->name, LAB_HOST, NULL };
	struct api_place place = { c->backend, conn->local ? NULL : names };

	if (*context == NULL) {
		TAILQ_REMOVE(&c->conns, conn, link);
		TAILQ_INSERT_TAIL(&c->conns, conn, link);
		conn->since_ms = now_ms();
	}
	return api_handle(
	    &place, mhd, url, method, upload, upload_size, context);
}

static void
on_completed(void *arg, struct MHD_Connection *mhd, void **context,
    enum MHD_RequestTerminationCode why)
{
	api_completed(context);
}

/* ---------------------------------------------------------------- driving -- */

static void
arm_limit(struct control *c)
{
	MHD_UNSIGNED_LONG_LONG ms = 0;
	struct timeval wait;

	if (MHD_get_timeout(c->daemon, &ms) != MHD_YES) {
		event_del(c->events[LIMIT]);
		return;
	}
	wait.tv_sec = (time_t)(ms / 1000);
	wait.tv_usec = (suseconds_t)(ms % 1000 * 1000);
	event_add(c->events[LIMIT], &wait);
}

/* Do what can be done now, but not for ever: others wait, too. */
static void
drive(struct control *c)
{
	MHD_UNSIGNED_LONG_LONG ms = 0;

	MHD_run(c->daemon);
	for (int i = 0; i < DRIVE_MAX; i++) {
		if (MHD_get_timeout(c->daemon, &ms) != MHD_YES || ms != 0)
			break;
		MHD_run(c->daemon);
	}
	arm_limit(c);
}

static void
on_daemon(evutil_socket_t fd, short what, void *arg)
{
	drive(arg);
}

/* -------------------------------------------------------------- accepting -- */

/* Something lies there that was not read yet: on a busy machine a request may
 * have waited for longer than the others were silent. */
static bool
has_spoken(const struct conn *conn)
{
	char byte;

	return recv(conn->fd, &byte, 1, MSG_PEEK | MSG_DONTWAIT) > 0;
}

/* End the connection that has been without a request for longest; the daemon
 * finds that out by itself.  If there is none, stop accepting for a while. */
static void
make_room(struct control *c)
{
	const struct timeval pause = { .tv_usec = GRACE_MS * 1000 };
	struct conn *conn;

	TAILQ_FOREACH(conn, &c->conns, link)
	if (!conn->shut && !has_spoken(conn))
		break;
	if (conn == NULL || now_ms() - conn->since_ms < GRACE_MS) {
		event_del(c->events[LISTENER]);
		event_add(c->events[PAUSE], &pause);
		return;
	}
	conn->shut = true;
	shutdown(conn->fd, SHUT_RDWR);
	drive(c);
}

static void
add(struct control *c, int fd, const struct sockaddr *peer, socklen_t size)
{
	struct conn *conn = calloc(1, sizeof *conn);

	if (conn == NULL) {
		close(fd);
		return;
	}
	conn->fd = fd;
	conn->since_ms = now_ms();
	note_here(conn);
	TAILQ_INSERT_TAIL(&c->conns, conn, link);
	c->n_conns++;
	c->adding = conn;
	if (MHD_add_connection(c->daemon, fd, peer, size) != MHD_YES &&
	    c->adding != NULL) {
		TAILQ_REMOVE(&c->conns, conn, link);
		c->n_conns--;
		free(conn);
	}
	c->adding = NULL;
	drive(c);
}

static void
on_listener(evutil_socket_t listener, short what, void *arg)
{
	struct control *c = arg;
	struct sockaddr_storage peer;
	socklen_t size = sizeof peer;
	int fd;

	if (c->n_conns >= c->conns_max) {
		make_room(c);
		return;
	}
	fd = accept4(listener, (struct sockaddr *)&peer, &size,
	    SOCK_NONBLOCK | SOCK_CLOEXEC);
	if (fd >= 0)
		add(c, fd, (struct sockaddr *)&peer, size);
	else if (errno != EAGAIN && errno != EINTR && errno != ECONNABORTED)
		make_room(c); /* no descriptor is left */
}

static void
on_pause_over(evutil_socket_t fd, short what, void *arg)
{
	struct control *c = arg;

	event_add(c->events[LISTENER], NULL);
}

/* ------------------------------------------------------------------- life -- */

static void
ignore_log(void *arg, const char *format, va_list args)
{
}

static struct MHD_Daemon *
start(struct control *c, unsigned idle_s)
{
	return MHD_start_daemon(
	    MHD_USE_EPOLL | MHD_USE_NO_LISTEN_SOCKET | MHD_USE_ERROR_LOG, 0,
	    NULL, NULL, handle, c, MHD_OPTION_EXTERNAL_LOGGER, ignore_log, NULL,
	    MHD_OPTION_NOTIFY_COMPLETED, on_completed, c,
	    MHD_OPTION_NOTIFY_CONNECTION, on_connection, c,
	    MHD_OPTION_CONNECTION_LIMIT, 2u * c->conns_max,
	    MHD_OPTION_CONNECTION_TIMEOUT, idle_s, MHD_OPTION_END);
}

static bool
open_events(struct control *c, struct event_base *base)
{
	const union MHD_DaemonInfo *info =
	    MHD_get_daemon_info(c->daemon, MHD_DAEMON_INFO_EPOLL_FD);

	if (info == NULL || fcntl(c->fd, F_SETFL, O_NONBLOCK) != 0)
		return false;
	c->events[INSIDE] =
	    event_new(base, info->epoll_fd, EV_READ | EV_PERSIST, on_daemon, c);
	c->events[LIMIT] = event_new(base, -1, 0, on_daemon, c);
	c->events[PAUSE] = event_new(base, -1, 0, on_pause_over, c);
	c->events[LISTENER] =
	    event_new(base, c->fd, EV_READ | EV_PERSIST, on_listener, c);
	for (int i = 0; i < N_EVENTS; i++)
		if (c->events[i] == NULL)
			return false;
	return event_add(c->events[INSIDE], NULL) == 0 &&
	    event_add(c->events[LISTENER], NULL) == 0;
}

struct control *
control_new(struct event_base *base, struct backend *backend, int fd,
    const char *name, unsigned idle_s)
{
	struct control *c = calloc(1, sizeof *c);

	if (c == NULL) {
		close(fd);
		return NULL;
	}
	TAILQ_INIT(&c->conns);
	c->backend = backend;
	c->name = name;
	c->fd = fd;
	c->conns_max = control_conns_max();
	c->daemon = start(c, idle_s);
	if (c->daemon == NULL || !open_events(c, base)) {
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
	for (int i = 0; i < N_EVENTS; i++)
		if (c->events[i] != NULL)
			event_free(c->events[i]);
	if (c->daemon != NULL)
		MHD_stop_daemon(c->daemon);
	endpoint_close(c->fd);
	free(c);
}
