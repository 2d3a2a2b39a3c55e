/* A process that lets nothing of a program outlive us.  The program is this
 * one again, or a shell. */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "check.h"
#include "harness/warden.h"

#define PATIENCE_MS 60000

static const char *self;

/* One program: what it is given, and what it says. */
struct scene {
	struct warden warden;
	char dir[64];
	int said_fd;
	char said[4096];
};

/* ------------------------------------------------------------ the program -- */

/* Which descriptors does it have, what is its stdin, how does it take signals? */
static int
tell_all(void)
{
	char path[64] = "";
	sigset_t mask;
	struct sigaction pipe, interrupt;

	if (readlink("/proc/self/fd/0", path, sizeof path - 1) < 0)
		return 1;
	printf("%s:", path);
	for (int fd = 0; fd < 900; fd++)
		if (fcntl(fd, F_GETFD) >= 0)
			printf(" %d", fd);
	sigprocmask(SIG_SETMASK, NULL, &mask);
	sigaction(SIGPIPE, NULL, &pipe);
	sigaction(SIGINT, NULL, &interrupt);
	printf("; %s; %s\n", getenv("PLACE") != NULL ? getenv("PLACE") : "",
	    pipe.sa_handler == SIG_DFL && interrupt.sa_handler == SIG_DFL &&
		    !sigismember(&mask, SIGTERM)
		? "signals as usual"
		: "odd signals");
	return 0;
}

/* A daemon: nobody's child any more, in a session of its own, deaf. */
static int
daemonize(void)
{
	if (fork() == 0) {
		setsid();
		if (fork() != 0)
			_exit(0);
		signal(SIGTERM, SIG_IGN);
		signal(SIGHUP, SIG_IGN);
		puts("up");
		fflush(stdout);
		for (;;)
			pause();
	}
	wait(NULL);
	return 0;
}

/* -------------------------------------------------------------- the scene -- */

/* Returns: as warden_start(). */
static int
start(struct scene *s, int listen_fd, const char *argv[])
{
	static char place[] = "PLACE=here";
	char *env[] = { place, NULL };
	struct warden_order order = { (char *const *)argv, env, listen_fd, -1,
		-1, s->dir };
	char path[96];
	int output[2], error, fd;

	memset(s, 0, sizeof *s);
	strcpy(s->dir, "/tmp/warden-test-XXXXXX");
	if (mkdtemp(s->dir) == NULL || pipe2(output, O_CLOEXEC) != 0)
		abort();
	snprintf(path, sizeof path, "%s/below", s->dir);
	mkdir(path, 0700);
	snprintf(path, sizeof path, "%s/below/file", s->dir);
	fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
	close(fd);
	s->said_fd = output[0];
	for (size_t i = 0; argv[i] != NULL; i++)
		if (argv[i][0] == '\0')
			argv[i] = s->dir; /* "": its directory */
	fflush(stdout); /* under valgrind even _exit() writes what is left */
	order.output_fd = order.error_fd = output[1];
	error = warden_start(&s->warden, &order);
	close(output[1]);
	return error;
}

static bool
exists(const char *path)
{
	struct stat st;

	return lstat(path, &st) == 0;
}

/* Wait until there is something to read, or for its end. */
static bool
comes(int fd, int ms)
{
	struct pollfd p = { .fd = fd, .events = POLLIN };

	return poll(&p, 1, ms) == 1;
}

/* Read a line of what it says. */
static const char *
listen_to(struct scene *s)
{
	size_t n = 0;

	while (n < sizeof s->said - 1 && comes(s->said_fd, PATIENCE_MS) &&
	    read(s->said_fd, s->said + n, 1) == 1 && s->said[n] != '\n')
		n++;
	s->said[n] = '\0';
	return s->said;
}

/* Nobody is left who could say anything. */
static bool
is_dead(const struct scene *s)
{
	char c;

	return comes(s->said_fd, 0) && read(s->said_fd, &c, 1) == 0;
}

static int
wait_for_end(struct scene *s)
{
	int status = -1;

	comes(s->warden.report_fd, PATIENCE_MS);
	return warden_has_ended(&s->warden, &status) ? status : -1;
}

static void
finish(struct scene *s)
{
	warden_end(&s->warden);
	close(s->said_fd);
}

/* ------------------------------------------------------------------ tests -- */

static void
cannot_run(const char *name, int expected)
{
	const char *argv[] = { name, NULL };
	char path[96];
	struct scene s;
	int error = start(&s, -1, argv);

	CHECK(error == expected, "%s: %s", name, strerror(error));
	CHECK(exists(s.dir), "its directory is still there");
	CHECK(waitpid(-1, NULL, WNOHANG) < 0 && errno == ECHILD,
	    "and no process is");
	CHECK(is_dead(&s), "nobody holds its output");
	snprintf(path, sizeof path, "%s/below/file", s.dir);
	unlink(path);
	snprintf(path, sizeof path, "%s/below", s.dir);
	rmdir(path);
	rmdir(s.dir);
	close(s.said_fd);
}

