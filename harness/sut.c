/* sut.c - see sut.h. */
#include "harness/sut.h"

#include <arpa/inet.h>
#include <errno.h>
#include <event2/event.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "harness/folder.h"
#include "harness/lab.h"
#include "harness/listener.h"
#include "harness/patience.h"
#include "harness/trace.h"
#include "harness/warden.h"
#include "harness/words.h"

#define ARGS_MAX    64
#define CONFIG_NAME "config"

/* A program that rests for so many looks, of a millisecond and more, and does
 * not listen, never will; and one that has had so much processor time has gone
 * astray. */
#define REST_LOOKS 400
#define START_MS   60000

/* What is told of its output where it does not come up. */
#define LAST_WORDS 700

enum {
	LISTEN_FD,
	LISTEN,
	LISTEN_PORT,
	BACKEND,
	BACKEND_PORT,
	CONFIG,
	DIR,
	N_WORDS
};

/* What it writes. */
struct said {
	int fd;
	struct event *event;
	char text[SUT_OUTPUT_MAX];
	size_t size;
};

struct sut {
	struct lab *lab;
	unsigned number;
	struct sockaddr_in address;
	struct warden warden;
	struct tree *tree;
	int port_fd; /* keeps its port for it; -1: it has none of its own */
	struct event *exit_event;
	bool runs; /* there is a warden */
	bool listens;
	bool exited;
	bool is_known; /* … and somebody has asked how */
	bool is_stopped;
	int status;
	char dir[FOLDER_PATH_MAX];
	struct said output, errors; /* errors: where they are kept apart */
	char *argv[ARGS_MAX + 1];
	char *env[ARGS_MAX + 1];
};

static unsigned n_running;

/* -------------------------------------------------------- substitution -- */

static void
set_address(struct word *whole, struct word *port, const struct sockaddr_in *a)
{
	char ip[INET_ADDRSTRLEN];

	inet_ntop(AF_INET, &a->sin_addr, ip, sizeof ip);
	snprintf(
	    whole->value, sizeof whole->value, "%s:%d", ip, ntohs(a->sin_port));
	snprintf(port->value, sizeof port->value, "%d", ntohs(a->sin_port));
}

static void
set_words(const struct sut *s, const struct sockaddr_in *backend,
    struct word words[N_WORDS])
{
	static const char *const names[N_WORDS] = { "$LISTEN_FD", "$LISTEN",
		"$LISTEN_PORT", "$BACKEND", "$BACKEND_PORT", "$CONFIG",
		"$DIR" };

	for (int i = 0; i < N_WORDS; i++)
		words[i].name = names[i];
	snprintf(words[LISTEN_FD].value, sizeof words[LISTEN_FD].value, "%d",
	    WARDEN_LISTEN_FD);
	set_address(&words[LISTEN], &words[LISTEN_PORT], &s->address);
	set_address(&words[BACKEND], &words[BACKEND_PORT], backend);
	snprintf(words[CONFIG].value, sizeof words[CONFIG].value, "%s/%s",
	    s->dir, CONFIG_NAME);
	snprintf(words[DIR].value, sizeof words[DIR].value, "%s", s->dir);
}

static bool
fill_all(const char *const *from, char **to, const struct word words[N_WORDS])
{
	for (int i = 0; from != NULL && from[i] != NULL; i++)
		if (i == ARGS_MAX ||
		    (to[i] = words_fill(from[i], words, N_WORDS, NULL)) == NULL)
			return false;
	return true;
}

static bool
write_file(const struct sut *s, const char *name, const char *text,
    const struct word words[N_WORDS])
{
	char *filled = words_fill(text, words, N_WORDS, NULL);
	bool good = filled != NULL && folder_write(s->dir, name, filled);

	free(filled);
	return good;
}

static bool
write_files(const struct sut *s, const struct sut_options *o,
    const struct word words[N_WORDS])
{
	bool good =
	    o->config == NULL || write_file(s, CONFIG_NAME, o->config, words);

	for (size_t i = 0; i < o->n_files && good; i++)
		good = write_file(s, o->files[i].name, o->files[i].text, words);
	return good;
}

/* Fill in argv, env, the config file and the others.
 * Returns: NULL, or what is wrong. */
