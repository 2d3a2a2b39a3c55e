/* crew.c - crew_run() of program.h: the parent of the workers.
 *
 * It has every listening socket open as well: what has connected while a worker
 * is dead waits for the next one.  It serves nobody but the admin port.
 *
 *   fork ──> started ──READY──> ready ──SIGCHLD──> dead ──a second after it──┐
 *     ^                                                was started           │
 *     └──────────────────────────────────────────────────────────────────────┘
 *
 * Forking is done between two runs of the loop, never in a callback.
 */
#include <errno.h>
#include <event2/event.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "proxy/program/channel.h"
#include "proxy/program/crew.h"
#include "proxy/program/crewman.h"
#include "proxy/program/say.h"

enum {
	RESTART_MS = 1000, /* between two starts of a worker */
	/* what a worker has beyond its own time to end, once it must */
	GRACE_MS = 1000
};

static int64_t
now_ms(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

static void
arm(struct event *timer, int64_t ms)
{
	struct timeval tv = { ms / 1000, ms % 1000 * 1000 };

	event_add(timer, &tv);
}

/* ------------------------------------------------------------------ orders */

static void
order(struct crew *c, enum channel_kind kind, const void *bytes, size_t size)
{
	for (int i = 0; i < c->n; i++)
		if (c->members[i].channel != NULL)
			channel_send(c->members[i].channel, kind, 0, bytes,
			    size, NULL, 0);
}

static void
end_if_all_ended(struct crew *c)
{
	for (int i = 0; i < c->n; i++)
		if (c->members[i].pid > 0)
			return;
	c->over = true;
	event_base_loopbreak(c->program->base);
}

/* From now on nobody is started again. */
static void
end(struct crew *c, enum channel_kind kind, int64_t limit_ms)
{
	c->ending = true;
	listener_close(c->listeners, c->n);
	order(c, kind, NULL, 0);
	if (limit_ms > 0)
		arm(c->killer, limit_ms + GRACE_MS);
	end_if_all_ended(c);
}

static void
drain(void *arg)
{
	struct crew *c = arg;

	end(c, CHANNEL_DRAIN, c->program->arguments->drain_ms);
}

static void
stop(void *arg)
{
	end(arg, CHANNEL_STOP, 1);
}

static void
on_killer(evutil_socket_t fd, short what, void *arg)
{
	struct crew *c = arg;

	for (int i = 0; i < c->n; i++)
		if (c->members[i].pid > 0)
			kill(c->members[i].pid, SIGKILL);
}

static void
reload(void *arg, const struct retry_list *list)
{
	order(arg, CHANNEL_RELOAD, list, list != NULL ? sizeof *list : 0);
}

/* ------------------------------------------------------------------- lives */

static void
on_message(void *arg, enum channel_kind kind, uint32_t number,
    const void *bytes, size_t size)
{
	struct crew_member *m = arg;
	struct crew *c = m->crew;

	if (kind == CHANNEL_REPORT)
		crew_take_report(c, m, number, bytes, size);
	if (kind != CHANNEL_READY || m->ready)
		return;
	m->ready = true;
	if (c->complete) {
		say("worker %d was started again (pid %ld)", m->number,
		    (long)m->pid);
	} else if (++c->n_ready == c->n) {
		c->complete = true;
		program_announce(c->program);
	}
}

/* SIGCHLD tells. */
static void
on_closed(void *arg)
{
}

static void
on_due(evutil_socket_t fd, short what, void *arg)
{
	struct crew_member *m = arg;

	m->due = true;
	event_base_loopbreak(m->crew->program->base);
}

static void
tell_end(const struct crew_member *m, int status)
{
	if (WIFSIGNALED(status))
		say("worker %d (pid %ld) was killed by signal %d (%s)",
		    m->number, (long)m->pid, WTERMSIG(status),
		    strsignal(WTERMSIG(status)));
	else
		say("worker %d (pid %ld) ended with status %d", m->number,
		    (long)m->pid, WEXITSTATUS(status));
}

static void
bury(struct crew_member *m, int status)
{
	struct crew *c = m->crew;
	int64_t wait_ms = m->started_ms + RESTART_MS - now_ms();
	bool was_expected = c->ending && status == 0;

	if (!was_expected) {
		tell_end(m, status);
		/* A worker is no worse for having died, but an end is. */
		if (c->ending || !c->complete)
			c->status = EXIT_FAILURE;
	}
	m->pid = 0;
	channel_free(m->channel);
	m->channel = NULL;
	crew_forget_reports(c, m);
	if (c->ending)
		return;
	if (!c->complete) {
		say("it cannot start");
		end(c, CHANNEL_STOP, 1);
	} else {
		arm(m->restart, wait_ms > 0 ? wait_ms : 0);
	}
}

static void
on_child(evutil_socket_t number, short what, void *arg)
{
	struct crew *c = arg;
	int status;

	for (int i = 0; i < c->n; i++) {
		struct crew_member *m = &c->members[i];

		if (m->pid > 0 && waitpid(m->pid, &status, WNOHANG) == m->pid)
			bury(m, status);
	}
	if (c->ending)
		end_if_all_ended(c);
}

/* In the child.  Its parent may be dead already; then nobody would tell. */
static void
be_worker(struct crew_member *m, int channel, pid_t parent)
{
	struct crew *c = m->crew;
	int status = EXIT_FAILURE;

	signal(SIGTERM, SIG_IGN);
	signal(SIGINT, SIG_IGN);
	signal(SIGHUP, SIG_IGN);
	signal(SIGCHLD, SIG_DFL);
	sigprocmask(SIG_SETMASK, &c->mask, NULL);
	if (prctl(PR_SET_PDEATHSIG, SIGKILL) != 0)
		say("prctl: %s", strerror(errno));
	else if (getppid() == parent)
		status = crewman_run(c->program->arguments, m->number,
		    c->listeners[m->number - 1], channel);
	exit(status);
}

/* Returns: false with errno. */
static bool
start(struct crew_member *m)
{
	const int flags = SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC;
	struct crew *c = m->crew;
	pid_t parent = getpid(), pid = -1;
	int pair[2];
	sigset_t all;

	m->due = m->ready = false;
	m->started_ms = now_ms();
	if (socketpair(AF_UNIX, flags, 0, pair) != 0)
		return false;
	m->channel =
	    channel_new(c->program->base, pair[0], on_message, on_closed, m);
	if (m->channel == NULL) {
		close(pair[0]);
		errno = ENOMEM;
	} else {
		/* libevent's handlers would tell the parent's loop of what the
		 * child is sent. */
		sigfillset(&all);
		sigprocmask(SIG_BLOCK, &all, &c->mask);
		pid = fork();
		if (pid == 0)
			be_worker(m, pair[1], parent);
		sigprocmask(SIG_SETMASK, &c->mask, NULL);
	}
	close(pair[1]);
	if (pid < 0) {
		channel_free(m->channel);
		m->channel = NULL;
		return false;
	}
	m->pid = pid;
	return true;
}

static void
start_who_is_due(struct crew *c)
{
	for (int i = 0; i < c->n && !c->ending; i++) {
		struct crew_member *m = &c->members[i];

		if (!m->due || start(m))
			continue;
		say("worker %d: %s", m->number, strerror(errno));
		if (!c->complete) {
			c->status = EXIT_FAILURE;
			end(c, CHANNEL_STOP, 1);
		} else {
			arm(m->restart, RESTART_MS);
		}
	}
}

static bool
prepare(struct crew *c)
{
	struct event_base *base = c->program->base;
	bool good;

	c->killer = evtimer_new(base, on_killer, c);
	c->child = evsignal_new(base, SIGCHLD, on_child, c);
	good = c->killer != NULL && c->child != NULL &&
	    event_add(c->child, NULL) == 0;
	for (int i = 0; i < c->n; i++) {
		struct crew_member *m = &c->members[i];

		*m = (struct crew_member){
			.crew = c, .number = i + 1, .due = true
		};
		m->restart = evtimer_new(base, on_due, m);
		good = good && m->restart != NULL;
	}
	if (!good)
		say("out of memory");
	return good;
}

static void
release(struct crew *c)
{
	crew_forget_all_reports(c);
	for (int i = 0; i < c->n; i++) {
		channel_free(c->members[i].channel);
		if (c->members[i].restart != NULL)
			event_free(c->members[i].restart);
	}
	if (c->child != NULL)
		event_free(c->child);
	if (c->killer != NULL)
		event_free(c->killer);
	listener_close(c->listeners, c->n);
}

int
crew_run(struct program *p, int *listeners)
{
	struct crew c = { .program = p,
		.n = p->arguments->n_workers,
		.listeners = listeners };
	struct program_hands hands = { &c, drain, stop, reload, crew_collect };

	LIST_INIT(&c.gatherings);
	c.status = EXIT_FAILURE;
	if (program_begin(p, hands, listeners[0]) && prepare(&c)) {
		c.status = EXIT_SUCCESS;
		while (!c.over) {
			start_who_is_due(&c);
			if (!c.over)
				event_base_dispatch(p->base);
		}
	}
	admin_free(p->admin);
	p->admin = NULL;
	release(&c);
	program_end(p);
	return c.status;
}
