/* main.c - closerace-backend: the backend as a program. */
#include <arpa/inet.h>
#include <errno.h>
#include <event2/event.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "backend/backend.h"
#include "backend/control.h"

enum { EXIT_USAGE = 2 };

struct program {
	struct event_base *base;
	struct backend *backend;
	struct backend_options options;
	struct fault *faults;
	size_t n_faults;
	const char *listen, *control;
};

/* "title word word …", in lines of 80 columns. */
static void
print_words(const char *title, const char *(*word)(int))
{
	int column = printf("%s", title);

	for (int i = 0; word(i) != NULL; i++) {
		if (column + 1 + strlen(word(i)) > 80)
			column = printf("\n ") - 1;
		column += printf(" %s", word(i));
	}
	printf("\n");
}

static const char *
key_word(int i)
{
	return fault_keys()[i];
}

static const char *
point_word(int i)
{
	return i < N_POINTS ? fault_point_name((enum close_point)i) : NULL;
}

static const char *
ending_word(int i)
{
	return i < N_ENDINGS ? fault_ending_name((enum ending)i) : NULL;
}

/* Text from that column on, broken at its blanks into lines of 80 columns. */
static void
print_folded(int at, const char *text)
{
	int column = at;

	while (*text != '\0') {
		int size = (int)strcspn(text, " ");

		if (column > at && column + 1 + size > 80)
			column = printf("\n%*s", at, "") - 1;
		else if (column > at)
			column += printf(" ");
		column += printf("%.*s", size, text);
		text += size + (text[size] == ' ');
	}
	printf("\n");
}

/* On the command line a name has dashes. */
static void
print_option(
    const char *name, const char *text, const char *value, const char *allowed)
{
	char spelt[64], range[256];

	snprintf(spelt, sizeof spelt, "%s", name);
	for (char *p = spelt; (p = strchr(p, '_')) != NULL;)
		*p = '-';
	printf("  --%-18s ", spelt);
	print_folded(23, text);
	snprintf(range, sizeof range, "(%s%s%s)", allowed,
	    value[0] != '\0' ? "; default " : "", value);
	printf("%23s", "");
	print_folded(23, range);
}

static void
print_help(void)
{
	const char *name, *text;
	char value[64], allowed[128];

	printf(
	    "usage: closerace-backend --listen ADDR:PORT [--fault KEYS]… "
	    "[--OPTION VALUE]…\n\n"
	    "An HTTP/1.1 origin server that ends its connections where it is "
	    "told to.\n\n"
	    "  --listen ADDR:PORT   where to accept; port 0 picks one\n"
	    "  --listen fd@N        accept on the inherited descriptor N\n"
	    "  --fault KEYS         as in conn=1,request=2,on=arrival,"
	    "close=rst\n"
	    "  --control ADDR:PORT  GET /ledger, GET, POST and DELETE "
	    "/faults\n"
	    "  --help, --version\n\n");
	for (size_t i = 0;
	     backend_options_describe(i, &name, &text, value, allowed) == 0;
	     i++)
		print_option(name, text, value, allowed);
	printf("\n");
	print_words("keys of a fault:", key_word);
	print_words("close points (on):", point_word);
	print_words("endings (close):", ending_word);
	printf("\nserves /bytes/N /chunked/N /echo /delay/MS /status/NNN and "
	       "/id/ID/…; a request's\nid is its X-Closerace-Id, or else ID\n\n"
	       "On stdout, a line an event, fields are KEY=VALUE and only ever "
	       "added:\n"
	       "  executed conn=N request=N id=ID\n"
	       "  answered conn=N request=N id=ID\n"
	       "  ended conn=N request=N id=ID on=POINT close=ENDING\n"
	       "and on SIGINT or SIGTERM the ledger, a line an attempt:\n"
	       "  attempt conn=N request=N id=ID method=METHOD path=PATH "
	       "unread=BYTES\n"
	       "    read=BYTES whole=0|1 executed=N answered=BYTES "
	       "answered_whole=0|1\n"
	       "    after_end=0|1 unseen=0|1 on=POINT|none "
	       "close=ENDING|none\n\n"
	       "exit status: 0, or 2 for wrong usage\n");
}

static int
usage(const char *message)
{
	fprintf(stderr,
	    "closerace-backend: %s\nTry closerace-backend --help.\n", message);
	return EXIT_USAGE;
}

/* ---------------------------------------------------------------- output -- */

static void
on_event(void *arg, const struct backend_event *e)
{
	const char *word = e->what == BACKEND_EXECUTED ? "executed"
	    : e->what == BACKEND_ANSWERED	       ? "answered"
	    : e->what == BACKEND_ENDED		       ? "ended"
						       : NULL;

	if (word == NULL)
		return;
	printf("%s conn=%u request=%u id=%s", word, e->conn, e->request, e->id);
	if (e->what == BACKEND_ENDED)
		printf(" on=%s close=%s", fault_point_name(e->point),
		    fault_ending_name(e->ending));
	printf("\n");
	fflush(stdout);
}

