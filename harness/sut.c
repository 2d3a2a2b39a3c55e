/* sut.c - see sut.h. */
#include "harness/sut.h"

#include <arpa/inet.h>
#include <errno.h>
#include <event2/event.h>
#include <fcntl.h>
#include <ftw.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "harness/lab.h"
#include "harness/listener.h"
#include "harness/trace.h"

#define LISTEN_FD 3
#define ARGS_MAX  64

struct sut {
	struct lab *lab;
	unsigned number;
	struct sockaddr_in address;
	pid_t pid;
	int pidfd, output_fd;
	struct event *exit_event, *output_event;
	bool listens;
	bool exited;
	bool is_known; /* … and somebody has asked how */
	int status;
	char dir[64];
	char config[80];
	char output[SUT_OUTPUT_MAX];
	size_t output_size;
	char *argv[ARGS_MAX + 1];
	char *env[ARGS_MAX + 1];
};

/* -------------------------------------------------------- substitution -- */

struct word {
	const char *name;
	char value[96];
};

enum { USES_LISTEN_FD = 1 << 0, USES_LISTEN = 1 << 1 };

static void
fill_words(const struct sut *s, const struct sockaddr_in *backend,
    struct word words[6])
{
	char ip[INET_ADDRSTRLEN];

	/* Longer names stand in front of their own beginnings. */
	words[0].name = "$LISTEN_FD";
	snprintf(words[0].value, sizeof words[0].value, "%d", LISTEN_FD);
	words[1].name = "$LISTEN";
	snprintf(words[1].value, sizeof words[1].value, "127.0.0.1:%d",
	    ntohs(s->address.sin_port));
	words[2].name = "$BACKEND_PORT";
	snprintf(words[2].value, sizeof words[2].value, "%d",
	    ntohs(backend->sin_port));
	words[3].name = "$BACKEND";
	inet_ntop(AF_INET, &backend->sin_addr, ip, sizeof ip);
	snprintf(words[3].value, sizeof words[3].value, "%s:%d", ip,
	    ntohs(backend->sin_port));
	words[4].name = "$CONFIG";
	snprintf(words[4].value, sizeof words[4].value, "%s", s->config);
	words[5].name = "$DIR";
	snprintf(words[5].value, sizeof words[5].value, "%s", s->dir);
}

/* used: gets the bit of each word that text has.
 * Returns: a new string, NULL when out of memory. */
static char *
substitute(const char *text, const struct word words[6], unsigned *used)
{
	char *out = NULL;
	size_t size = 0;
	FILE *f = open_memstream(&out, &size);

	if (f == NULL)
		return NULL;
	while (*text != '\0') {
		int i = 0;

		while (i < 6 &&
		    strncmp(text, words[i].name, strlen(words[i].name)) != 0)
			i++;
		if (i == 6) {
			fputc(*text++, f);
			continue;
		}
		*used |= 1U << i;
		fputs(words[i].value, f);
		text += strlen(words[i].name);
	}
	return fclose(f) == 0 ? out : NULL;
}

static bool
substitute_all(const char *const *from, char **to, const struct word words[6],
    unsigned *used)
{
	for (int i = 0; from != NULL && from[i] != NULL; i++)
		if (i == ARGS_MAX ||
		    (to[i] = substitute(from[i], words, used)) == NULL)
			return false;
	return true;
}

static bool
write_config(const struct sut *s, const char *text)
{
	FILE *f = fopen(s->config, "w");
	bool good;

	if (f == NULL)
		return false;
	good = fputs(text, f) >= 0;
	return fclose(f) == 0 && good;
}

/* --------------------------------------------------------------- events -- */

static void
take_output(struct sut *s)
{
	char spare[4096];
	ssize_t n;

	for (;;) {
		size_t room = sizeof s->output - 1 - s->output_size;

		n = room > 0
		    ? read(s->output_fd, s->output + s->output_size, room)
		    : read(s->output_fd, spare, sizeof spare);
		if (n <= 0)
			return;
		if (room > 0)
			s->output_size += n;
	}
}

static void
on_output(evutil_socket_t fd, short what, void *arg)
{
	take_output(arg);
}

/* The program stays unreaped, so that its id goes on to mean its process
 * group: sut_free() ends whatever it has left behind. */
