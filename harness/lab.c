/* lab.c - see lab.h.
 *
 * How the lab knows that nothing more can happen: before each run it activates
 * a sentinel event of the lowest priority.  libevent turns to a lower priority
 * only in a pass that found no event of a higher one, so the sentinel runs
 * exactly when an empty pass has been made.  The barrier then makes sure that
 * no byte is still on its way inside the kernel.
 */
#include "harness/lab.h"

#include <assert.h>
#include <errno.h>
#include <event2/event.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/sockios.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include "backend/backend.h"
#include "harness/clock.h"
#include "harness/deadline.h"
#include "harness/listener.h"
#include "harness/trace.h"

/* Bytes in flight are waited for that long in real time: delayed ACKs come
 * within 40 ms, window probes within 200. */
#define FLIGHT_MS 250

/* Where so few descriptors are left when an actor gets one, another actor may
 * have got none, and make of that what a program makes of it. */
#define SPARE_FDS 8

/* Before everybody is said to wait for ever. */
#define GRACE_MS 50

enum priority { PRIORITY_URGENT, PRIORITY_NORMAL, PRIORITY_LAST, N_PRIORITIES };

struct enrolled {
	enum lab_kind kind;
	unsigned number;
	void *actor;
	lab_actor_fn *close, *reset;
};

/* A listener that was lent to an actor. */
struct lent {
	int fd;
	in_port_t port;
};

struct lab {
	struct event_base *base;
	struct event *sentinel;
	struct deadline *deadline;
	struct event *bound; /* of one wait in real time */
	struct event *interrupt;
	struct clock *clock;
	struct trace *trace;

	bool quiet; /* the sentinel has run */
	bool still; /* lab_is_still() */
	bool is_private;
	bool bound_over;

	uint64_t n_sent, n_taken; /* bytes, by all actors */
	uint64_t n_landed; /* n_sent when all of it was seen to have left */
	int *fds;
	size_t n_fds, fds_room;
	int most_fds; /* of the process */
	bool scarce;
	bool may_connect; /* a socket came since all were seen connected */
	struct enrolled *actors;
	size_t n_actors, actors_room;
	struct lent *listeners;
	size_t n_listeners, listeners_room;
};

static volatile sig_atomic_t interrupted;

/* Wakes the loops that block: shared by all labs with real time, open while
 * there is one. */
static volatile sig_atomic_t interrupt_fd = -1;
static unsigned n_interruptible;

/* ----------------------------------------------------------- interrupts -- */

void
lab_interrupt(void)
{
	uint64_t one = 1;
	int saved = errno;

	interrupted = 1;
	if (interrupt_fd >= 0)
		(void)!write(interrupt_fd, &one, sizeof one);
	errno = saved;
}

bool
lab_is_interrupted(void)
{
	return interrupted != 0;
}

void
lab_forked(void)
{
	listener_forked();
	backend_forked();
}

/* ------------------------------------------------------------ callbacks -- */

static void
on_sentinel(evutil_socket_t fd, short what, void *arg)
{
	((struct lab *)arg)->quiet = true;
}

static void
on_bound(evutil_socket_t fd, short what, void *arg)
{
	((struct lab *)arg)->bound_over = true;
}

static void
on_interrupt(evutil_socket_t fd, short what, void *arg)
{
	event_base_loopbreak(((struct lab *)arg)->base);
}

/* -------------------------------------------------------------- running -- */

static enum lab_outcome
outcome(const struct lab *lab)
{
	if (interrupted)
		return LAB_INTERRUPTED;
	if (deadline_was_over(lab->deadline))
		return LAB_DEADLINE;
	if (lab->scarce)
		return LAB_SCARCE;
	return LAB_MOVED;
}

/* Block for the next event of any kind, at most ms of real time. */
static void
wait_real(struct lab *lab, int ms)
{
	struct timeval tv = { ms / 1000, ms % 1000 * 1000 };

	lab->bound_over = false;
	event_add(lab->bound, &tv);
	event_base_loop(lab->base, EVLOOP_ONCE);
	event_del(lab->bound);
}

/* Make passes until an empty one. */
static void
run_until_empty(struct lab *lab)
{
	lab->quiet = false;
	event_active(lab->sentinel, EV_TIMEOUT, 0);
	while (!lab->quiet && outcome(lab) == LAB_MOVED)
		event_base_loop(lab->base, EVLOOP_ONCE | EVLOOP_NONBLOCK);
}

