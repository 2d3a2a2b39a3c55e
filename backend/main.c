/* main.c - closerace-backend: the backend as a program. */
#include <errno.h>
#include <event2/event.h>
#include <fcntl.h>
#include <inttypes.h>
#include <poll.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "backend/backend.h"
#include "backend/control.h"
#include "backend/endpoint.h"
#include "backend/events.h"
#include "backend/help.h"
#include "backend/output.h"

enum { EXIT_NEVER_FIRED = 1, EXIT_USAGE = 2 };

struct program {
	struct event_base *base;
	struct output *output;
	struct backend *backend;
	struct backend_options options;
	struct fault *faults;
	size_t n_faults;
	const char *listen, *control;
	size_t ledger_max;
};

enum { LEDGER_MAX = 100000, LEDGER_MOST = 100000000, CONTROL_IDLE_S = 30 };

/* ---------------------------------------------------------------- output -- */

/* To stderr, unless it is full: it may be the very pipe that is not read. */
static void say(const char *format, ...) __attribute__((format(printf, 1, 2)));

static void
say(const char *format, ...)
{
	struct pollfd p = { .fd = STDERR_FILENO, .events = POLLOUT };
	char line[1024] = "closerace-backend: ";
	size_t n = strlen(line);
	va_list args;

	va_start(args, format);
	n += (size_t)vsnprintf(line + n, sizeof line - n, format, args);
	va_end(args);
	if (n > sizeof line - 1)
		n = sizeof line - 1;
	line[n++] = '\n';
	if (poll(&p, 1, 0) == 1 && write(STDERR_FILENO, line, n) < 0)
		return; /* nothing is left to say it on */
}

static int
usage(const char *message)
{
	say("%s\nTry closerace-backend --help.", message);
	return EXIT_USAGE;
}

static void
on_lost(int error)
{
	say("standard output: %s; lines are lost",
	    error == EAGAIN ? "it is not read" : strerror(error));
}

static void
on_event(void *arg, const struct backend_event *e)
{
	struct program *p = arg;

	events_tell(p->output, e);
}

static void
on_signal(evutil_socket_t number, short what, void *arg)
{
	event_base_loopbreak(arg);
}

/* --------------------------------------------------------------- sockets -- */

static int
inherited(const char *text, char *error, size_t error_size)
{
	char *end;
	long fd = strtol(text, &end, 10);
	int listens = 0;
	socklen_t n = sizeof listens;

	if (end == text || *end != '\0' || fd < 0 || fd > 1 << 20 ||
	    getsockopt((int)fd, SOL_SOCKET, SO_ACCEPTCONN, &listens, &n) != 0 ||
	    !listens) {
		snprintf(error, error_size,
		    "fd@%s is not an inherited listening socket", text);
		return -1;
	}
	return (int)fd;
}

static int
open_listener(
    const char *option, const char *text, char *error, size_t error_size)
{
	const bool data = strcmp(option, "listen") == 0;
	char why[256] = "";
	struct endpoint e;
	int fd;

	if (data && strncmp(text, "fd@", 3) == 0)
		return inherited(text + 3, error, error_size);
	if (data && strncmp(text, "unix:", 5) == 0)
		snprintf(why, sizeof why, "endings are those of TCP");
	else if (endpoint_parse(&e, text, why, sizeof why) == 0) {
		fd = endpoint_listen(&e);
		if (fd < 0)
			snprintf(error, error_size, "--%s %s: %s", option, text,
			    strerror(errno));
		return fd;
	}
	snprintf(error, error_size,
	    "--%s: '%s' is not an address; allowed: %s%s%s%s", option, text,
	    data ? ENDPOINT_TCP_FORMS ", fd@N" : ENDPOINT_FORMS,
	    *why != '\0' ? " (" : "", why, *why != '\0' ? ")" : "");
	return -1;
}

static void
tell_address(struct output *o, const char *what, int fd)
{
	char text[ENDPOINT_TEXT];

	endpoint_of_socket(fd, text);
	output_line(o, "%s on %s", what, text);
}

/* ------------------------------------------------------------- arguments -- */

