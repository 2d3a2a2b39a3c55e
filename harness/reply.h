/* reply.h - the client's own reader of HTTP/1.1 responses.
 *
 * Deliberately small, deliberately not the proxy's: the referee does not
 * borrow the player's eyes.  Pure: bytes in, one response out.
 */
#ifndef HARNESS_REPLY_H
#define HARNESS_REPLY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "harness/bytes.h"

enum reply_state {
	REPLY_READING,	/* wants more bytes */
	REPLY_COMPLETE, /* a final response, whole */
	REPLY_INVALID	/* this is not HTTP/1.x */
};

struct reply {
	enum reply_state state;
	bool to_head; /* set by the caller: it answers a HEAD */

	int status;	    /* of the final response; 0: none seen yet */
	unsigned n_interim; /* 1xx responses in front of it */
	bool close;	    /* it says, or implies, that the connection ends */
	bool until_close;   /* its end is the end of the connection */
	unsigned long mark; /* X-Closerace-Mark, 0: none */
	uint64_t body_hash; /* ledger_hash() over the body so far */

	/* The final response as received: a head (with its empty line), then
	 * the body with any chunked coding removed. */
	struct bytes head;
	struct bytes body;

	/* Private. */
	int phase;
	uint64_t left; /* of the body or chunk */
	char line[128];
	size_t line_size;
};

/* Begin.  reply is all zero before its first use. */
void reply_init(struct reply *, bool to_head);
void reply_free(struct reply *);

/* Feed bytes.  Returns: how many belong to this response; fewer than size
 * only once it is complete or invalid. */
size_t reply_feed(struct reply *, const char *bytes, size_t size);

/* The connection ended, orderly or not.  A response whose end is the end of
 * the connection is completed by an orderly one. */
void reply_end(struct reply *, bool orderly);

/* Has any byte of a final response been seen? */
bool reply_begun(const struct reply *);

/* Find a header in a head.  Returns: its value (not terminated) and its size,
 * or NULL. */
const char *reply_header(
    const char *head, size_t head_size, const char *name, size_t *value_size);

#endif
