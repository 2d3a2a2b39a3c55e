/* origin.h - the built-in HTTP server: libmicrohttpd, driven by hand.
 *
 * It has no thread, no port and no event of its own: whoever puts bytes into a
 * connection, or takes some out, calls origin_drive() behind it, and after that
 * everything libmicrohttpd could do has been done.
 */
#ifndef BACKEND_ORIGIN_H
#define BACKEND_ORIGIN_H

#include <stdbool.h>

#include "backend/clock.h"
#include "backend/ledger.h"

struct event_base;
struct origin;
struct origin_conn;

/* What the handler knows of a request … */
struct origin_request {
	const char *method;
	const char *target;
	const char *id; /* by libmicrohttpd's own reading of the head */
	bool executed;	/* false: refused before its body was read */
	/* of its content, without any chunked coding; ledger_hash() */
	uint64_t body_size, body_hash;
};

/* … and what it must know to answer. */
struct origin_reply {
	unsigned long mark;
	char id[LEDGER_ID_MAX];
	bool announce; /* Connection: close */
};

/* Calls back: all three may call nothing of this header. */
struct origin_calls {
	/* The handler has run; say how to answer.  who is what
	 * origin_connect() was given. */
	void (*executed)(
	    void *who, const struct origin_request *, struct origin_reply *);
	/* A delayed answer is ready: the connection wants to be driven. */
	void (*ready)(void *who);
	/* origin_drive() stopped at its bound: drive again, from the loop. */
	void (*unfinished)(void *arg);
	void *arg; /* of unfinished */
};

/* Borrows ledger; the marks of its responses are entered there.
 * keep_alive_ms: the hint that responses carry; 0: none. */
struct origin *origin_new(const struct backend_clock *, struct ledger *,
    int keep_alive_ms, const struct origin_calls *);

/* Needs: every connection dropped.  NULL is allowed. */
void origin_free(struct origin *);

/* Connect to the origin.  fd: the caller's end of a local connection, which it
 * closes behind origin_drop().  Returns: NULL on failure, fd -1. */
struct origin_conn *origin_connect(struct origin *, void *who, int *fd);

/* From now on who is that; NULL: nobody, and it must stay idle.  Needs: idle.
 */
void origin_serve(struct origin_conn *, void *who);

/* Is no request begun on it, as far as the origin knows? */
bool origin_is_idle(const struct origin_conn *);

/* Forget who, and give up what is in progress.  The caller closes its own end
 * of the connection and drives.  NULL is allowed. */
void origin_drop(struct origin_conn *);

/* Let libmicrohttpd do everything that can be done now. */
void origin_drive(struct origin *);

#endif