static int
add_fault(struct program *p, const char *keys, char *error, size_t error_size)
{
	struct fault *grown =
	    realloc(p->faults, (p->n_faults + 1) * sizeof *p->faults);

	if (grown == NULL) {
		snprintf(error, error_size, "out of memory");
		return -1;
	}
	p->faults = grown;
	if (fault_parse(&grown[p->n_faults], keys, error, error_size) != 0)
		return -1;
	p->n_faults++;
	return 0;
}

static int
set_ledger_max(
    struct program *p, const char *value, char *error, size_t error_size)
{
	char *end;
	unsigned long n = strtoul(value, &end, 10);

	if (*value < '0' || *value > '9' || *end != '\0' || n < 1 ||
	    n > LEDGER_MOST) {
		snprintf(error, error_size,
		    "ledger_max: '%s' is not allowed; allowed: 1 to %d", value,
		    LEDGER_MOST);
		return -1;
	}
	p->ledger_max = n;
	return 0;
}

/* An option by its name, written with _. */
static int
set(struct program *p, const char *name, const char *value, char *error,
    size_t error_size)
{
	if (strcmp(name, "listen") == 0) {
		p->listen = value;
		return 0;
	}
	if (strcmp(name, "control") == 0) {
		p->control = value;
		return 0;
	}
	if (strcmp(name, "fault") == 0)
		return add_fault(p, value, error, error_size);
	if (strcmp(name, "ledger_max") == 0)
		return set_ledger_max(p, value, error, error_size);
	return backend_options_set(&p->options, name, value, error, error_size);
}

static bool
is_option(const char *word)
{
	const char *name, *text;
	char value[64], allowed[128];

	for (size_t i = 0;
	     backend_options_describe(i, &name, &text, value, allowed) == 0;
	     i++)
		if (strcmp(name, word) == 0)
			return true;
	return strcmp(word, "listen") == 0 || strcmp(word, "control") == 0 ||
	    strcmp(word, "fault") == 0 || strcmp(word, "ledger_max") == 0;
}

/* --name VALUE, or --name=VALUE.  Returns: 0 or an exit status. */
static int
read_arguments(struct program *p, int argc, char **argv)
{
	char name[64], error[512];

	backend_options_init(&p->options);
	p->ledger_max = LEDGER_MAX;
	for (int i = 1; i < argc; i++) {
		const char *word = argv[i], *value;
		size_t size = strcspn(word, "=");

		if (strncmp(word, "--", 2) != 0) {
			snprintf(
			    error, sizeof error, "'%s' is not an option", word);
			return usage(error);
		}
		snprintf(name, sizeof name, "%.*s", (int)size - 2, word + 2);
		for (char *c = name; *c != '\0'; c++)
			if (*c == '-')
				*c = '_';
		value = word[size] == '=' ? word + size + 1 : argv[++i];
		if (value == NULL && is_option(name)) {
			snprintf(error, sizeof error, "%s needs a value", word);
			return usage(error);
		}
		if (set(p, name, value != NULL ? value : "", error,
			sizeof error) != 0)
			return usage(error);
	}
	if (p->listen == NULL)
		return usage("--listen is needed: ADDR:PORT, or fd@N");
	return 0;
}

/* ------------------------------------------------------------------- run -- */

/* Sockets here are edge-triggered.  Returns: NULL where that cannot be. */
static struct event_base *
new_base(void)
{
	struct event_config *config = event_config_new();
	struct event_base *base = NULL;

	if (config == NULL)
		return NULL;
	if (event_config_require_features(config, EV_FEATURE_ET) == 0 &&
	    event_config_set_flag(config, EVENT_BASE_FLAG_IGNORE_ENV) == 0)
		base = event_base_new_with_config(config);
	event_config_free(config);
	return base;
}

/* Returns: 0 or an exit status. */
static int
add_all_faults(struct program *p)
{
	bool vanishes = p->options.keep_alive_ms > 0 &&
	    p->options.keep_alive_close == ENDING_VANISH;

	for (size_t i = 0; i < p->n_faults; i++) {
		vanishes = vanishes || p->faults[i].close == ENDING_VANISH;
		if (backend_add_fault(p->backend, &p->faults[i]) < 0)
			return usage("out of memory");
	}
	return vanishes && backend_cannot_vanish() != NULL
	    ? usage(backend_cannot_vanish())
	    : 0;
}