static void
print_ledger(const struct ledger *l)
{
	for (size_t i = 0; i < ledger_n_attempts(l); i++) {
		const struct ledger_attempt *a = ledger_attempt(l, i);

		printf("attempt conn=%u request=%u id=%s method=%s path=%s "
		       "unread=%zu read=%zu whole=%d executed=%u "
		       "answered=%zu answered_whole=%d after_end=%d "
		       "unseen=%d on=%s close=%s\n",
		    a->conn, a->request, a->id, a->method, a->path, a->unread,
		    a->read, a->whole, a->executed, a->answered,
		    a->answered_whole, a->after_end, a->unseen,
		    fault_point_name(a->ended_on),
		    fault_ending_name(a->ending));
	}
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
parse_address(const char *text, struct sockaddr_in *sin)
{
	const char *colon = strrchr(text, ':');
	char address[INET_ADDRSTRLEN];
	char *end;
	long port;

	memset(sin, 0, sizeof *sin);
	sin->sin_family = AF_INET;
	if (colon == NULL || (size_t)(colon - text) >= sizeof address)
		return -1;
	memcpy(address, text, (size_t)(colon - text));
	address[colon - text] = '\0';
	port = strtol(colon + 1, &end, 10);
	if (end == colon + 1 || *end != '\0' || port < 0 || port > 65535)
		return -1;
	sin->sin_port = htons((unsigned short)port);
	return inet_pton(AF_INET, address, &sin->sin_addr) == 1 ? 0 : -1;
}

static int
open_listener(const char *text, char *error, size_t error_size)
{
	struct sockaddr_in sin;
	int on = 1, fd;

	if (strncmp(text, "fd@", 3) == 0)
		return inherited(text + 3, error, error_size);
	if (parse_address(text, &sin) != 0) {
		snprintf(error, error_size,
		    "'%s' is not an address; allowed: ADDR:PORT, fd@N", text);
		return -1;
	}
	fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (fd < 0) {
		snprintf(error, error_size, "socket: %s", strerror(errno));
		return -1;
	}
	setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
	if (bind(fd, (struct sockaddr *)&sin, sizeof sin) != 0 ||
	    listen(fd, SOMAXCONN) != 0) {
		snprintf(error, error_size, "%s: %s", text, strerror(errno));
		close(fd);
		return -1;
	}
	return fd;
}

static void
print_address(const char *what, int fd)
{
	struct sockaddr_in sin = { 0 };
	socklen_t n = sizeof sin;
	char address[INET_ADDRSTRLEN] = "";

	getsockname(fd, (struct sockaddr *)&sin, &n);
	inet_ntop(AF_INET, &sin.sin_addr, address, sizeof address);
	fprintf(stderr, "closerace-backend: %s on %s:%u\n", what, address,
	    ntohs(sin.sin_port));
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
	    strcmp(word, "fault") == 0;
}

/* --name VALUE, or --name=VALUE.  Returns: 0 or an exit status. */
static int
read_arguments(struct program *p, int argc, char **argv)
{
	char name[64], error[512];

	backend_options_init(&p->options);
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

static int
open_backend(struct program *p)
{
	char error[512];
	int fd = open_listener(p->listen, error, sizeof error);

	if (fd < 0)
		return usage(error);
	p->backend = backend_new(
	    p->base, &p->options, NULL, on_event, NULL, error, sizeof error);
	if (p->backend == NULL)
		return usage(error);
	for (size_t i = 0; i < p->n_faults; i++) {
		const char *why = p->faults[i].close == ENDING_VANISH
		    ? backend_cannot_vanish()
		    : NULL;

		if (why != NULL)
			return usage(why);
		if (backend_add_fault(p->backend, &p->faults[i]) < 0)
			return usage("out of memory");
	}
	if (backend_listen(p->backend, fd) != 0)
		return usage(strerror(errno));
	print_address("listening", fd);
	return 0;
}

static int
open_control(struct program *p, struct control **control)
{
	char error[512];
	int fd;

	if (p->control == NULL)
		return 0;
	fd = open_listener(p->control, error, sizeof error);
	if (fd < 0)
		return usage(error);
	print_address("control", fd);
	*control = control_new(p->base, p->backend, fd);
	return *control != NULL ? 0 : usage("the control API cannot start");
}

static int
run(struct program *p)
{
	struct control *control = NULL;
	struct event *signals[] = {
		evsignal_new(p->base, SIGINT, on_signal, p->base),
		evsignal_new(p->base, SIGTERM, on_signal, p->base),
	};
	int status = open_backend(p);

	if (status == 0)
		status = open_control(p, &control);
	for (int i = 0; i < 2; i++)
		if (signals[i] == NULL || event_add(signals[i], NULL) != 0)
			status = usage("out of memory");
	if (status == 0) {
		event_base_dispatch(p->base);
		print_ledger(backend_ledger(p->backend));
	}
	control_free(control);
	backend_free(p->backend);
	for (int i = 0; i < 2; i++)
		if (signals[i] != NULL)
			event_free(signals[i]);
	return status;
}

int
main(int argc, char **argv)
{
	struct program p = { 0 };
	int status;

	for (int i = 1; i < argc; i++) {
		if (strcmp(argv[i], "--help") == 0) {
			print_help();
			return fflush(stdout) == 0 ? EXIT_SUCCESS
						   : EXIT_FAILURE;
		}
		if (strcmp(argv[i], "--version") == 0) {
			printf("closerace-backend %s\n", CLOSERACE_VERSION);
			return EXIT_SUCCESS;
		}
	}
	signal(SIGPIPE, SIG_IGN);
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
