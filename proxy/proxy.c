/* proxy.c - a proxy as a whole: the listener, its actors, its end. */
#include "proxy/proxy.h"

#include <errno.h>
#include <limits.h>
#include <event2/event.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "proxy/internal.h"
#include "proxy/session.h"
#include "proxy/upstream.h"

struct proxy *
proxy_new(struct event_base *base, const struct proxy_options *options,
    const struct proxy_clock *clock, proxy_watch_fn *watch, void *watch_arg)
{
	struct proxy *p = calloc(1, sizeof *p);

	if (p == NULL)
		return NULL;
	p->base = base;
	p->options = *options;
	p->clock = clock != NULL ? *clock : proxy_clock_libevent(base);
	p->watch = watch;
	p->watch_arg = watch_arg;
	p->tells = watch != NULL ? UINT_MAX : 0;
	TAILQ_INIT(&p->sessions);
	TAILQ_INIT(&p->upstreams);
	TAILQ_INIT(&p->ready);
	p->n_servers = options->n_upstreams;
	for (size_t i = 0; i < p->n_servers; i++) {
		p->servers[i].place = &p->options.upstreams[i];
		pool_init(&p->servers[i].pool, (size_t)options->pool_size);
	}
	return p;
}

void
proxy_tell_only(struct proxy *p, unsigned whats)
{
	if (p->watch != NULL)
		p->tells = whats;
}

/* In the steady state nothing is allocated: so many bytes stay. */
enum { SPARE_BYTES = 8 * 1024 * 1024 };

struct exchange *
proxy_take_exchange(struct proxy *p)
{
	struct exchange *x = p->spare_exchanges;

	if (x == NULL)
		return calloc(1, sizeof *x);
	p->spare_exchanges = x->next;
	p->spare_bytes -= exchange_memory(x);
	return x;
}

void
proxy_give_exchange(struct proxy *p, struct exchange *x)
{
	size_t size = exchange_memory(x);

	if (p->spare_bytes + size > SPARE_BYTES) {
		exchange_free(x);
		return;
	}
	p->spare_bytes += size;
	x->next = p->spare_exchanges;
	p->spare_exchanges = x;
}

static void
free_spare_exchanges(struct proxy *p)
{
	struct exchange *x;

	while ((x = p->spare_exchanges) != NULL) {
		p->spare_exchanges = x->next;
		exchange_free(x);
	}
}

void
proxy_set_retry_list(struct proxy *p, const struct retry_list *list)
{
	p->options.retry_list = *list;
}

static void on_client(evutil_socket_t, short, void *);

/* A level-triggered listener tells as long as somebody waits: one accept a turn
 * is enough, and none is in vain.  But without a descriptor to accept with it
 * would spin; an edge-triggered one then tells of the next client only. */
static int
listen_by(struct proxy *p, int fd, short trigger)
{
	event_assign(p->listener, p->base, fd, EV_READ | EV_PERSIST | trigger,
	    on_client, p);
	return event_add(p->listener, NULL);
}

static void
set_starved(struct proxy *p, bool starved)
{
	if (p->listener == NULL || p->starved == starved)
		return;
	p->starved = starved;
	event_del(p->listener);
	listen_by(p, event_get_fd(p->listener), starved ? EV_ET : 0);
}

static void
on_client(evutil_socket_t listener, short what, void *arg)
{
	int fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
	bool come_again = fd >= 0 || errno == EAGAIN || errno == EINTR ||
	    errno == ECONNABORTED;
	struct proxy *p = arg;

	set_starved(p, !come_again);
	if (fd >= 0 && !session_open(p, fd))
		io_reset(fd);
}

void
proxy_regained_descriptor(struct proxy *p)
{
	set_starved(p, false);
}

static void
open_spares(struct proxy *p)
{
	for (size_t i = 0; i < p->n_servers; i++)
		upstream_open_spares(p, &p->servers[i]);
}

int
proxy_listen(struct proxy *p, int fd)
{
	int error, listens = 0;
	socklen_t size = sizeof listens;

	if (getsockopt(fd, SOL_SOCKET, SO_ACCEPTCONN, &listens, &size) != 0)
		; /* errno says it */
	else if (!listens)
		errno = EINVAL;
	else if (p->listener != NULL || p->draining)
		errno = EALREADY;
	else if (evutil_make_socket_nonblocking(fd) == 0) {
		io_no_delay(fd); /* what it accepts inherits it */
		errno = ENOMEM;
		p->listener = event_new(p->base, fd, EV_READ, on_client, p);
		if (p->listener != NULL && listen_by(p, fd, 0) == 0) {
			open_spares(p);
			return 0;
		}
		if (p->listener != NULL)
			event_free(p->listener);
		p->listener = NULL;
	}
	error = errno;
	close(fd);
	errno = error;
	return -1;
}

static void
stop_listening(struct proxy *p)
{
	int fd;

	if (p->listener == NULL)
		return;
	fd = event_get_fd(p->listener);
	event_free(p->listener);
	p->listener = NULL;
	close(fd);
}

void
proxy_drain(struct proxy *p)
{
	struct proxy_actor *a;

	p->draining = true;
	stop_listening(p);
	TAILQ_FOREACH(a, &p->sessions, link)
	actor_poke(a);
}

size_t
proxy_n_sessions(const struct proxy *p)
{
	return p->n_sessions;
}

size_t
proxy_n_upstreams(const struct proxy *p)
{
	return p->n_upstreams;
}

static void
close_all(struct proxy *p)
{
	while (!TAILQ_EMPTY(&p->sessions))
		session_close(TAILQ_FIRST(&p->sessions));
	while (!TAILQ_EMPTY(&p->upstreams))
		upstream_close(TAILQ_FIRST(&p->upstreams));
}

void
proxy_free(struct proxy *p)
{
	if (p == NULL)
		return;
	stop_listening(p);
	close_all(p);
	free_spare_exchanges(p);
	buffer_free(&p->scratch);
	free(p);
}

void
proxy_reset(struct proxy *p)
{
	close_all(p);
	set_starved(p, false);
	p->n_opened_sessions = p->n_opened_upstreams = p->n_exchanges = 0;
	p->turn = 0;
	if (p->listener != NULL)
		open_spares(p);
}

void
proxy_refuse_waiting(struct proxy *p)
{
	int fd;

	while (p->listener != NULL &&
	    (fd = accept4(
		 event_get_fd(p->listener), NULL, NULL, SOCK_CLOEXEC)) >= 0)
		io_reset(fd);
}

void
proxy_pool(const struct proxy *p, proxy_pooled_fn *visit, void *arg)
{
	for (size_t i = 0; i < p->n_servers; i++) {
		struct pool_entry *e;

		TAILQ_FOREACH(e, &p->servers[i].pool.idle, link)
		{
			struct upstream *u = upstream_of_entry(e);
			const struct proxy_actor *a = upstream_actor(u);
			struct proxy_pooled pooled = { a->serial, i,
				upstream_n_uses(u), a->fd };

			visit(arg, &pooled);
		}
	}
}

const char *const *
proxy_checkpoints(void)
{
	static const char *const names[] = {
#define X(symbol, function, wants) "session." #function,
		SESSION_STATES(X)
#undef X
#define X(symbol, function, wants) "upstream." #function,
		    UPSTREAM_STATES(X)
#undef X
			NULL
	};

	return names;
}
