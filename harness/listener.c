/* listener.c - see listener.h. */
#include "harness/listener.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

static int parked[LISTENERS_KEPT];
static unsigned n_parked;

static void
reset(int fd)
{
	struct linger lg = { 1, 0 };

	setsockopt(fd, SOL_SOCKET, SO_LINGER, &lg, sizeof lg);
	close(fd);
}

static int
open_listener(void)
{
	struct sockaddr_in any = { .sin_family = AF_INET };
	int saved,
	    fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

	any.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	if (fd < 0)
		return -1;
	if (bind(fd, (struct sockaddr *)&any, sizeof any) == 0 &&
	    listen(fd, 1024) == 0)
		return fd;
	saved = errno;
	close(fd);
	errno = saved;
	return -1;
}

int
listener_take(struct sockaddr_in *address)
{
	socklen_t size = sizeof *address;
	int fd = n_parked > 0 ? parked[--n_parked] : open_listener();

	if (fd >= 0)
		getsockname(fd, (struct sockaddr *)address, &size);
	return fd;
}

void
listener_park(int fd)
{
	int waiting;

	if (n_parked == LISTENERS_KEPT) {
		close(fd);
		return;
	}
	while ((waiting = accept4(fd, NULL, NULL, SOCK_CLOEXEC)) >= 0)
		reset(waiting);
	parked[n_parked++] = fd;
}

void
listener_forked(void)
{
	while (n_parked > 0)
		close(parked[--n_parked]);
}
