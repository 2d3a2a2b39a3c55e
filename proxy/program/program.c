/* program.c - see program.h. */
#include "proxy/program/program.h"

#include <event2/event.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "proxy/program/admin.h"
#include "proxy/program/list_file.h"
#include "proxy/program/say.h"
#include "proxy/program/worker.h"

static void
on_end_signal(evutil_socket_t number, short what, void *arg)
{
	struct program *p = arg;

	if (p->facts.draining) {
		p->hands.stop(p->hands.arg);
		return;
	}
	p->facts.draining = true;
	say("draining: nobody is accepted, what is in progress is finished");
	p->hands.drain(p->hands.arg);
}

/* Returns: the list, or NULL where there is no new one. */
static const struct retry_list *
read_list(struct program *p)
{
	struct retry_list *list = &p->arguments->options.retry_list;
	char error[512];

	if (p->arguments->retry_list == NULL)
		return NULL;
	if (list_file_read(
		p->arguments->retry_list, list, error, sizeof error) != 0) {
		p->facts.n_lists_refused++;
		say("retry list %s; the old one stays in force", error);
		return NULL;
	}
	p->facts.n_lists_read++;
	say("retry list %s: read again, %zu %s", p->arguments->retry_list,
	    list->n, list->n == 1 ? "entry" : "entries");
	return list;
}

static void
on_hangup(evutil_socket_t number, short what, void *arg)
{
	struct program *p = arg;

	p->hands.reload(p->hands.arg, read_list(p));
}

bool
program_begin(struct program *p, struct program_hands hands, int listener)
{
	const struct {
		int number;
		event_callback_fn call;
	} rows[] = { { SIGTERM, on_end_signal }, { SIGINT, on_end_signal },
		{ SIGHUP, on_hangup } };
	struct timespec now;
	bool good = true;

	clock_gettime(CLOCK_REALTIME, &now);
	p->hands = hands;
	p->facts = (struct report_program){ .arguments = p->arguments,
		.started_us =
		    (int64_t)now.tv_sec * 1000000 + now.tv_nsec / 1000 };
	address_of_socket(p->facts.listening, listener);
	p->base = worker_base();
	if (p->base == NULL)
		return false;
	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
		p->signals[i] =
		    evsignal_new(p->base, rows[i].number, rows[i].call, p);
		good = good && p->signals[i] != NULL &&
		    event_add(p->signals[i], NULL) == 0;
	}
	if (p->admin_fd >= 0) {
		p->admin =
		    admin_new(p->base, p->admin_fd, &p->facts, &p->hands);
		good = good && p->admin != NULL;
	}
	if (!good)
		say("out of memory");
	return good;
}

/* A line for scripts, on stdout; on stderr where stdout is the access log, or
 * would have the program wait. */
static void
announce(const struct program *p, const char *what, const char *where)
{
	const char *log = p->arguments->access_log;
	struct pollfd out = { .fd = STDOUT_FILENO, .events = POLLOUT };

	if ((log != NULL && strcmp(log, "-") == 0) || poll(&out, 1, 0) != 1 ||
	    dprintf(STDOUT_FILENO, "%s on %s\n", what, where) < 0)
		say("%s on %s", what, where);
}

void
program_announce(const struct program *p)
{
	char text[ADDRESS_TEXT];

	announce(p, "listening", p->facts.listening);
	if (p->admin_fd >= 0) {
		address_of_socket(text, p->admin_fd);
		announce(p, "admin", text);
	}
}

void
program_end(struct program *p)
{
	admin_free(p->admin);
	for (size_t i = 0; i < sizeof p->signals / sizeof *p->signals; i++)
		if (p->signals[i] != NULL)
			event_free(p->signals[i]);
	if (p->base != NULL)
		event_base_free(p->base);
}
