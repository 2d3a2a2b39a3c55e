/* warden.c - see warden.h.
 *
 *	we ──leash──> warden ──fork, exec──> program ──> its children …
 *	   <──report─
 */
#include "harness/warden.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "harness/folder.h"

/* What the warden tells: first that the program runs, or why not; then how it
 * ended. */
struct report {
	pid_t program;
	int error; /* of exec */
	int status;
};

static int held_fd = -1; /* what every warden holds */

/* ---------------------------------------------------------- the program -- */

/* Close descriptors from first to last.  Not every kernel, nor whoever stands
 * in its place to watch, knows close_range(). */
static void
close_range_of(unsigned first, unsigned last)
{
	struct dirent *entry;
	DIR *dir;

	if (first > last || syscall(SYS_close_range, first, last, 0) == 0)
		return;
	dir = opendir("/proc/self/fd");
	while (dir != NULL && (entry = readdir(dir)) != NULL) {
		unsigned fd = (unsigned)atoi(entry->d_name);

		if (fd >= first && fd <= last && fd != (unsigned)dirfd(dir))
			close((int)fd);
	}
	if (dir != NULL)
		closedir(dir);
}

static void
close_all_above(int fd, int but)
{
	if (but > fd)
		close_range_of((unsigned)fd + 1, (unsigned)but - 1);
	close_range_of((unsigned)(but > fd ? but : fd) + 1, ~0U);
}

/* As a program expects to find them, whatever we have made of them. */
static void
reset_signals(void)
{
	for (int i = 1; i < NSIG; i++)
		signal(i, SIG_DFL);
}

static void
become(const struct warden_order *o, int report_fd)
{
	pid_t warden = getppid();
	int null_fd = open("/dev/null", O_RDONLY);
	sigset_t none;
	int error;

	reset_signals();
	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
	setpgid(0, 0);
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (getppid() != warden)
		_exit(127);
	/* The report goes where nothing else will be put. */
	report_fd = fcntl(report_fd, F_DUPFD_CLOEXEC, WARDEN_LISTEN_FD + 1);
	dup2(null_fd, STDIN_FILENO);
	dup2(o->output_fd, STDOUT_FILENO);
	dup2(o->error_fd, STDERR_FILENO);
	if (o->listen_fd < 0)
		close(WARDEN_LISTEN_FD);
	else if (o->listen_fd == WARDEN_LISTEN_FD)
		fcntl(WARDEN_LISTEN_FD, F_SETFD, 0);
	else
		dup2(o->listen_fd, WARDEN_LISTEN_FD);
	for (int i = 0; o->env[i] != NULL; i++)
		putenv(o->env[i]);
	close_all_above(WARDEN_LISTEN_FD, report_fd);
	execvp(o->argv[0], o->argv);
	error = errno;
	(void)!write(report_fd, &error, sizeof error);
	_exit(127);
}

/* Returns: 0, or the errno that fork or exec met. */
static int
spawn(const struct warden_order *o, pid_t *program)
{
	int report[2], error = 0;

	if (pipe2(report, O_CLOEXEC) != 0)
		return errno;
	*program = fork();
	if (*program == 0)
		become(o, report[1]);
	close(report[1]);
	if (*program < 0)
		error = errno;
	else if (read(report[0], &error, sizeof error) != sizeof error)
		error = 0; /* exec closed it */
	else
		waitpid(*program, NULL, 0); /* it holds nothing any more */
	close(report[0]);
	return error;
}

/* ----------------------------------------------------------- the warden -- */

/* Kill every child that /proc knows.  The kernel tells a page of them at most,
 * whose last number may be cut: only what ends is one.  Returns: false where
 * /proc tells nothing. */
static bool
kill_known(void)
{
	char path[64], text[4096], *p, *end;
	long pid;
	ssize_t n = -1;
	int fd;

	snprintf(
	    path, sizeof path, "/proc/self/task/%d/children", (int)getpid());
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd >= 0) {
		n = read(fd, text, sizeof text - 1);
		close(fd);
	}
	text[n > 0 ? n : 0] = '\0';
	for (p = text; (pid = strtol(p, &end, 10)) > 0 && *end == ' '; p = end)
		kill((pid_t)pid, SIGKILL);
	return n >= 0;
}

/* Whoever loses its parent becomes our child.  Where /proc is not there, the
 * program is known at least, and its process group; who has left that cannot
 * be found, and is not waited for. */
static void
kill_children(pid_t program)
{
	bool sees;

	kill(-program, SIGKILL);
	kill(program, SIGKILL);
	do {
		sees = kill_known();
	} while (waitpid(sees ? -1 : program, NULL, 0) > 0 || errno == EINTR);
}

/* Reap everything but the program: as long as it is not reaped, its id and its
 * process group are nobody else's.  Returns: the program has ended. */
static bool
reap(pid_t program, int *status)
{
	siginfo_t info;

	for (;;) {
		memset(&info, 0, sizeof info);
		if (waitid(P_ALL, 0, &info, WEXITED | WNOHANG | WNOWAIT) != 0 ||
		    info.si_pid == 0)
			return false;
		if (info.si_pid != program) {
			waitpid(info.si_pid, NULL, 0);
			continue;
		}
		*status = info.si_code == CLD_EXITED
		    ? W_EXITCODE(info.si_status, 0)
		    : W_EXITCODE(0, info.si_status);
		return true;
	}
}

