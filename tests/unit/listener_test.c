/* The ports on which programs listen by themselves. */
#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdbool.h>
#include <sys/socket.h>
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
	return CHECK_DONE();
}
