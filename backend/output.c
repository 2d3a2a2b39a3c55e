/* output.c - see output.h. */
#include "backend/output.h"

#include <errno.h>
#include <event2/event.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

enum { BUFFER_SIZE = 1 << 20, LINE_SIZE = 4096, FINISH_WAIT_MS = 500 };

_Static_assert(LINE_SIZE <= PIPE_BUF, "a pipe would tear a line");

struct output {
	output_lost_fn *lost;
	struct event *rest;	/* the loop comes to rest */
	struct event *writable; /* the reader has made room */
	int fd;
	mode_t type; /* of file */
	bool waits;  /* for the loop to come to rest */
	bool torn;   /* what is first in the buffer ends a line begun */
	int wait_ms; /* for the reader, each time */
	uint64_t n_lost;
	size_t used;
	char buffer[BUFFER_SIZE];
};

/* --------------------------------------------------------------- writing -- */

/* Of size bytes, those of whole lines that a pipe takes in one piece. */
static size_t
one_piece(const char *bytes, size_t size)
{
	const char *end;

	if (size <= PIPE_BUF)
		return size;
	end = memrchr(bytes, '\n', PIPE_BUF);
	return end != NULL ? (size_t)(end - bytes) + 1 : PIPE_BUF;
}

/* One write that does not block, even if the descriptor would. */
static ssize_t
write_some(struct output *o, const char *bytes, size_t size)
{
	struct pollfd p = { .fd = o->fd, .events = POLLOUT };

	if (o->type == S_IFREG)
		return write(o->fd, bytes, size);
	size = one_piece(bytes, size);
	if (poll(&p, 1, o->wait_ms) == 0) {
		errno = EAGAIN;
		return -1;
	}
	return o->type == S_IFSOCK
	    ? send(o->fd, bytes, size, MSG_DONTWAIT | MSG_NOSIGNAL)
	    : write(o->fd, bytes, size);
}

/* Write what there is; what could not be written stays.  Returns: 0, EAGAIN
 * where the reader is slow, or an errno. */
static int
write_out(struct output *o)
{
	size_t at = 0;
	int error = 0;

	while (at < o->used && error == 0) {
		ssize_t n = write_some(o, o->buffer + at, o->used - at);

		if (n > 0) {
			at += (size_t)n;
			o->torn = o->buffer[at - 1] != '\n';
		} else if (n == 0) {
			error = EIO;
		} else if (errno != EINTR) {
			error = errno;
		}
	}
	if (at > 0)
		memmove(o->buffer, o->buffer + at, o->used - at);
	o->used -= at;
	return error;
}

static void
count_lost(struct output *o, uint64_t n, int error)
{
	if (o->n_lost == 0 && n > 0)
		o->lost(error);
	o->n_lost += n;
	/* A reader that has not read for so long is not waited for again. */
	o->wait_ms = 0;
}

/* Give up on the lines of which nothing was written. */
static void
give_up(struct output *o, int error)
{
	size_t first = 0;
	uint64_t n = 0;

	if (o->torn)
		first = (size_t)((char *)memchr(o->buffer, '\n', o->used) -
			    o->buffer) +
		    1;
	for (size_t i = first; i < o->used; i++)
		n += o->buffer[i] == '\n';
	o->used = first;
	count_lost(o, n, error);
}

static void
flush(struct output *o)
{
	int error = write_out(o);

	if (error == EAGAIN)
		event_add(o->writable, NULL);
	else if (error != 0)
		give_up(o, error);
}

static void
on_rest(evutil_socket_t fd, short what, void *arg)
{
	struct output *o = arg;

	o->waits = false;
	flush(o);
}

void
output_line(struct output *o, const char *format, ...)
{
	char *to;
	va_list args;
	size_t n;

	if (BUFFER_SIZE - o->used < LINE_SIZE)
		flush(o);
	if (BUFFER_SIZE - o->used < LINE_SIZE) {
		count_lost(o, 1, EAGAIN);
		return;
	}
	to = o->buffer + o->used;
	va_start(args, format);
	n = (size_t)vsnprintf(to, LINE_SIZE, format, args);
	va_end(args);
	if (n > LINE_SIZE - 1)
		n = LINE_SIZE - 1;
	to[n] = '\n';
	o->used += n + 1;
	if (!o->waits)
		event_active(o->rest, EV_TIMEOUT, 0);
	o->waits = true;
}

/* --------------------------------------------------------------- opening -- */

/* A pipe or terminal is opened once more, so that who shares it does not find
 * it non-blocking.  A file is not: who shares it goes on after our lines. */
static int
open_again(int fd, mode_t type)
{
	char path[32];
	int again = -1;

	snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
	if (type == S_IFIFO || type == S_IFCHR)
		again =
		    open(path, O_WRONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
	return again >= 0 ? again : fcntl(fd, F_DUPFD_CLOEXEC, 3);
}

struct output *
output_open(struct event_base *base, int fd, output_lost_fn *lost)
{
	struct output *o = calloc(1, sizeof *o);
	struct stat st;

	if (o == NULL)
		return NULL;
	o->lost = lost;
	o->fd = -1;
	if (fstat(fd, &st) == 0) {
		o->type = st.st_mode & S_IFMT;
		o->fd = open_again(fd, o->type);
	}
	if (o->fd >= 0) {
		o->rest = event_new(base, -1, 0, on_rest, o);
		o->writable = event_new(base, o->fd, EV_WRITE, on_rest, o);
		errno = ENOMEM;
	}
	if (o->rest != NULL && o->writable != NULL)
		return o;
	output_close(o);
	return NULL;
}

void
output_finish(struct output *o)
{
	o->wait_ms = FINISH_WAIT_MS;
}

uint64_t
output_close(struct output *o)
{
	uint64_t n_lost;
	int error;

	if (o == NULL)
		return 0;
	error = write_out(o);
	o->torn = false;
	if (error != 0)
		give_up(o, error);
	n_lost = o->n_lost;
	if (o->rest != NULL)
		event_free(o->rest);
	if (o->writable != NULL)
		event_free(o->writable);
	if (o->fd >= 0)
		close(o->fd);
	free(o);
	return n_lost;
}