static _Noreturn void
stand_guard(const struct warden_order *o, int leash_fd, int report_fd)
{
	struct report r = { .program = -1 };
	struct pollfd fds[2] = { { .fd = leash_fd }, { .events = POLLIN } };
	struct signalfd_siginfo info;
	sigset_t child;
	bool ended = false;

	setpgid(0, 0);
	prctl(PR_SET_NAME, "race-warden"); /* not for `pkill closerace` */
	prctl(PR_SET_CHILD_SUBREAPER, 1);
	sigemptyset(&child);
	sigaddset(&child, SIGCHLD);
	fds[1].fd = signalfd(-1, &child, SFD_CLOEXEC | SFD_NONBLOCK);
	reset_signals();
	signal(SIGINT, SIG_IGN);
	signal(SIGTERM, SIG_IGN);
	signal(SIGHUP, SIG_IGN);
	signal(SIGPIPE, SIG_IGN);
	sigprocmask(SIG_SETMASK, &child, NULL);
	r.error = spawn(o, &r.program);
	/* Only the program holds them now: when it dies, its clients learn it. */
	if (o->listen_fd >= 0)
		close(o->listen_fd);
	close(o->output_fd);
	close(o->error_fd);
	if (write(report_fd, &r, sizeof r) != sizeof r || r.error != 0)
		_exit(0);
	while ((fds[0].revents & POLLHUP) == 0) {
		if (poll(fds, 2, -1) < 0 && errno != EINTR)
			break;
		while (read(fds[1].fd, &info, sizeof info) > 0)
			continue;
		if (!ended && reap(r.program, &r.status)) {
			ended = true;
			(void)!write(report_fd, &r, sizeof r);
		}
	}
	kill_children(r.program);
	folder_remove(o->dir);
	_exit(0);
}

/* Keep what the warden needs, and no other descriptor: whoever holds our end
 * of somebody's leash keeps that one from ending, and whoever reads what we
 * write waits for us, not for our warden. */
static void
let_go(struct warden_order *o, int *leash_fd, int *report_fd)
{
	int *const needed[] = { &o->listen_fd, &o->output_fd, &o->error_fd,
		leash_fd, report_fd, &held_fd };
	int null_fd, next = STDERR_FILENO + 1;

	for (size_t i = 0; i < sizeof needed / sizeof *needed; i++)
		if (*needed[i] >= 0)
			*needed[i] = fcntl(*needed[i], F_DUPFD_CLOEXEC,
			    next + (int)(sizeof needed / sizeof *needed));
	for (size_t i = 0; i < sizeof needed / sizeof *needed; i++)
		if (*needed[i] >= 0)
			*needed[i] = dup3(*needed[i], next++, O_CLOEXEC);
	null_fd = open("/dev/null", O_RDWR | O_CLOEXEC);
	for (int fd = 0; fd <= STDERR_FILENO; fd++)
		dup2(null_fd, fd);
	close_all_above(next - 1, -1);
}

/* ------------------------------------------------------------------- ours -- */

/* What the warden tells first.  Returns: it told it. */
static bool
hear(int report_fd, struct report *r)
{
	ssize_t n;

	do
		n = read(report_fd, r, sizeof *r);
	while (n < 0 && errno == EINTR);
	return n == sizeof *r;
}

/* Fork the warden.  Our signal handlers are not for it: it begins with all
 * signals blocked, until it has its own. */
static pid_t
fork_quietly(void)
{
	sigset_t all, was;
	pid_t pid;

	sigfillset(&all);
	sigprocmask(SIG_SETMASK, &all, &was);
	pid = fork();
	if (pid != 0)
		sigprocmask(SIG_SETMASK, &was, NULL);
	return pid;
}

static void
close_pair(const int fds[2])
{
	close(fds[0]);
	close(fds[1]);
}

void
warden_hold(int fd)
{
	held_fd = fd;
}

int
warden_start(struct warden *w, const struct warden_order *order)
{
	struct warden_order o = *order;
	struct report r = { .error = ECHILD };
	int leash[2], report[2], error;

	if (pipe2(leash, O_CLOEXEC) != 0)
		return errno;
	if (pipe2(report, O_CLOEXEC) != 0) {
		error = errno;
		close_pair(leash);
		return error;
	}
	w->pid = fork_quietly();
	if (w->pid == 0) {
		let_go(&o, &leash[0], &report[1]);
		stand_guard(&o, leash[0], report[1]);
	}
	if (w->pid < 0)
		r.error = errno;
	close(leash[0]);
	close(report[1]);
	w->leash_fd = leash[1];
	w->report_fd = report[0];
	if (w->pid > 0 && !hear(report[0], &r))
		r.error = ECHILD;
	w->program = r.program;
	if (r.error == 0) {
		fcntl(report[0], F_SETFL, O_NONBLOCK);
		return 0;
	}
	close(w->leash_fd);
	close(w->report_fd);
	if (w->pid > 0)
		waitpid(w->pid, NULL, 0);
	return r.error;
}

bool
warden_has_ended(const struct warden *w, int *status)
{
	struct report r;
	ssize_t n = read(w->report_fd, &r, sizeof r);

	if (n < 0)
		return false;
	/* Somebody has killed the warden; the program dies with it. */
	*status = n == sizeof r ? r.status : W_EXITCODE(0, SIGKILL);
	return true;
}

void
warden_end(struct warden *w)
{
	close(w->leash_fd);
	while (waitpid(w->pid, NULL, 0) < 0 && errno == EINTR)
		continue;
	close(w->report_fd);
}
