/* listener.c - see listener.h. */
#include "proxy/program/listener.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "proxy/options.h"

int
listener_parse(struct place *place, const char *text)
{
	char *end;
	long n;

	*place = (struct place){ .fd = -1 };
	if (strncmp(text, "fd@", 3) != 0)
		return proxy_options_address(&place->sin, text);
	n = strtol(text + 3, &end, 10);
	if (text[3] < '0' || text[3] > '9' || *end != '\0' || n > 1 << 20)
		return -1;
	place->fd = (int)n;
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

/* The first socket is bound as if it were alone, which fails where anybody
 * listens there, and shares its port from then on. */
static int
open_one(struct sockaddr_in *sin, bool is_first, bool shares)
{
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), on = 1, error;
	socklen_t size = sizeof *sin;

	if (fd < 0)
		return -1;
	setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
	if (!is_first)
		setsockopt(fd, SOL_SOCKET, SO_REUSEPORT, &on, sizeof on);
	if (bind(fd, (struct sockaddr *)sin, sizeof *sin) == 0 &&
	    (!is_first || !shares ||
		setsockopt(fd, SOL_SOCKET, SO_REUSEPORT, &on, sizeof on) ==
		    0) &&
	    listen(fd, SOMAXCONN) == 0 &&
	    getsockname(fd, (struct sockaddr *)sin, &size) == 0)
		return fd;
	error = errno;
	close(fd);
	errno = error;
	return -1;
}

int
listener_open(const struct place *place, int *fds, int n)
{
	struct sockaddr_in sin = place->sin;

	for (int i = 0; i < n; i++) {
		if (place->fd < 0)
			fds[i] = open_one(&sin, i == 0, n > 1);
		else if (i == 0)
			fds[i] = listens(place->fd) ? place->fd : -1;
		else
			fds[i] = fcntl(place->fd, F_DUPFD_CLOEXEC, 3);
		if (fds[i] < 0) {
			int error = errno;

			listener_close(fds, i);
			errno = error;
			return -1;
		}
	}
	return 0;
}