static bool
is_in_state(int fd, int state, struct tcp_info *info)
{
	socklen_t size = sizeof *info;

	memset(info, 0, sizeof *info);
	return getsockopt(fd, IPPROTO_TCP, TCP_INFO, info, &size) == 0 &&
	    info->tcpi_state == state;
}

/* After a reset nothing leaves any more; the kernel counts on what did not. */
static bool
is_reset(int fd)
{
	struct tcp_info info;

	return is_in_state(fd, TCP_CLOSE, &info);
}

/* Has the kernel to ask again for the connection?  Also where it only seems to
 * be there: of several that were asked for again at once, more are answered
 * than there is room for, and what those send is dropped. */
static bool
is_connecting(int fd)
{
	struct tcp_info info;

	return is_in_state(fd, TCP_SYN_SENT, &info) ||
	    (info.tcpi_state == TCP_ESTABLISHED &&
		info.tcpi_total_retrans > 0 && info.tcpi_unacked > 0);
}

/* Does one of the lab's listeners, with room for it, wait on that port? */
static bool
is_expected(const struct lab *lab, in_port_t port)
{
	struct tcp_info info;

	for (size_t i = 0; i < lab->n_listeners; i++)
		if (lab->listeners[i].port == port)
			/* tcp(7) does not say so: of a listener these are how
			 * many wait, and how many may. */
			return is_in_state(
				   lab->listeners[i].fd, TCP_LISTEN, &info) &&
			    info.tcpi_unacked <= info.tcpi_sacked;
	return false;
}

/* Connections that the kernel has yet to ask for again, because there was no
 * room for them when it did: that comes within seconds. */
static bool
awaits_connect(struct lab *lab)
{
	struct sockaddr_in to;
	socklen_t size;

	if (!lab->may_connect)
		return false;
	lab->may_connect = false;
	for (size_t i = 0; i < lab->n_fds; i++) {
		if (!is_connecting(lab->fds[i]))
			continue;
		lab->may_connect = true;
		size = sizeof to; /* getpeername() would not tell it yet */
		if (getsockopt(lab->fds[i], SOL_SOCKET, SO_PEERNAME, &to,
			&size) == 0 &&
		    is_expected(lab, to.sin_port))
			return true;
	}
	return false;
}

/* Bytes that the kernel has accepted and not yet delivered: after some 15
 * segments one way, or 64 kB in one go, a loopback connection is no longer
 * synchronous.  Where a receiver leaves bytes unread (somebody holds it), what
 * is behind them cannot arrive, and is no flight. */
static long
in_flight(struct lab *lab)
{
	long total = 0;
	int n = 0;

	if (lab->n_sent == lab->n_taken || lab->n_sent == lab->n_landed)
		return 0;
	for (size_t i = 0; i < lab->n_fds; i++)
		if (ioctl(lab->fds[i], SIOCOUTQNSD, &n) == 0 && n > 0 &&
		    !is_reset(lab->fds[i]))
			total += n;
	if (total == 0)
		lab->n_landed = lab->n_sent;
	for (size_t i = 0; i < lab->n_fds && total > 0; i++)
		if (ioctl(lab->fds[i], FIONREAD, &n) == 0 && n > 0)
			return 0;
	return total;
}

enum lab_outcome
lab_settle(struct lab *lab)
{
	long before = -1, flying;

	lab_touch(lab);
	if (lab_is_real(lab)) {
		run_until_empty(lab);
		return outcome(lab);
	}
	for (;;) {
		run_until_empty(lab);
		if (outcome(lab) != LAB_MOVED)
			return outcome(lab);
		flying = in_flight(lab);
		if (flying == 0 && awaits_connect(lab)) {
			wait_real(lab, FLIGHT_MS);
			continue;
		}
		lab->still = flying == 0;
		if (flying == 0 || (flying == before && lab->bound_over))
			return LAB_MOVED;
		before = flying;
		wait_real(lab, FLIGHT_MS);
	}
}

bool
lab_is_still(const struct lab *lab)
{
	return lab->is_private && lab->still;
}

void
lab_touch(struct lab *lab)
{
	lab->still = false;
}

/* Once in a hundred million times the kernel hands a loopback packet to its
 * own thread of this processor instead of delivering it at once.  Before time
 * goes by, that thread gets its turn.  Returns: something did come late. */
static bool
is_late(struct lab *lab)
{
	uint64_t seq = trace_seq(lab->trace);

	sched_yield();
	run_until_empty(lab);
	return trace_seq(lab->trace) != seq || outcome(lab) != LAB_MOVED;
}

