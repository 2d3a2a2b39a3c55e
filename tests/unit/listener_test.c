/* The ports on which programs listen by themselves. */
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "check.h"
#include "harness/listener.h"

#define A_ROUND 10000 /* the ports that there are */

static unsigned
reserve(int *fd)
{
	struct sockaddr_in address;

	*fd = listener_reserve(&address);
	return *fd >= 0 ? ntohs(address.sin_port) : 0;
}

/* Does anybody get that port who looks through all of them? */
static bool
is_found(unsigned port)
{
	bool found = false;

	for (int i = 0; i < A_ROUND && !found; i++) {
		int fd;

		found = reserve(&fd) == port;
		if (fd >= 0)
			close(fd);
	}
	return found;
}

/* The same, by another process. */
static bool
is_found_by_another(unsigned port)
{
	pid_t child;
	int status;

	fflush(stdout); /* under valgrind even _exit() writes what is left */
	child = fork();
	if (child == 0)
		_exit(is_found(port));
	waitpid(child, &status, 0);
	return status != 0;
}

static int
listen_on(unsigned port)
{
	struct sockaddr_in a = { .sin_family = AF_INET };
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	a.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	a.sin_port = htons((in_port_t)port);
	if (bind(fd, (struct sockaddr *)&a, sizeof a) == 0 &&
	    listen(fd, 1) == 0)
		return fd;
	close(fd);
	return -1;
}

/* Anybody can have the names by which harnesses keep out of one another's way. */
static void
all_names_taken(void)
{
	struct rlimit limit;
	struct sockaddr_un name = { .sun_family = AF_UNIX };
	unsigned n = 0, port;
	int fd;

	getrlimit(RLIMIT_NOFILE, &limit);
	limit.rlim_cur = limit.rlim_max;
	setrlimit(RLIMIT_NOFILE, &limit);
	for (port = 20000; port < 20000 + A_ROUND; port++) {
		int size = snprintf(name.sun_path + 1, sizeof name.sun_path - 1,
		    "closerace-port-%u", port);

		fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
		n += fd >= 0 &&
		    (bind(fd, (struct sockaddr *)&name,
			 (socklen_t)(offsetof(struct sockaddr_un, sun_path) +
			     1 + (size_t)size)) == 0 ||
			errno == EADDRINUSE);
	}
	port = reserve(&fd);
	CHECK(n < A_ROUND || port != 0,
	    "who has all the names keeps nobody from a port%s",
	    n < A_ROUND ? " # SKIP too few descriptors" : "");
}

int
main(void)
{
	int fd, other_fd, program;
	unsigned port = reserve(&fd), other = reserve(&other_fd);

	CHECK(port > 1024 && port < 32768,
	    "a port is not one that the kernel gives away (%u)", port);
	CHECK(other != 0 && other != port, "the next one is another");
	program = listen_on(port);
	CHECK(program >= 0, "a program may listen there");
	close(program);
	CHECK(!is_found(port), "as long as it is kept, nobody gets it");
	CHECK(!is_found_by_another(port), "nor does another process");
	close(fd);
	CHECK(is_found(port), "then it is free again");
	program = listen_on(port);
	CHECK(program >= 0 && !is_found(port),
	    "one on which somebody listens is passed over");
	close(program);
	close(other_fd);
	all_names_taken();
	return CHECK_DONE();
}
