/* client.h - a client that sends exact bytes and keeps exact books of what it
 * is told.
 *
 * Threads: none.  Nothing is sent or read except while the lab runs, apart
 *          from what the kernel takes at once.
 * Sizes:   bytes.
 */
#ifndef HARNESS_CLIENT_H
#define HARNESS_CLIENT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "backend/ledger.h"
#include "harness/reply.h"

struct lab;
struct endpoint;
struct client;
struct exchange;

struct client_header {
	const char *name, *value;
};

struct client_request {
	const char *method; /* default "GET" */
	const char *path;   /* default "/" */
	const char *id;	    /* NULL: none; sent as X-Closerace-Id */
	const struct client_header *headers;
	size_t n_headers;
	const char *body; /* NULL: none */
	size_t body_size;
	bool chunked; /* Transfer-Encoding: chunked */
	/* The body follows in steps: exchange_send(), exchange_finish(). */
	bool open;
	long length;	/* open: Content-Length; -1: chunked */
	int timeout_ms; /* the lab's time; 0: for ever; -1: the client's */
};

/* What became of an exchange, as the client saw it. */
struct told {
	bool done;	 /* nothing more will come */
	bool complete;	 /* a whole final response */
	bool closed;	 /* its connection was closed, orderly or not */
	bool reset;	 /* … by a reset, or by a failed send */
	bool truncated;	 /* it ended in the middle of a response */
	bool invalid;	 /* what came is no HTTP response */
	bool timeout;	 /* timeout_ms went by */
	bool refused;	 /* no connection could be made */
	bool failed;	 /* a program under test says that it failed */
	bool silent;	 /* … or that it did not, and not by which response */
	bool body_known; /* … but what body it was given: its reply's */
	int error;	 /* errno of the connection, 0 for none */
	size_t received; /* bytes of any kind that came for it */
};

/* Make a client of that address.  It connects when it has something to send,
 * and again when its connection was closed.  Closed with the lab.
 *
 * timeout_ms: of its exchanges, the lab's time; 0: they wait for ever.
 * Returns:    NULL when out of memory.
 */
struct client *client_new(
    struct lab *, const struct endpoint *to, int timeout_ms);

/* Keep a connection on which the peer has sent FIN, instead of closing it: what
 * a raw exchange sends on it then tells how the peer has ended it.  Another
 * request still takes another connection. */
void client_stay_half_open(struct client *);

unsigned client_number(const struct client *);

/* Connect now, unless there is a connection that the next request can take.
 * Returns: false when out of memory or descriptors. */
bool client_connect(struct client *);

/* Send a request behind whatever was sent before (pipelined where a response
 * is still to come).
 *
 * Needs:   no unfinished open exchange on the client.
 * Owns:    copies the request; the exchange lives as long as the lab.
 * Returns: NULL with errno: out of memory or descriptors, no network.
 */
struct exchange *client_start(struct client *, const struct client_request *);

/* The same with bytes as they are; the method and the id are read from them.
 * The exchange is open: more bytes may follow by exchange_send(). */
struct exchange *client_raw(
    struct client *, const char *bytes, size_t size, int timeout_ms);

/* Enter a request that a program under test is about to send, as an exchange:
 * nothing is sent, and exchange_tell() ends it.
 *
 * Needs:   method, path and id.
 * Owns, Returns: as client_start().
 */
struct exchange *client_watch(
    struct client *, const struct client_request *, bool content_known);

/* What a program under test has told of a request. */
struct tale {
	bool complete; /* it takes it for answered */
	bool timeout;  /* it never came to an end */
	/* complete: which response it was given; status 0: it does not say */
	int status;
	unsigned long mark; /* 0: none */
	const char *body;   /* NULL: it does not say */
	size_t body_size;
};

/* End an exchange of client_watch().  Needs: it is not done. */
void exchange_tell(struct exchange *, const struct tale *);

/* It was entered by client_watch(). */
bool exchange_is_watched(const struct exchange *);

/* The exchange that is open, NULL for none. */
struct exchange *client_open_exchange(const struct client *);

/* Send FIN behind what was sent.  Returns: false where there is no
 * connection. */
bool client_half_close(struct client *);

/* Drop the connection by a reset. */
void client_close(struct client *);

/* Send more of an open exchange's body (as a chunk where it is chunked), or
 * of a raw exchange's bytes.
 *
 * Needs:   the exchange is open.
 * Returns: 0, or the errno that the send met; ENOTCONN where the connection
 *          was closed before.
 */
int exchange_send(struct exchange *, const char *bytes, size_t size);

/* Wait no longer, as if its timeout_ms had gone by.  Needs: it is not done. */
void exchange_time_out(struct exchange *);

/* No more is to be sent.  Needs: the exchange is open. */
void exchange_finish(struct exchange *);
bool exchange_is_open(const struct exchange *);

const struct told *exchange_told(const struct exchange *);
const struct reply *exchange_reply(const struct exchange *);
/* Which of its client's connections it went out on, from 1; 0: none of ours. */
unsigned exchange_conn(const struct exchange *);

const char *exchange_id(const struct exchange *); /* "": none */
const char *exchange_method(const struct exchange *);
const char *exchange_path(const struct exchange *);

/* The content that was to be sent so far, without any chunked coding.
 * Returns: false where nobody knows: raw bytes. */
bool exchange_content(const struct exchange *, uint64_t *size, uint64_t *hash);

/* Where in the timeline it began; see trace_seq(). */
uint64_t exchange_start_seq(const struct exchange *);

/* … and where it ended.  Needs: done. */
uint64_t exchange_end_seq(const struct exchange *);

/* Lab's time from start to end (or now). */
int64_t exchange_ms(const struct exchange *);

/* The newest exchange with that id in the lab; NULL: none. */
struct exchange *client_find(struct lab *, const char *id);

#endif
