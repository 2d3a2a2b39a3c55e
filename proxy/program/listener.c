/* listener.c - see listener.h. */
#include "proxy/program/listener.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

int
listener_parse(
    struct listen_at *at, const char *text, char *why, size_t why_size)
{
	char *end;
	long n;

	*at = (struct listen_at){ .fd = -1 };
	if (strncmp(text, "fd@", 3) != 0)
		return place_parse(&at->place, text, why, why_size);
	n = strtol(text + 3, &end, 10);
	if (text[3] < '0' || text[3] > '9' || *end != '\0' || n > 1 << 20)
		return -1;
	at->fd = (int)n;
	return 0;
}

void
listener_close(int *fds, int n)
{
	for (int i = 0; i < n; i++) {
		if (fds[i] >= 0)
			close(fds[i]);
		fds[i] = -1;
	}
}

static bool
listens(int fd)
{
	int yes = 0;
	socklen_t size = sizeof yes;

	if (getsockopt(fd, SOL_SOCKET, SO_ACCEPTCONN, &yes, &size) != 0)
		return false;
	if (!yes)
		errno = EINVAL;
	return yes;
}

/* Remove a Unix socket that a dead process has left. */
static void
sweep(const struct sockaddr_un *un, socklen_t size)
{
	struct stat st;
	int fd;

	if (lstat(un->sun_path, &st) != 0 || !S_ISSOCK(st.st_mode))
		return;
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return;
	if (connect(fd, (const struct sockaddr *)un, size) != 0 &&
	    errno == ECONNREFUSED)
		unlink(un->sun_path);
	close(fd);
}

/* The first socket is bound as if it were alone, which fails where anybody
 * listens there, and shares its port from then on. */
static int
open_one(
    struct sockaddr_storage *at, socklen_t size, bool is_first, bool shares)
{
	int fd = socket(at->ss_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
	int on = 1, error;

	if (fd < 0)
		return -1;
	if (at->ss_family == AF_UNIX) {
		sweep((const struct sockaddr_un *)at, size);
		shares = false;
	}
	setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
	if (!is_first)
		setsockopt(fd, SOL_SOCKET, SO_REUSEPORT, &on, sizeof on);
	if (bind(fd, (struct sockaddr *)at, size) == 0 &&
	    (!is_first || !shares ||
		setsockopt(fd, SOL_SOCKET, SO_REUSEPORT, &on, sizeof on) ==
		    0) &&
	    listen(fd, SOMAXCONN) == 0 &&
	    getsockname(fd, (struct sockaddr *)at, &size) == 0)
		return fd;
	error = errno;
	close(fd);
	errno = error;
	return -1;
}

/* On the first address that this machine has, those of IPv4 first: who is given
 * a name for a listener, and no address, may know of no other.  at: where. */
static int
open_first(const struct place *p, bool shares, struct sockaddr_storage *at)
{
	int fd = -1;

	errno = EADDRNOTAVAIL;
	for (int six = 0; six <= 1; six++)
		for (size_t i = 0; i < p->n && fd < 0 &&
		     (errno == EADDRNOTAVAIL || errno == EAFNOSUPPORT);
		     i++)
			if ((p->at[i].ss_family == AF_INET6) == six) {
				*at = p->at[i];
				fd = open_one(at, p->size[i], true, shares);
			}
	return fd;
}

static socklen_t
size_of(const struct sockaddr_storage *at)
{
	return at->ss_family == AF_INET ? sizeof(struct sockaddr_in)
					: sizeof(struct sockaddr_in6);
}

int
listener_open(const struct listen_at *where, int *fds, int n)
{
	struct sockaddr_storage at = { 0 };

	for (int i = 0; i < n; i++) {
		bool own = where->fd < 0;

		if (i == 0 && own)
			fds[i] = open_first(&where->place, n > 1, &at);
		else if (i == 0)
			fds[i] = listens(where->fd) ? where->fd : -1;
		else if (own && at.ss_family != AF_UNIX)
			fds[i] = open_one(&at, size_of(&at), false, true);
		else
			fds[i] = fcntl(fds[0], F_DUPFD_CLOEXEC, 3);
		if (fds[i] < 0) {
			int error = errno;

			listener_close(fds, i);
			errno = error;
			return -1;
		}
	}
	return 0;
}

void
listener_remove(const struct listen_at *where)
{
	const struct sockaddr_un *un =
	    (const struct sockaddr_un *)&where->place.at[0];

	if (where->fd < 0 && where->place.n > 0 && un->sun_family == AF_UNIX)
		unlink(un->sun_path);
}
