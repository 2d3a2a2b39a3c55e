/* proxy.h - a reverse proxy for HTTP/1.1 with an upstream pool and retries.
 *
 * Threads: none.  Every call and every callback happens on the thread that
 *          runs the event_base.
 * Times:   milliseconds, named *_ms.
 * Sizes:   bytes, size_t.
 *
 * The proxy is made of actors, each a state machine: a *session* serves one
 * client connection, an *upstream* is one connection to the backend.  The
 * states are the checkpoints: a watcher is told of every entry into a state,
 * before anything is done in it, and may hold the actor there.
 */
#ifndef PROXY_PROXY_H
#define PROXY_PROXY_H

#include <stdbool.h>
#include <stddef.h>

#include "proxy/clock.h"
#include "proxy/options.h"
#include "proxy/retry.h"

struct event_base;
struct proxy;
struct proxy_actor; /* a session or an upstream connection */

enum proxy_what {
	PROXY_OPENED,  /* an actor came to be; fd is its socket */
	PROXY_ENTERED, /* a state; the answer may hold the actor */
	/* the bytes of proxy_limit() have been sent; the answer says whether it
	 * is held there */
	PROXY_LIMITED,
	PROXY_READ, /* size bytes were read from its socket */
	PROXY_SENT, /* size bytes were accepted by its socket */
	/* session: an attempt failed and was judged, or ended well (decision is
	 * NULL) */
	PROXY_ATTEMPT,
	PROXY_CLOSED /* the actor is gone after this call */
};

struct proxy_event {
	enum proxy_what what;
	struct proxy_actor *actor;
	int fd;
	/* n-th session, or n-th upstream, of this proxy */
	unsigned long serial;
	/* where it is, such as "upstream.sending" */
	const char *checkpoint;

	/* The request that the actor serves; exchange 0 where it has none.
	 * head is the request head as the client sent it, borrowed for the
	 * call. */
	unsigned long exchange; /* n-th request of this proxy */
	unsigned attempt;	/* of that exchange, from 1 */
	const char *head;
	size_t head_size;

	const void *bytes; /* READ, SENT: borrowed */
	size_t size;

	/* ATTEMPT only. */
	/* serial of its connection, 0 where none could be had */
	unsigned long upstream;
	const struct attempt *facts;
	const struct retry_decision *decision; /* NULL: the attempt was good */
};

enum proxy_answer { PROXY_GO, PROXY_HOLD };

/* Calls back: may call proxy_limit(), nothing else of this header.
 *  The answer counts for ENTERED and LIMITED. */
typedef enum proxy_answer proxy_watch_fn(void *arg, const struct proxy_event *);

/* Make a proxy that serves nobody yet.
 *
 * Needs:   options->upstream set.
 * Owns:    copies options and clock; borrows base.  clock NULL means
 *          libevent's timers; watch may be NULL.
 * Returns: NULL when out of memory.
 */
struct proxy *proxy_new(struct event_base *, const struct proxy_options *,
    const struct proxy_clock *, proxy_watch_fn *watch, void *watch_arg);

/* Accept clients on fd, a listening TCP socket.
 *
 * Owns:    takes fd; makes it non-blocking.
 * Errors:  -1 with errno, fd closed.
 */
int proxy_listen(struct proxy *, int fd);

/* Stop accepting; serve what is in progress.  Idle client connections are
 * closed at once, the others after their response. */
void proxy_drain(struct proxy *);

/* Sessions that are open. */
size_t proxy_n_sessions(const struct proxy *);

/* Close every connection at once (by reset, so that no port lingers in
 * TIME_WAIT) and release everything.  The watcher is told CLOSED for each
 * actor.  NULL is allowed. */
void proxy_free(struct proxy *);

/* Close every connection at once, as proxy_free() does, and begin anew: it
 * listens where it did, with an empty pool, and counts from 1 again.  Not from a
 * callback. */
void proxy_reset(struct proxy *);

/* Reset whoever has connected and was not accepted yet. */
void proxy_refuse_waiting(struct proxy *);

/* Let a held actor go on.  It steps from the event loop, not inside this
 * call.  Needs: held. */
void proxy_release(struct proxy_actor *);

/* Let an upstream send at most size more bytes; then it is LIMITED.
 * Needs: an upstream.  Without a limit (the default) nothing is counted. */
void proxy_limit(struct proxy_actor *, size_t size);

/* Visit the idle connections of the pool, the next one to be taken first. */
typedef void proxy_pooled_fn(
    void *arg, unsigned long serial, unsigned n_uses, int fd);
void proxy_pool(const struct proxy *, proxy_pooled_fn *, void *arg);

/* All checkpoints ("session.waiting", …), ended by NULL. */
const char *const *proxy_checkpoints(void);

#endif
