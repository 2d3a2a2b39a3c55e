/* listener.c - see listener.h. */
#include "harness/listener.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

/* Below the kernel's own, which begin with 32768 unless somebody has changed
 * that. */
#define FIRST_PORT 20000
#define N_PORTS	   10000

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
	    listen(fd, LISTENER_BACKLOG) == 0)
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

/* Nobody listens there. */
static bool
is_free(const struct sockaddr_in *address)
{
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	bool good = fd >= 0 &&
	    bind(fd, (const struct sockaddr *)address, sizeof *address) == 0;

	if (fd >= 0)
		close(fd);
	return good;
}

/* A name in the network namespace, which one process can have at a time.
 * is_named: else, it is done without. */
static int
lock_port(unsigned port, bool is_named)
{
	struct sockaddr_un name = { .sun_family = AF_UNIX };
	int size, fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	if (fd < 0 || !is_named)
		return fd;
	size = snprintf(name.sun_path + 1, sizeof name.sun_path - 1,
	    "closerace-port-%u", port);
	if (bind(fd, (struct sockaddr *)&name,
		(socklen_t)(offsetof(struct sockaddr_un, sun_path) + 1 +
		    (size_t)size)) == 0)
		return fd;
	close(fd);
	return -1;
}

int
listener_reserve(struct sockaddr_in *address)
{
	static unsigned next;

	if (next == 0 && getrandom(&next, sizeof next, GRND_NONBLOCK) < 0)
		next = (unsigned)getpid();
	*address = (struct sockaddr_in){ .sin_family = AF_INET };
	address->sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	/* Anybody can have all the names; then it is chance alone that keeps
	 * two harnesses apart. */
	for (unsigned i = 0; i < 2 * N_PORTS; i++) {
		unsigned port = FIRST_PORT + next++ % N_PORTS;
		int fd;

		address->sin_port = htons((in_port_t)port);
		if (!is_free(address))
			continue;
		fd = lock_port(port, i < N_PORTS);
		if (fd >= 0)
			return fd;
	}
	errno = EADDRINUSE;
	return -1;
}

void
listener_forked(void)
{
	while (n_parked > 0)
		close(parked[--n_parked]);
}
