/* main.c - closerace-proxy, the proxy as a program of its own. */
#include <arpa/inet.h>
#include <errno.h>
#include <event2/event.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "proxy/proxy.h"

#define NAME "closerace-proxy"

enum { EXIT_USAGE = 2 };

struct program {
	struct event_base *base;
	struct proxy *proxy;
	struct event *gone; /* a session has ended while draining */
	bool draining;
};

static void
print_help(void)
{
	struct proxy_option option;

	printf("usage: " NAME " --listen ADDR:PORT --upstream ADDR:PORT"
	       " [--OPTION VALUE]…\n\n"
	       "A reverse proxy for HTTP/1.1 with an upstream pool and"
	       " retries.\n\n"
	       "  --listen ADDR:PORT  where to accept clients; port 0 picks"
	       " one\n"
	       "  --listen fd@N       accept on the inherited descriptor N\n"
	       "  --help, --version\n\n");
	for (size_t i = 0; proxy_options_describe(i, &option) == 0; i++)
		printf("  --%-22s %s\n"
		       "  %-24s (%s%s%s)\n",
		    option.name, option.help, "", option.allowed,
		    *option.value ? "; default " : "", option.value);
	printf("\nSIGTERM and SIGINT finish what is in progress; a second one"
	       " ends at once.\n\n"
	       "exit status: 0, or 2 for wrong usage\n");
}

static int
usage(const char *text, const char *what)
{
	fprintf(stderr, NAME ": %s%s (--help tells more)\n", text, what);
	return EXIT_USAGE;
}

/* Returns: the listening socket, or -1 with *why. */
static int
listen_at(const char *where, const char **why)
{
	struct sockaddr_in sin = { .sin_family = AF_INET };
	const char *colon = strrchr(where, ':');
	char address[INET_ADDRSTRLEN], *end = NULL;
	long n = -1;
	int fd, on = 1;

	*why = "--listen wants ADDR:PORT or fd@N";
	if (strncmp(where, "fd@", 3) == 0) {
		n = strtol(where + 3, &end, 10);
		return where[3] == '\0' || *end != '\0' || n < 0 || n > 1 << 20
		    ? -1
		    : (int)n;
	}
	if (colon == NULL || (size_t)(colon - where) >= sizeof address)
		return -1;
	memcpy(address, where, (size_t)(colon - where));
	address[colon - where] = '\0';
	n = strtol(colon + 1, &end, 10);
	if (colon[1] == '\0' || *end != '\0' || n < 0 || n > 65535 ||
	    inet_pton(AF_INET, address, &sin.sin_addr) != 1)
		return -1;
	sin.sin_port = htons((unsigned short)n);
	*why = strerror(0);
	fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (fd < 0)
		goto failed;
	setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
	if (bind(fd, (struct sockaddr *)&sin, sizeof sin) == 0 &&
	    listen(fd, SOMAXCONN) == 0)
		return fd;
failed:
	*why = strerror(errno);
	if (fd >= 0)
		close(fd);
	return -1;
}

static void
announce(int fd)
{
	struct sockaddr_in sin = { 0 };
	socklen_t size = sizeof sin;
	char address[INET_ADDRSTRLEN] = "?";

	getsockname(fd, (struct sockaddr *)&sin, &size);
	inet_ntop(AF_INET, &sin.sin_addr, address, sizeof address);
	fprintf(stderr, NAME ": listening on %s:%u\n", address,
	    (unsigned)ntohs(sin.sin_port));
}

static enum proxy_answer
watch(void *arg, const struct proxy_event *e)
{
	struct program *p = arg;

	if (e->what == PROXY_CLOSED && p->draining)
		event_active(p->gone, EV_TIMEOUT, 0);
	return PROXY_GO;
}

static void
on_gone(evutil_socket_t fd, short what, void *arg)
{
	struct program *p = arg;

	if (p->draining && proxy_n_sessions(p->proxy) == 0)
		event_base_loopbreak(p->base);
}

