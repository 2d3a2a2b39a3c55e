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
#include <stdint.h>

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
	PROXY_DONE,  /* session: an exchange is over; see account */
	PROXY_CLOSED /* the actor is gone after this call */
};

/* What became of an exchange, for a log and for counters. */
struct proxy_account {
	int status; /* of the final response the client was sent; 0: none */
	/* Who ended it early, and while what was going on; '-', '-' where it
	 * came to its end.
	 *   C the client is gone     R its request was being read
	 *   c … or took too long     C connecting (or verifying)
	 *   U the backend            S sending the request
	 *   u … or took too long     H waiting for the response
	 *   P the request was refused  D relaying the response
	 *   I the proxy lacks something  T inside a tunnel
	 */
	char who, when;
	/* static sentence; where it came to its end: why there was more than
	 * one attempt, or "" */
	const char *why;

	unsigned n_attempts;
	unsigned n_retries; /* … of them after something was sent */
	unsigned n_reused;  /* … of them on a pooled connection */
	bool reused;	    /* the last one was */
	size_t upstream;    /* … to this one of options.upstreams */

	/* Bytes of the request's head and body content, and of what the client
	 * was sent. */
	size_t received, sent;

	/* By the clock's now_us: the head's first byte, its last byte, the
	 * last attempt's connection is there, the response's first byte, the
	 * end; 0: not reached. */
	int64_t begun_us, asked_us, ready_us, answered_us, done_us;
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

	const struct proxy_account *account; /* DONE only */
};

enum proxy_answer { PROXY_GO, PROXY_HOLD };

/* Calls back: may call proxy_limit(), nothing else of this header.
 *  The answer counts for ENTERED and LIMITED. */
typedef enum proxy_answer proxy_watch_fn(void *arg, const struct proxy_event *);

/* Make a proxy that serves nobody yet.
 *
 * Needs:   options that proxy_options_check() accepts.
 * Owns:    copies options and clock; borrows base.  clock NULL means
 *          libevent's timers; watch may be NULL.
 * Returns: NULL when out of memory.
 */
struct proxy *proxy_new(struct event_base *, const struct proxy_options *,
    const struct proxy_clock *, proxy_watch_fn *watch, void *watch_arg);

/* Tell the watcher of these only; each is PROXY_TELL(what), or'ed.  The default
 * is all. */
#define PROXY_TELL(what) (1u << (what))
void proxy_tell_only(struct proxy *, unsigned whats);

/* Replace the list of requests known to be repeatable; it is copied. */
void proxy_set_retry_list(struct proxy *, const struct retry_list *);

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

/* An idle connection. */
struct proxy_pooled {
	unsigned long serial;
	size_t upstream; /* of options.upstreams */
	unsigned n_uses; /* 0: a spare one */
	int fd;
};

/* Visit the idle connections of the pool, upstream by upstream, the next one to
 * be taken first. */
typedef void proxy_pooled_fn(void *arg, const struct proxy_pooled *);
void proxy_pool(const struct proxy *, proxy_pooled_fn *, void *arg);

/* Connections to the backend that are open, idle ones included. */
size_t proxy_n_upstreams(const struct proxy *);

/* All checkpoints ("session.waiting", …), ended by NULL. */
const char *const *proxy_checkpoints(void);

#endif