static int
open_backend(struct program *p)
{
	char error[512];
	int fd = open_listener("listen", p->listen, error, sizeof error),
	    status;

	if (fd < 0)
		return usage(error);
	p->backend = backend_new(
	    p->base, &p->options, NULL, on_event, p, error, sizeof error);
	if (p->backend == NULL)
		return usage(error);
	backend_bound_ledger(p->backend, p->ledger_max);
	status = add_all_faults(p);
	if (status != 0)
		return status;
	if (backend_listen(p->backend, fd) != 0)
		return usage(strerror(errno));
	tell_address(p->output, "listening", fd);
	return 0;
}

static int
open_control(struct program *p, struct control **control)
{
	char error[512];
	int fd;

	if (p->control == NULL)
		return 0;
	fd = open_listener("control", p->control, error, sizeof error);
	if (fd < 0)
		return usage(error);
	tell_address(p->output, "control", fd);
	*control =
	    control_new(p->base, p->backend, fd, p->control, CONTROL_IDLE_S);
	return *control != NULL ? 0 : usage("the control API cannot start");
}

enum { N_SIGNALS = 2 };

static bool
open_signals(struct program *p, struct event *signals[N_SIGNALS])
{
	static const int numbers[N_SIGNALS] = { SIGINT, SIGTERM };
	bool good = true;

	for (int i = 0; i < N_SIGNALS; i++) {
		signals[i] =
		    evsignal_new(p->base, numbers[i], on_signal, p->base);
		good = good && signals[i] != NULL &&
		    event_add(signals[i], NULL) == 0;
	}
	return good;
}

/* From now on a second signal ends the process. */
static void
close_signals(struct event *signals[N_SIGNALS])
{
	for (int i = 0; i < N_SIGNALS; i++)
		if (signals[i] != NULL)
			event_free(signals[i]);
}

static int
open_all(struct program *p, struct control **control)
{
	int status;

	p->output = output_open(p->base, STDOUT_FILENO, on_lost);
	if (p->output == NULL) {
		say("standard output: %s", strerror(errno));
		return EXIT_USAGE;
	}
	status = open_backend(p);
	return status == 0 ? open_control(p, control) : status;
}

/* Say what is known at the end.  Returns: the exit status. */
static int
report(struct program *p)
{
	size_t n_never;
	uint64_t n_lost;

	output_finish(p->output);
	events_ledger(p->output, backend_ledger(p->backend));
	n_never = events_never_fired(p->output, p->backend);
	n_lost = output_close(p->output);
	p->output = NULL;
	if (n_lost > 0)
		say("standard output: %" PRIu64 " lines were lost", n_lost);
	if (n_never > 0)
		say("%zu %s never fired", n_never,
		    n_never == 1 ? "fault" : "faults");
	return n_never > 0 ? EXIT_NEVER_FIRED : EXIT_SUCCESS;
}

static int
run(struct program *p)
{
	struct control *control = NULL;
	struct event *signals[N_SIGNALS];
	int status = 0;

	if (!open_signals(p, signals))
		status = usage("out of memory");
	if (status == 0)
		status = open_all(p, &control);
	if (status == 0)
		event_base_dispatch(p->base);
	close_signals(signals);
	if (status == 0)
		status = report(p);
	output_close(p->output);
	control_free(control);
	backend_free(p->backend);
	return status;
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

int
main(int argc, char **argv)
{
	struct program p = { 0 };
	int status;

	open_standard();
	for (int i = 1; i < argc; i++) {
		if (strcmp(argv[i], "--help") == 0) {
			help_print();
			return fflush(stdout) == 0 ? EXIT_SUCCESS
						   : EXIT_FAILURE;
		}
		if (strcmp(argv[i], "--version") == 0) {
			printf("closerace-backend %s\n", CLOSERACE_VERSION);
			return EXIT_SUCCESS;
		}
	}
	signal(SIGPIPE, SIG_IGN);
	signal(
	    SIGXFSZ, SIG_IGN); /* a file at its limit is a write that fails */
	status = read_arguments(&p, argc, argv);
	if (status == 0) {
		p.base = new_base();
		status = p.base != NULL ? run(&p)
					: usage("out of memory or descriptors");
	}
	if (p.base != NULL)
		event_base_free(p.base);
	free(p.faults);
	return status;
}