static void
on_signal(evutil_socket_t number, short what, void *arg)
{
	struct program *p = arg;

	if (p->draining) {
		event_base_loopbreak(p->base);
		return;
	}
	p->draining = true;
	proxy_tell_only(p->proxy, PROXY_TELL(PROXY_CLOSED));
	proxy_drain(p->proxy);
	event_active(p->gone, EV_TIMEOUT, 0);
}

static bool
is_option(const char *word)
{
	struct proxy_option option;

	for (size_t i = 0; proxy_options_describe(i, &option) == 0; i++)
		if (strcmp(option.name, word) == 0)
			return true;
	return strcmp(word, "listen") == 0;
}

/* --name VALUE, or --name=VALUE.  Returns: 0 or an exit status; *listen is
 * set. */
static int
read_arguments(
    int argc, char **argv, struct proxy_options *o, const char **listen)
{
	char name[64], error[512];

	for (int i = 1; i < argc; i++) {
		const char *word = argv[i], *value;
		size_t size = strcspn(word, "=");

		if (strncmp(word, "--", 2) != 0)
			return usage("not an option: ", word);
		snprintf(name, sizeof name, "%.*s", (int)size - 2, word + 2);
		for (char *c = name; *c != '\0'; c++)
			if (*c == '-')
				*c = '_';
		value = word[size] == '=' ? word + size + 1 : argv[++i];
		if (value == NULL && is_option(name))
			return usage("a value is missing after ", word);
		if (value != NULL && strcmp(name, "listen") == 0)
			*listen = value;
		else if (proxy_options_set(o, name, value != NULL ? value : "",
			     error, sizeof error) != 0)
			return usage(error, "");
	}
	if (*listen == NULL)
		return usage("--listen is missing", "");
	if (proxy_options_check(o, error, sizeof error) != 0)
		return usage("--", error);
	return 0;
}

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
serve(struct program *p, const struct proxy_options *o, int fd)
{
	struct event *term, *intr;
	int status = EXIT_FAILURE;

	p->base = new_base();
	if (p->base == NULL) {
		close(fd);
		fprintf(stderr, NAME ": no event base\n");
		return status;
	}
	p->gone = event_new(p->base, -1, 0, on_gone, p);
	term = evsignal_new(p->base, SIGTERM, on_signal, p);
	intr = evsignal_new(p->base, SIGINT, on_signal, p);
	p->proxy = proxy_new(p->base, o, NULL, watch, p);
	if (p->proxy != NULL)
		proxy_tell_only(p->proxy, 0);
	if (p->gone == NULL || term == NULL || intr == NULL ||
	    p->proxy == NULL || event_add(term, NULL) != 0 ||
	    event_add(intr, NULL) != 0) {
		close(fd);
		fprintf(stderr, NAME ": out of memory\n");
	} else if (proxy_listen(p->proxy, fd) != 0) {
		fprintf(stderr, NAME ": %s\n", strerror(errno));
	} else {
		announce(fd);
		event_base_dispatch(p->base);
		status = EXIT_SUCCESS;
	}
	proxy_free(p->proxy);
	if (intr != NULL)
		event_free(intr);
	if (term != NULL)
		event_free(term);
	if (p->gone != NULL)
		event_free(p->gone);
	event_base_free(p->base);
	return status;
}

int
main(int argc, char **argv)
{
	struct program p = { 0 };
	struct proxy_options options;
	const char *listen = NULL, *why;
	int fd, status;

	for (int i = 1; i < argc; i++) {
		if (strcmp(argv[i], "--help") == 0) {
			print_help();
			return fflush(stdout) == 0 ? EXIT_SUCCESS
						   : EXIT_FAILURE;
		}
		if (strcmp(argv[i], "--version") == 0) {
			printf(NAME " %s\n", CLOSERACE_VERSION);
			return EXIT_SUCCESS;
		}
	}
	proxy_options_init(&options);
	status = read_arguments(argc, argv, &options, &listen);
	if (status != 0)
		return status;
	signal(SIGPIPE, SIG_IGN);
	fd = listen_at(listen, &why);
	if (fd < 0) {
		fprintf(stderr, NAME ": --listen %s: %s\n", listen, why);
		return EXIT_USAGE;
	}
	return serve(&p, &options, fd);
}