static const char *
prepare(struct sut *s, const struct sut_options *o)
{
	struct word words[N_WORDS];

	if (!folder_make(s->dir))
		return "cannot make a temporary directory";
	for (size_t i = 0; i < o->n_files; i++)
		if (folder_is_left_by(o->files[i].name))
			return "the name of a file leads out of its directory";
	set_words(s, &o->backend, words);
	if (!fill_all(o->argv, s->argv, words) ||
	    !fill_all(o->env, s->env, words))
		return "out of memory, or more than 64 arguments";
	if (!write_files(s, o, words))
		return "cannot write its files";
	return NULL;
}

/* --------------------------------------------------------------- events -- */

static void
take_said(struct said *said)
{
	char spare[4096];
	ssize_t n;

	while (said->fd >= 0) {
		size_t room = sizeof said->text - 1 - said->size;

		n = room > 0 ? read(said->fd, said->text + said->size, room)
			     : read(said->fd, spare, sizeof spare);
		if (n <= 0)
			return;
		if (room > 0)
			said->size += n;
	}
}

static void
take_output(struct sut *s)
{
	take_said(&s->output);
	take_said(&s->errors);
}

static void
on_output(evutil_socket_t fd, short what, void *arg)
{
	take_said(arg);
}

static void
notice_exit(struct sut *s)
{
	const struct said *last = &s->errors;
	char said[TRACE_TEXT], text[TRACE_TEXT];

	if (s->exited || !warden_has_ended(&s->warden, &s->status))
		return;
	s->exited = true;
	if (s->exit_event != NULL)
		event_del(s->exit_event);
	take_output(s);
	if (last->size == 0)
		last = &s->output;
	trace_snippet(said, last->text, last->size);
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

static bool
watch_said(struct sut *s, struct said *said)
{
	if (said->fd < 0)
		return true;
	said->event = event_new(lab_base(s->lab), said->fd,
	    EV_READ | EV_PERSIST | EV_ET, on_output, said);
	return said->event != NULL && event_add(said->event, NULL) == 0;
}

static bool
watch(struct sut *s)
{
	s->exit_event = event_new(lab_base(s->lab), s->warden.report_fd,
	    EV_READ | EV_PERSIST, on_exit_event, s);
	return s->exit_event != NULL && event_add(s->exit_event, NULL) == 0 &&
	    watch_said(s, &s->output) && watch_said(s, &s->errors);
}

/* ------------------------------------------------------------- readiness -- */

static int64_t
now_ms(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (int64_t)ts.tv_sec * 1000 + ts.tv_nsec / 1000000;
}

/* Does it accept connections?  Where many wait already, a connect() might take
 * minutes: it gets a millisecond. */
static bool
accepts(const struct sut *s)
{
	const struct linger now = { 1, 0 };
	const struct timeval moment = { 0, 1000 };
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	bool good = fd >= 0 &&
	    setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &moment, sizeof moment) ==
		0 &&
	    connect(fd, (const struct sockaddr *)&s->address,
		sizeof s->address) == 0;

	if (fd >= 0) {
		setsockopt(fd, SOL_SOCKET, SO_LINGER, &now, sizeof now);
		close(fd);
	}
	return good;
}

/* The last lines of what it said: why it gave up stands at the end. */
static const char *
last_words(struct sut *s)
{
	const char *from = s->output.text, *line;

	take_output(s);
	while (s->output.size > 0 && s->output.text[s->output.size - 1] == '\n')
		s->output.text[--s->output.size] = '\0';
	if (s->output.size > LAST_WORDS) {
		from += s->output.size - LAST_WORDS;
		line = strchr(from, '\n');
		from = line != NULL ? line + 1 : from;
	}
	return *from != '\0' ? from : "nothing";
}

/* Wait until it accepts connections.  Returns: NULL, or what it did instead. */
static const char *
wait_for_port(struct sut *s)
{
	struct pollfd fd = { .fd = s->warden.report_fd, .events = POLLIN };
	struct patience patience;
	unsigned n_rests = 0;
	enum tree_rest rest;

	patience_begin(&patience, START_MS);
	while (!accepts(s)) {
		poll(&fd, 1, 1); /* its end, if that comes first */
		notice_exit(s);
		take_output(s);
		if (s->exited)
			return "it ended";
		if (lab_is_interrupted())
			return "interrupted";
		if (lab_is_overdue(s->lab))
			return "the lab's deadline is over";
		rest = tree_rests(s->tree);
		n_rests = rest == TREE_HAS_RESTED ? n_rests + 1 : 0;
		if (n_rests > REST_LOOKS)
			return "it waits and does not listen there";
		if (rest == TREE_RUNS &&
		    patience_is_over(&patience, now_ms(), sut_used_ms(s)))
			return "it is busy and does not listen there";
	}
	return NULL;
}