static void
ends(void)
{
	const char *with_status[] = { "sh", "-c", "exit 3", NULL };
	const char *by_signal[] = { "sh", "-c", "kill -9 $$", NULL };
	const char *still[] = { "sleep", "100000", NULL };
	struct scene s;
	int status;

	start(&s, -1, with_status);
	status = wait_for_end(&s);
	CHECK(WIFEXITED(status) && WEXITSTATUS(status) == 3,
	    "its exit status is told");
	CHECK(exists(s.dir), "its directory is there until we let go");
	finish(&s);
	CHECK(!exists(s.dir), "then it is removed, with all that is in it");
	start(&s, -1, by_signal);
	status = wait_for_end(&s);
	CHECK(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL,
	    "its signal is told");
	finish(&s);
	start(&s, -1, still);
	CHECK(!warden_has_ended(&s.warden, &status),
	    "one that runs has not "
	    "ended");
	finish(&s);
	CHECK(kill(s.warden.program, 0) != 0, "and is killed");
	CHECK(!exists(s.dir), "its directory is removed, too");
}

/* What a program may leave in its directory. */
static int
litter(void)
{
	char name[201];

	memset(name, 'x', sizeof name - 1);
	name[sizeof name - 1] = '\0';
	if (mkdir("locked", 0700) != 0 || mkdir("locked/below", 0700) != 0 ||
	    symlink("/", "locked/link") != 0 || chmod("locked/below", 0) != 0 ||
	    chmod("locked", 0500) != 0)
		return 1;
	for (int depth = 0; depth < 100; depth++)
		if (mkdir(name, 0500 | (depth < 99 ? 0200 : 0)) != 0 ||
		    chdir(name) != 0)
			return 2;
	return 0;
}

static void
leaves_litter(bool as_root)
{
	const char *argv[] = { self, "litter", "", NULL };
	struct scene s;
	int status = -1;
	pid_t us;

	fflush(stdout);
	us = fork();
	if (us == 0) {
		if (!as_root && setuid(65534) != 0)
			_exit(77);
		start(&s, -1, argv);
		status = wait_for_end(&s);
		finish(&s);
		_exit(status == 0 ? exists(s.dir) : 3);
	}
	waitpid(us, &status, 0);
	status = WIFEXITED(status) ? WEXITSTATUS(status) : -1;
	CHECK(status == 0 || status == 77,
	    "a directory that is locked, or too deep for a path, is removed "
	    "(%d)%s",
	    status, status == 77 ? " # SKIP not root" : "");
}

static void
sees(void)
{
	const char *argv[] = { self, "tell", NULL };
	int fds[2], high_fd, listen_fd;
	struct scene s;

	/* Some that nobody is to inherit, and that do not say so. */
	if (pipe(fds) != 0)
		abort();
	high_fd = fcntl(fds[0], F_DUPFD, 200);
	listen_fd = open("/dev/zero", O_RDONLY | O_CLOEXEC);
	signal(SIGPIPE, SIG_IGN);
	start(&s, -1, argv);
	listen_to(&s);
	CHECK(strcmp(s.said, "/dev/null: 0 1 2; here; signals as usual") == 0,
	    "a program finds only what it shall: %s", s.said);
	finish(&s);
	start(&s, listen_fd, argv);
	listen_to(&s);
	CHECK(strcmp(s.said, "/dev/null: 0 1 2 3; here; signals as usual") == 0,
	    "and its listener: %s", s.said);
	finish(&s);
	signal(SIGPIPE, SIG_DFL);
	close(fds[0]);
	close(fds[1]);
	close(high_fd);
	close(listen_fd);
}

/* What a descriptor of a process is; "" for none. */
static const char *
what_is(pid_t pid, int fd)
{
	static char text[128];
	char path[64];
	ssize_t n;

	snprintf(path, sizeof path, "/proc/%d/fd/%d", (int)pid, fd);
	n = readlink(path, text, sizeof text - 1);
	text[n > 0 ? n : 0] = '\0';
	return text;
}

static bool
has(pid_t pid, const char *what)
{
	for (int fd = 0; fd < 900; fd++)
		if (strcmp(what_is(pid, fd), what) == 0)
			return true;
	return false;
}