enum lab_outcome
lab_pass_time(struct lab *lab)
{
	lab_touch(lab);
	if (outcome(lab) != LAB_MOVED)
		return outcome(lab);
	if (lab_is_real(lab)) {
		event_base_loop(lab->base, EVLOOP_ONCE);
		return outcome(lab);
	}
	if (is_late(lab))
		return outcome(lab);
	if (clock_jump(lab->clock))
		return LAB_MOVED;
	/* The kernel gets a last chance to bring what it owes. */
	wait_real(lab, GRACE_MS);
	return lab->bound_over && outcome(lab) == LAB_MOVED ? LAB_STUCK
							    : outcome(lab);
}

/* ---------------------------------------------------------------- life --- */

static bool
make_events(struct lab *lab)
{
	lab->sentinel = event_new(lab->base, -1, 0, on_sentinel, lab);
	lab->bound = event_new(lab->base, -1, 0, on_bound, lab);
	lab->deadline = deadline_new(lab->base, PRIORITY_URGENT);
	if (lab->sentinel == NULL || lab->bound == NULL ||
	    lab->deadline == NULL)
		return false;
	event_priority_set(lab->sentinel, PRIORITY_LAST);
	return true;
}

struct lab *
lab_new(int deadline_ms)
{
	struct lab *lab = calloc(1, sizeof *lab);
	struct event_config *config = event_config_new();
	struct rlimit limit;

	if (lab == NULL || config == NULL)
		goto fail;
	getrlimit(RLIMIT_NOFILE, &limit);
	lab->most_fds =
	    limit.rlim_cur < INT_MAX ? (int)limit.rlim_cur : INT_MAX;
	/* A lab is the same whatever EVENT_* variables somebody has set, and
	 * is none without epoll: others know no edges. */
	event_config_set_flag(
	    config, EVENT_BASE_FLAG_NOLOCK | EVENT_BASE_FLAG_IGNORE_ENV);
	event_config_require_features(config, EV_FEATURE_ET);
	lab->base = event_base_new_with_config(config);
	if (lab->base == NULL ||
	    event_base_priority_init(lab->base, N_PRIORITIES) != 0)
		goto fail;
	lab->clock = clock_new(lab->base);
	lab->trace = trace_new();
	if (lab->clock == NULL || lab->trace == NULL || !make_events(lab))
		goto fail;
	lab_set_deadline(lab, deadline_ms);
	event_config_free(config);
	return lab;
fail:
	if (config != NULL)
		event_config_free(config);
	lab_free(lab);
	return NULL;
}

static void
free_event(struct event *ev)
{
	if (ev != NULL)
		event_free(ev);
}

void
lab_free(struct lab *lab)
{
	if (lab == NULL)
		return;
	while (lab->n_actors > 0) {
		struct enrolled *e = &lab->actors[--lab->n_actors];

		e->close(e->actor);
	}
	for (size_t i = 0; i < lab->n_listeners; i++)
		listener_park(lab->listeners[i].fd);
	free_event(lab->sentinel);
	free_event(lab->bound);
	deadline_free(lab->deadline);
	free_event(lab->interrupt);
	if (lab->clock != NULL && lab_is_real(lab) && --n_interruptible == 0) {
		close(interrupt_fd);
		interrupt_fd = -1;
	}
	clock_free(lab->clock);
	trace_free(lab->trace);
	if (lab->base != NULL)
		event_base_free(lab->base);
	free(lab->actors);
	free(lab->fds);
	free(lab->listeners);
	free(lab);
}

void
lab_reset(struct lab *lab)
{
	for (size_t i = lab->n_actors; i-- > 0;)
		lab->actors[i].reset(lab->actors[i].actor);
	lab_touch(lab);
	lab->scarce = false;
	clock_reset(lab->clock);
	trace_clear(lab->trace);
	lab->n_sent = lab->n_taken = lab->n_landed = 0;
	deadline_set(lab->deadline, deadline_ms(lab->deadline));
}

void
lab_set_deadline(struct lab *lab, int deadline_ms)
{
	deadline_set(lab->deadline, deadline_ms);
}

bool
lab_is_overdue(struct lab *lab)
{
	return deadline_is_over(lab->deadline);
}

void
lab_make_private(struct lab *lab)
{
	lab->is_private = true;
}

bool
lab_is_private(const struct lab *lab)
{
	return lab->is_private;
}

void
lab_go_real(struct lab *lab)
{
	if (lab_is_real(lab))
		return;
	clock_go_real(lab->clock);
	/* Only now does the loop ever block for long, so that a signal must
	 * be able to wake it. */
	if (n_interruptible++ == 0)
		interrupt_fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
	lab->interrupt =
	    event_new(lab->base, interrupt_fd, EV_READ, on_interrupt, lab);
	if (lab->interrupt != NULL)
		event_add(lab->interrupt, NULL);
}