/* ----------------------------------------------------------------- life --- */

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

	if (s->tree != NULL)
		lab_drop_tree(s->lab, s->tree);
	tree_free(s->tree);
	free_event(s->exit_event);
	free_event(s->output.event);
	free_event(s->errors.event);
	if (s->runs) {
		warden_end(&s->warden);
		n_running--;
	} else
		folder_remove(s->dir);
	if (s->output.fd >= 0)
		close(s->output.fd);
	if (s->errors.fd >= 0)
		close(s->errors.fd);
	if (s->port_fd >= 0)
		close(s->port_fd);
	for (int i = 0; i < ARGS_MAX; i++) {
		free(s->argv[i]);
		free(s->env[i]);
	}
	free(s);
}

/* The program goes on: what it has to do with a new beginning, it learns from
 * its connections. */
static void
sut_reset(void *arg)
{
	struct sut *s = arg;

	sut_continue(s);
}

/* Returns: the descriptor to write to; -1 with errno. */
static int
open_said(struct said *said)
{
	int ends[2];

	if (pipe2(ends, O_CLOEXEC) != 0)
		return -1;
	said->fd = ends[0];
	fcntl(ends[0], F_SETFL, O_NONBLOCK);
	return ends[1];
}

/* Returns: 0, or an errno. */
static int
start(struct sut *s, int listen_fd, bool apart)
{
	struct warden_order order = { s->argv, s->env, listen_fd,
		open_said(&s->output), -1, s->dir };
	int error = EMFILE;

	order.error_fd = apart ? open_said(&s->errors) : order.output_fd;
	if (order.output_fd >= 0 && order.error_fd >= 0)
		error = warden_start(&s->warden, &order);
	if (apart && order.error_fd >= 0)
		close(order.error_fd);
	if (order.output_fd >= 0)
		close(order.output_fd);
	if (error != 0)
		return error;
	s->runs = true;
	n_running++;
	s->tree = tree_new(s->warden.pid);
	if (s->tree == NULL || !watch(s))
		return ENOMEM;
	lab_add_tree(s->lab, s->tree);
	return 0;
}

/* Which of the words stand in what it is given? */
static unsigned
find_used(const struct sut_options *o)
{
	struct word words[N_WORDS];
	struct sut nowhere = { .dir = "" };
	unsigned used = 0;

	set_words(&nowhere, &o->backend, words);
	for (int i = 0; o->argv[i] != NULL; i++)
		free(words_fill(o->argv[i], words, N_WORDS, &used));
	for (int i = 0; o->env != NULL && o->env[i] != NULL; i++)
		free(words_fill(o->env[i], words, N_WORDS, &used));
	if (o->config != NULL)
		free(words_fill(o->config, words, N_WORDS, &used));
	for (size_t i = 0; i < o->n_files; i++)
		free(words_fill(o->files[i].text, words, N_WORDS, &used));
	return used;
}

/* Get the socket that it will be given, or the port that it will be told.
 * Returns: false with errno. */
static bool
find_place(struct sut *s, unsigned used, int *listen_fd)
{
	if ((used & (1U << LISTEN_FD)) != 0) {
		*listen_fd = listener_take(&s->address);
		if (*listen_fd < 0)
			return false;
		/* The program decides by itself whether its socket blocks. */
		fcntl(*listen_fd, F_SETFL,
		    fcntl(*listen_fd, F_GETFL) & ~O_NONBLOCK);
		s->listens = true;
	} else if ((used & (1U << LISTEN | 1U << LISTEN_PORT)) != 0) {
		s->port_fd = listener_reserve(&s->address);
		if (s->port_fd < 0)
			return false;
		s->listens = true;
	}
	return true;
}