static void
holds(void)
{
	const char *argv[] = { "sleep", "100000", NULL };
	char out[128], leash[128], listener[128], pipe_of_ours[128];
	struct scene first, second;
	unsigned n = 0;
	int fds[2], listen_fd = open("/dev/zero", O_RDONLY | O_CLOEXEC);

	if (pipe(fds) != 0)
		abort();
	start(&first, -1, argv);
	start(&second, listen_fd, argv);
	strcpy(out, what_is(getpid(), second.said_fd));
	strcpy(leash, what_is(getpid(), first.warden.leash_fd));
	strcpy(listener, what_is(getpid(), listen_fd));
	strcpy(pipe_of_ours, what_is(getpid(), fds[0]));
	CHECK(has(second.warden.program, out), "the program holds its output");
	CHECK(!has(second.warden.pid, out), "the warden does not");
	CHECK(!has(second.warden.pid, listener), "nor its listener");
	CHECK(!has(second.warden.pid, leash), "nor another one's leash");
	CHECK(!has(second.warden.pid, pipe_of_ours), "nor anything of ours");
	for (int fd = 0; fd <= STDERR_FILENO; fd++)
		n += strcmp(what_is(second.warden.pid, fd), "/dev/null") == 0;
	CHECK(n == 3, "what it reads and writes is nothing");
	finish(&first);
	CHECK(kill(second.warden.program, 0) == 0, "each is ended by itself");
	finish(&second);
	close(fds[0]);
	close(fds[1]);
	close(listen_fd);
}

static void
daemon_ends(void)
{
	const char *argv[] = { self, "daemon", NULL };
	struct scene s;

	start(&s, -1, argv);
	CHECK(strcmp(listen_to(&s), "up") == 0, "a daemon is up");
	CHECK(wait_for_end(&s) == 0, "who has started it has ended");
	warden_end(&s.warden);
	CHECK(is_dead(&s), "it does not outlive the warden");
	CHECK(!exists(s.dir), "nor does the directory");
	close(s.said_fd);
}

/* The same, where we are killed ourselves. */
static void
daemon_ends_with_us(void)
{
	const char *argv[] = { self, "daemon", NULL };
	struct scene mine,
	    *s = mmap(NULL, sizeof *s, PROT_READ | PROT_WRITE,
		MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	int status, told[2];
	char c;
	pid_t us;

	prctl(PR_SET_CHILD_SUBREAPER, 1);
	if (pipe2(told, O_CLOEXEC) != 0)
		abort();
	fflush(stdout);
	us = fork();
	if (us == 0) {
		start(&mine, -1, argv);
		listen_to(&mine);
		*s = mine; /* the warden has a copy of its own */
		if (write(told[1], "!", 1) != 1)
			_exit(1);
		for (;;)
			pause();
	}
	CHECK(comes(told[0], PATIENCE_MS) && read(told[0], &c, 1) == 1 &&
		strcmp(s->said, "up") == 0,
	    "a daemon is up");
	CHECK(exists(s->dir), "its directory is there");
	kill(us, SIGKILL);
	waitpid(us, &status, 0);
	CHECK(WIFSIGNALED(status), "who has started the warden is killed");
	CHECK(waitpid(s->warden.pid, NULL, 0) == s->warden.pid,
	    "the warden ends");
	CHECK(waitpid(-1, NULL, 0) < 0 && errno == ECHILD,
	    "and nobody outlives it");
	CHECK(!exists(s->dir), "nor does the directory");
	close(told[0]);
	close(told[1]);
}

/* Needs: nobody else is in this process' mount namespace. */
static bool
hide_proc(void)
{
	return (unshare(CLONE_NEWNS) == 0 ||
		   unshare(CLONE_NEWUSER | CLONE_NEWNS) == 0) &&
	    mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) == 0 &&
	    mount("none", "/proc", "tmpfs", 0, NULL) == 0;
}

static void
ends_unseen(void)
{
	const char *argv[] = { "sh", "-c", "echo up; sleep 100000; :", NULL };
	struct scene s;
	int status = -1;
	pid_t us;

	fflush(stdout);
	us = fork();
	if (us == 0) {
		if (!hide_proc())
			_exit(77);
		start(&s, -1, argv);
		listen_to(&s);
		warden_end(&s.warden);
		_exit(is_dead(&s) && !exists(s.dir) ? 0 : 1);
	}
	waitpid(us, &status, 0);
	status = WIFEXITED(status) ? WEXITSTATUS(status) : -1;
	CHECK(status == 0 || status == 77,
	    "without /proc a program is ended, with its group%s",
	    status == 77 ? " # SKIP no mount namespace" : "");
}

int
main(int argc, char **argv)
{
	self = argv[0];
	if (argc > 2)
		return chdir(argv[2]) == 0 ? litter() : 4;
	if (argc > 1)
		return strcmp(argv[1], "tell") == 0 ? tell_all() : daemonize();
	cannot_run("./no-such-program", ENOENT);
	cannot_run("/", EACCES);
	ends();
	sees();
	holds();
	leaves_litter(true);
	leaves_litter(false);
	ends_unseen();
	daemon_ends();
	daemon_ends_with_us();
	return CHECK_DONE();
}
