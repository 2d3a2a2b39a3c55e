/* log.c - see log.h. */
#include "proxy/program/log.h"

#include <errno.h>
#include <event2/event.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "proxy/program/say.h"

enum { BUFFER_SIZE = 65536, CLOSE_WAIT_MS = 1000 };

_Static_assert(LINE_SIZE <= PIPE_BUF, "a pipe would tear a line");

struct log {
	const char *path;
	enum line_format format;
	struct event_base *base;
	struct event *rest;	/* the loop comes to rest */
	struct event *writable; /* whoever reads it has made room */
	int fd;
	bool is_file;
	bool waits; /* for the loop to come to rest */
	bool torn;  /* what is first in the buffer ends a line begun */
	bool told;  /* that lines are lost */
	uint64_t n_lost;
	size_t used;
	char buffer[BUFFER_SIZE];
};

/* ----------------------------------------------------------------- writing */

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

/* stdout may be a pipe that blocks. */
static bool
takes_more(const struct log *l, int wait_ms)
{
	struct pollfd p = { .fd = l->fd, .events = POLLOUT };

	return l->is_file || poll(&p, 1, wait_ms) > 0;
}

/* Write what there is; what a full disk has cut off stays first.  Returns: 0,
 * EAGAIN where the reader is slow, or an errno. */
static int
write_out(struct log *l, int wait_ms)
{
	size_t at = 0;
	int error = 0;

	while (at < l->used && error == 0) {
		size_t size = l->used - at;
		ssize_t n = -1;

		if (!l->is_file)
			size = one_piece(l->buffer + at, size);
		errno = EAGAIN;
		if (takes_more(l, wait_ms))
			n = write(l->fd, l->buffer + at, size);
		if (n > 0) {
			at += (size_t)n;
			l->torn = l->buffer[at - 1] != '\n';
		} else if (n == 0) {
			error = EIO;
		} else if (errno != EINTR) {
			error = errno;
		}
	}
	l->used -= at;
	memmove(l->buffer, l->buffer + at, l->used);
	return error;
}

static void
tell_lost(struct log *l, int error)
{
	if (!l->told)
		say("access log %s: %s; lines are lost", l->path,
		    error == EAGAIN ? "nobody reads it" : strerror(error));
	l->told = true;
}

/* Give up on the lines of which nothing was written. */
static void
lose(struct log *l, int error)
{
	const char *first = l->buffer, *end = l->buffer + l->used;

	if (l->torn)
		first = (const char *)memchr(first, '\n', l->used) + 1;
	for (const char *c = first; c < end; c++)
		l->n_lost += *c == '\n';
	l->used = (size_t)(first - l->buffer);
	tell_lost(l, error);
}

void
log_flush(struct log *l)
{
	int error = write_out(l, 0);

	if (error == EAGAIN && l->writable != NULL)
		event_add(l->writable, NULL);
	else if (error != 0)
		lose(l, error);
}

static void
on_rest(evutil_socket_t fd, short what, void *arg)
{
	struct log *l = arg;

	l->waits = false;
	log_flush(l);
}

void
log_exchange(struct log *l, const struct line_facts *f)
{
	if (BUFFER_SIZE - l->used < LINE_SIZE)
		log_flush(l);
	if (BUFFER_SIZE - l->used < LINE_SIZE) {
		l->n_lost++;
		tell_lost(l, EAGAIN);
		return;
	}
	if (!l->waits)
		event_active(l->rest, EV_TIMEOUT, 0);
	l->waits = true;
	l->used += line_write(l->buffer + l->used, l->format, f);
}

uint64_t
log_n_lost(const struct log *l)
{
	return l->n_lost;
}

/* ----------------------------------------------------------------- opening */

/* A pipe is opened anew: whoever shares it would not like it to be
 * non-blocking.  A file is not: whoever shares it goes on behind our lines. */
static int
open_stdout(int flags)
{
	int mode = fcntl(STDOUT_FILENO, F_GETFL), fd = -1;
	struct stat st;

	if (mode < 0 || (mode & O_ACCMODE) == O_RDONLY) {
		errno = EBADF;
		return -1;
	}
	if (fstat(STDOUT_FILENO, &st) == 0 && S_ISFIFO(st.st_mode))
		fd = open("/proc/self/fd/1", flags);
	return fd >= 0 ? fd : fcntl(STDOUT_FILENO, F_DUPFD_CLOEXEC, 3);
}

static int
open_path(const char *path)
{
	const int flags = O_WRONLY | O_APPEND | O_NONBLOCK | O_CLOEXEC;

	return strcmp(path, "-") == 0 ? open_stdout(flags)
				      : open(path, flags | O_CREAT, 0666);
}

int
log_try(const char *path)
{
	int fd = open_path(path);

	return fd >= 0 ? close(fd) : -1;
}

/* Take fd into use. */
static void
use(struct log *l, int fd)
{
	struct stat st;

	l->fd = fd;
	l->is_file = fstat(fd, &st) == 0 && S_ISREG(st.st_mode);
	l->writable = event_new(l->base, fd, EV_WRITE, on_rest, l);
}

static void
drop(struct log *l)
{
	if (l->writable != NULL)
		event_free(l->writable);
	close(l->fd);
}

struct log *
log_open(struct event_base *base, const char *path, enum line_format format)
{
	struct log *l = calloc(1, sizeof *l);
	int fd = l != NULL ? open_path(path) : -1;

	if (fd < 0) {
		free(l);
		return NULL;
	}
	l->base = base;
	l->path = path;
	l->format = format;
	l->rest = event_new(base, -1, 0, on_rest, l);
	use(l, fd);
	if (l->rest != NULL && l->writable != NULL &&
	    event_priority_set(l->rest, LOG_PRIORITY) == 0)
		return l;
	log_close(l);
	errno = ENOMEM;
	return NULL;
}

int
log_reopen(struct log *l)
{
	int fd;

	log_flush(l);
	fd = open_path(l->path);
	if (fd < 0)
		return -1;
	drop(l);
	use(l, fd);
	l->told = false;
	return 0;
}

void
log_close(struct log *l)
{
	int error;

	if (l == NULL)
		return;
	error = write_out(l, CLOSE_WAIT_MS);
	l->torn = false;
	if (error != 0)
		lose(l, error);
	drop(l);
	if (l->rest != NULL)
		event_free(l->rest);
	free(l);
}
