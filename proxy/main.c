/* main.c - closerace-proxy, the proxy as a program of its own. */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include "proxy/program/arguments.h"
#include "proxy/program/log.h"
#include "proxy/program/program.h"
#include "proxy/program/say.h"

enum { EXIT_USAGE = 2 };

/* Returns: whether one of them was asked for. */
static bool
told_about_itself(int argc, char **argv)
{
	for (int i = 1; i < argc; i++) {
		if (strcmp(argv[i], "--help") == 0) {
			arguments_help();
			return true;
		}
		if (strcmp(argv[i], "--version") == 0) {
			printf(PROGRAM_NAME " %s\n", CLOSERACE_VERSION);
			return true;
		}
	}
	return false;
}

/* A standard descriptor that is closed would become a socket's, and what is said
 * would go there.  What is read-only still says that it cannot be written. */
static void
open_standard(void)
{
	int fd;

	do
		fd = open("/dev/null", O_RDONLY);
	while (fd >= 0 && fd <= STDERR_FILENO);
	if (fd >= 0)
		close(fd);
}

/* Two descriptors a client, and the pool: the soft limit is for others. */
static void
raise_limit(void)
{
	struct rlimit limit;

	if (getrlimit(RLIMIT_NOFILE, &limit) != 0)
		return;
	limit.rlim_cur = limit.rlim_max;
	setrlimit(RLIMIT_NOFILE, &limit);
}

/* Open what the command line names.  Returns: false, and says why. */
static bool
open_all(const struct arguments *a, int *listeners, int *admin)
{
	if (listener_open(&a->listen_at, listeners, a->n_workers) != 0) {
		say("--listen %s: %s", a->listen, strerror(errno));
		return false;
	}
	if (a->admin != NULL && listener_open(&a->admin_at, admin, 1) != 0) {
		say("--admin %s: %s", a->admin, strerror(errno));
		return false;
	}
	if (a->access_log != NULL && log_try(a->access_log) != 0) {
		say("--access-log %s: %s", a->access_log, strerror(errno));
		return false;
	}
	return true;
}

int
main(int argc, char **argv)
{
	static struct arguments a;
	static struct program p;
	int listeners[ARGUMENTS_WORKERS_MAX];
	char error[1024];
	int status;

	open_standard();
	if (told_about_itself(argc, argv))
		return fflush(stdout) == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
	if (arguments_read(&a, argc, argv, error, sizeof error) != 0) {
		say("%s (--help tells more)", error);
		return EXIT_USAGE;
	}
	signal(SIGPIPE, SIG_IGN);
	signal(
	    SIGXFSZ, SIG_IGN); /* a file at its limit is a write that fails */
	raise_limit();
	p.arguments = &a;
	p.admin_fd = -1;
	if (!open_all(&a, listeners, &p.admin_fd))
		return EXIT_USAGE;
	status = a.n_workers == 1 ? alone_run(&p, listeners[0])
				  : crew_run(&p, listeners);
	listener_remove(&a.listen_at);
	listener_remove(&a.admin_at);
	return status;
}