/* Returns: true, or false with a sentence in error. */
static bool
set_up(struct sut *s, const struct sut_options *o, int *listen_fd, char *error,
    size_t error_size)
{
	const char *wrong = tree_lacks();
	unsigned used = find_used(o);
	int code;

	if (wrong != NULL) {
		snprintf(error, error_size, "%s", wrong);
		return false;
	}
	if (o->backend.sin_port == 0 &&
	    (used & (1U << BACKEND | 1U << BACKEND_PORT)) != 0) {
		snprintf(error, error_size,
		    "to is missing: $BACKEND stands for it; allowed: a "
		    "backend, or \"ADDR:PORT\"");
		return false;
	}
	if (!find_place(s, used, listen_fd)) {
		snprintf(error, error_size, "no port to listen on: %s",
		    strerror(errno));
		return false;
	}
	wrong = prepare(s, o);
	if (wrong != NULL) {
		snprintf(error, error_size, "%s", wrong);
		return false;
	}
	code = start(s, *listen_fd, o->apart);
	if (code != 0) {
		snprintf(
		    error, error_size, "%s: %s", s->argv[0], strerror(code));
		return false;
	}
	wrong = s->port_fd >= 0 ? wait_for_port(s) : NULL;
	if (wrong != NULL)
		snprintf(error, error_size,
		    "%s was to listen on 127.0.0.1:%d, but %s; it said: %s",
		    s->argv[0], ntohs(s->address.sin_port), wrong,
		    last_words(s));
	return wrong == NULL;
}

struct sut *
sut_new(struct lab *lab, const struct sut_options *o, char *error,
    size_t error_size)
{
	struct sut *s = calloc(1, sizeof *s);
	int listen_fd = -1;
	bool good;

	if (s == NULL) {
		snprintf(error, error_size, "out of memory");
		return NULL;
	}
	s->lab = lab;
	s->output.fd = s->errors.fd = s->port_fd = -1;
	good = set_up(s, o, &listen_fd, error, error_size);
	if (listen_fd >= 0)
		close(listen_fd);
	if (good) {
		s->number = lab_enrol(lab, LAB_SUT, s, sut_free, sut_reset);
		if (s->number == 0)
			snprintf(error, error_size, "out of memory");
	}
	if (s->number == 0) {
		sut_free(s);
		return NULL;
	}
	lab_go_real(lab);
	lab_note(lab, "sut", s->number, "started", 0, s->argv[0]);
	return s;
}

bool
sut_any_runs(void)
{
	return n_running > 0;
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
	return s->warden.program;
}

const char *
sut_dir(const struct sut *s)
{
	return s->dir;
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
sut_output(const struct sut *s, size_t *size)
{
	*size = s->output.size;
	return s->output.text;
}

const char *
sut_errors(const struct sut *s, size_t *size)
{
	*size = s->errors.size;
	return s->errors.text;
}

/* -------------------------------------------------------------- resting --- */

/* Has it ended, and the warden is only about to tell us? */
static bool
is_ending(struct sut *s)
{
	if (!s->exited && tree_has_ended(s->tree, s->warden.program))
		notice_exit(s);
	return !s->exited && tree_has_ended(s->tree, s->warden.program);
}

enum tree_rest
sut_rests(struct sut *s)
{
	enum tree_rest rest = tree_rests(s->tree);

	return rest != TREE_RUNS && is_ending(s) ? TREE_RUNS : rest;
}

bool
sut_ran(const struct sut *s)
{
	return tree_ran(s->tree);
}

int64_t
sut_used_ms(const struct sut *s)
{
	return tree_used_ms(s->tree);
}

void
sut_line_up(struct sut *s)
{
	tree_line_up(s->tree);
}

bool
sut_is_confined(const struct sut *s, int cpu)
{
	return s->is_stopped || tree_is_confined(s->tree, cpu);
}

void
sut_hold(struct sut *s)
{
	if (!s->is_stopped)
		tree_stop_resting(s->tree);
}

void
sut_let_go(struct sut *s)
{
	if (!s->is_stopped)
		tree_continue(s->tree);
}

void
sut_stop(struct sut *s)
{
	if (!s->is_stopped)
		tree_stop(s->tree);
	s->is_stopped = true;
}

void
sut_continue(struct sut *s)
{
	if (s->is_stopped)
		tree_continue(s->tree);
	s->is_stopped = false;
}