static void
notice_exit(struct sut *s)
{
	char said[TRACE_TEXT], text[TRACE_TEXT];
	siginfo_t info = { 0 };

	if (s->exited ||
	    waitid(P_PID, (id_t)s->pid, &info, WEXITED | WNOHANG | WNOWAIT) !=
		0 ||
	    info.si_pid != s->pid)
		return;
	s->exited = true;
	s->status = info.si_code == CLD_EXITED ? W_EXITCODE(info.si_status, 0)
					       : W_EXITCODE(0, info.si_status);
	event_del(s->exit_event);
	take_output(s);
	trace_snippet(said, s->output, s->output_size);
	snprintf(text, sizeof text, "%s %d%s%.32s",
	    WIFSIGNALED(s->status) ? "by signal" : "status",
	    WIFSIGNALED(s->status) ? WTERMSIG(s->status)
				   : WEXITSTATUS(s->status),
	    said[0] != '\0' ? ": " : "", said);
	lab_note(s->lab, "sut", s->number, "exited", 0, text);
}

static void
on_exit_event(evutil_socket_t fd, short what, void *arg)
{
	notice_exit(arg);
}

/* ---------------------------------------------------------------- child --- */

static void
become(const struct sut *s, pid_t parent, int listen_fd, int output_fd,
    int report_fd)
{
	sigset_t none;
	int error;

	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
	signal(SIGINT, SIG_DFL);
	signal(SIGPIPE, SIG_DFL);
	setpgid(0, 0);
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (getppid() != parent)
		_exit(127); /* it died before the line above */
	/* The report goes where nothing else will be put. */
	report_fd = fcntl(report_fd, F_DUPFD_CLOEXEC, LISTEN_FD + 1);
	dup2(output_fd, STDOUT_FILENO);
	dup2(output_fd, STDERR_FILENO);
	if (!s->listens)
		close(LISTEN_FD);
	else if (listen_fd == LISTEN_FD)
		fcntl(LISTEN_FD, F_SETFD, 0);
	else
		dup2(listen_fd, LISTEN_FD);
	for (int i = 0; s->env[i] != NULL; i++)
		putenv(s->env[i]);
	for (int fd = LISTEN_FD + 1; fd < 1024; fd++)
		if (fd != report_fd)
			close(fd);
	execvp(s->argv[0], s->argv);
	error = errno;
	(void)!write(report_fd, &error, sizeof error);
	_exit(127);
}

/* Returns: 0, or the errno that fork or exec met. */
static int
spawn(struct sut *s, int listen_fd, int output_fd)
{
	pid_t parent = getpid();
	int report[2], error = 0;

	if (pipe2(report, O_CLOEXEC) != 0)
		return errno;
	s->pid = fork();
	if (s->pid == 0)
		become(s, parent, listen_fd, output_fd, report[1]);
	close(report[1]);
	if (s->pid < 0)
		error = errno;
	else if (read(report[0], &error, sizeof error) != sizeof error)
		error = 0; /* exec closed it */
	close(report[0]);
	if (error != 0 && s->pid > 0) {
		waitpid(s->pid, NULL, 0);
		s->pid = -1;
	}
	return error;
}

/* ----------------------------------------------------------------- life --- */

static int
remove_one(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
	return remove(path);
}

static void
free_event(struct event *ev)
{
	if (ev != NULL)
		event_free(ev);
}

static void
sut_free(void *arg)
{
	struct sut *s = arg;

	if (s->pid > 0) {
		kill(-s->pid, SIGKILL);
		waitpid(s->pid, NULL, 0);
	}
	free_event(s->exit_event);
	free_event(s->output_event);
	if (s->pidfd >= 0)
		close(s->pidfd);
	if (s->output_fd >= 0)
		close(s->output_fd);
	if (s->dir[0] != '\0')
		nftw(s->dir, remove_one, 8, FTW_DEPTH | FTW_PHYS);
	for (int i = 0; i < ARGS_MAX; i++) {
		free(s->argv[i]);
		free(s->env[i]);
	}
	free(s);
}

static bool
make_dir(struct sut *s)
{
	const char *tmp = getenv("TMPDIR");

	if (tmp == NULL || strlen(tmp) > 32)
		tmp = "/tmp";
	snprintf(s->dir, sizeof s->dir, "%s/closerace-XXXXXX", tmp);
	if (mkdtemp(s->dir) == NULL) {
		s->dir[0] = '\0';
		return false;
	}
	snprintf(s->config, sizeof s->config, "%s/config", s->dir);
	return true;
}