void
lab_keep_no_trace(struct lab *lab)
{
	trace_keep_nothing(lab->trace);
}

bool
lab_is_traced(const struct lab *lab)
{
	return trace_keeps(lab->trace);
}

bool
lab_is_real(const struct lab *lab)
{
	return clock_is_real(lab->clock);
}

void
lab_wake_at(struct lab *lab, int64_t ms)
{
	clock_wake_at(lab->clock, ms);
}

bool
lab_has_passed(const struct lab *lab, int64_t ms)
{
	int64_t next_ms = clock_next_ms(lab->clock);

	if (lab_now_ms(lab) < ms)
		return false;
	return lab_is_real(lab) || next_ms < 0 || next_ms > ms;
}

int64_t
lab_now_ms(const struct lab *lab)
{
	return clock_now_ms(lab->clock);
}

/* ------------------------------------------------------------ for actors -- */

struct event_base *
lab_base(struct lab *lab)
{
	return lab->base;
}

struct clock *
lab_clock(struct lab *lab)
{
	return lab->clock;
}

struct trace *
lab_trace(struct lab *lab)
{
	return lab->trace;
}

void
lab_note(struct lab *lab, const char *who, unsigned long n, const char *what,
    size_t size, const char *text)
{
	trace_add(lab->trace, lab_now_ms(lab), who, n, what, size, text);
}

static bool
grow(void **array, size_t n, size_t *room, size_t each)
{
	size_t more = *room == 0 ? 16 : 2 * *room;
	void *bigger;

	if (n < *room)
		return true;
	bigger = realloc(*array, more * each);
	if (bigger == NULL)
		return false;
	*array = bigger;
	*room = more;
	return true;
}

void
lab_count_sent(struct lab *lab, size_t size)
{
	lab->n_sent += size;
}

void
lab_count_taken(struct lab *lab, size_t size)
{
	lab->n_taken += size;
}

void
lab_add_fd(struct lab *lab, int fd)
{
	if (grow((void **)&lab->fds, lab->n_fds, &lab->fds_room, sizeof fd))
		lab->fds[lab->n_fds++] = fd;
	lab->may_connect = true;
	lab->scarce = lab->scarce || fd >= lab->most_fds - SPARE_FDS;
}

void
lab_drop_fd(struct lab *lab, int fd)
{
	for (size_t i = 0; i < lab->n_fds; i++)
		if (lab->fds[i] == fd) {
			lab->fds[i] = lab->fds[--lab->n_fds];
			return;
		}
}

void
lab_add_tree(struct lab *lab, struct tree *tree)
{
	deadline_add_tree(lab->deadline, tree);
}

void
lab_drop_tree(struct lab *lab, struct tree *tree)
{
	deadline_drop_tree(lab->deadline, tree);
}

void
lab_acknowledge(struct lab *lab)
{
	int on = 1;

	for (size_t i = 0; i < lab->n_fds; i++)
		setsockopt(
		    lab->fds[i], IPPROTO_TCP, TCP_QUICKACK, &on, sizeof on);
}

unsigned
lab_enrol(struct lab *lab, enum lab_kind kind, void *actor,
    lab_actor_fn *close_fn, lab_actor_fn *reset_fn)
{
	unsigned number = 1;

	lab_touch(lab);
	if (!grow((void **)&lab->actors, lab->n_actors, &lab->actors_room,
		sizeof *lab->actors))
		return 0;
	for (size_t i = 0; i < lab->n_actors; i++)
		number += lab->actors[i].kind == kind;
	lab->actors[lab->n_actors++] =
	    (struct enrolled){ kind, number, actor, close_fn, reset_fn };
	return number;
}

void *
lab_actor(const struct lab *lab, enum lab_kind kind, unsigned n)
{
	for (size_t i = 0; i < lab->n_actors; i++)
		if (lab->actors[i].kind == kind && lab->actors[i].number == n)
			return lab->actors[i].actor;
	return NULL;
}

int
lab_listen(struct lab *lab, struct sockaddr_in *address)
{
	int fd;

	if (!grow((void **)&lab->listeners, lab->n_listeners,
		&lab->listeners_room, sizeof *lab->listeners))
		return -1;
	fd = listener_take(address);
	if (fd < 0)
		return -1;
	lab->listeners[lab->n_listeners++] =
	    (struct lent){ fd, address->sin_port };
	return fcntl(fd, F_DUPFD_CLOEXEC, 0);
}