/* Fill in argv, env and the config file.  Returns: NULL, or what is wrong. */
static const char *
prepare(struct sut *s, const struct sut_options *o)
{
	struct word words[6];
	unsigned used = 0;
	bool good = true;
	char *config;

	if (!make_dir(s))
		return "cannot make a temporary directory";
	fill_words(s, &o->backend, words);
	if (!substitute_all(o->argv, s->argv, words, &used) ||
	    !substitute_all(o->env, s->env, words, &used))
		return "out of memory, or more than 64 arguments";
	if (o->config != NULL) {
		config = substitute(o->config, words, &used);
		good = config != NULL && write_config(s, config);
		free(config);
	}
	if (!good)
		return "cannot write the config file";
	if ((used & USES_LISTEN) != 0 && (used & USES_LISTEN_FD) == 0)
		return "$LISTEN without $LISTEN_FD: the program must take its "
		       "listening socket as a descriptor";
	s->listens = (used & USES_LISTEN_FD) != 0;
	return NULL;
}

static bool
watch(struct sut *s)
{
	s->pidfd = (int)syscall(SYS_pidfd_open, s->pid, 0);
	if (s->pidfd < 0)
		return false;
	s->exit_event = event_new(
	    lab_base(s->lab), s->pidfd, EV_READ | EV_PERSIST, on_exit_event, s);
	s->output_event = event_new(lab_base(s->lab), s->output_fd,
	    EV_READ | EV_PERSIST | EV_ET, on_output, s);
	return s->exit_event != NULL && s->output_event != NULL &&
	    event_add(s->exit_event, NULL) == 0 &&
	    event_add(s->output_event, NULL) == 0;
}

/* Returns: 0, or an errno. */
static int
start(struct sut *s, int listen_fd)
{
	int output[2], error;

	if (pipe2(output, O_CLOEXEC) != 0)
		return errno;
	s->output_fd = output[0];
	fcntl(output[0], F_SETFL, O_NONBLOCK);
	/* The program decides by itself whether its socket blocks. */
	fcntl(listen_fd, F_SETFL, fcntl(listen_fd, F_GETFL) & ~O_NONBLOCK);
	error = spawn(s, listen_fd, output[1]);
	close(output[1]);
	if (error == 0 && !watch(s))
		error = errno;
	return error;
}

struct sut *
sut_new(struct lab *lab, const struct sut_options *o, char *error,
    size_t error_size)
{
	struct sut *s = calloc(1, sizeof *s);
	const char *wrong;
	int fd, code;

	if (s == NULL) {
		snprintf(error, error_size, "out of memory");
		return NULL;
	}
	s->lab = lab;
	s->pidfd = s->output_fd = -1;
	fd = listener_take(&s->address);
	wrong = fd < 0 ? "cannot make a listening socket" : prepare(s, o);
	if (wrong != NULL) {
		snprintf(error, error_size, "%s", wrong);
		goto fail;
	}
	code = start(s, fd);
	if (code != 0) {
		snprintf(
		    error, error_size, "%s: %s", s->argv[0], strerror(code));
		goto fail;
	}
	s->number = lab_enrol(lab, LAB_SUT, s, sut_free, NULL);
	if (s->number == 0) {
		snprintf(error, error_size, "out of memory");
		goto fail;
	}
	/* Only the program holds it now: when it dies, clients learn it. */
	close(fd);
	lab_go_real(lab);
	lab_note(lab, "sut", s->number, "started", 0, s->argv[0]);
	return s;
fail:
	if (fd >= 0)
		close(fd);
	sut_free(s);
	return NULL;
}

unsigned
sut_number(const struct sut *s)
{
	return s->number;
}

const struct sockaddr_in *
sut_address(const struct sut *s)
{
	return s->listens ? &s->address : NULL;
}

int
sut_pid(const struct sut *s)
{
	return s->pid;
}

bool
sut_has_exited(const struct sut *s, int *status)
{
	if (s->exited)
		*status = s->status;
	return s->exited;
}

void
sut_acknowledge(struct sut *s)
{
	s->is_known = s->is_known || s->exited;
}

bool
sut_has_failed(struct sut *s)
{
	notice_exit(s);
	return s->exited && s->status != 0 && !s->is_known;
}

const char *
sut_output(const struct sut *s)
{
	return s->output;
}
