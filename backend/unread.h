/* unread.h - enter into the ledger what arrived on a connection and nobody
 * read as a request: bytes left in the kernel when the connection ended, bytes
 * that were discarded after it, bytes sent to a connection that had vanished.
 *
 * Pure: bytes in, attempts in the ledger.
 */
#ifndef BACKEND_UNREAD_H
#define BACKEND_UNREAD_H

#include <stdbool.h>
#include <stddef.h>

#include "backend/follow.h"
#include "backend/ledger.h"

struct unread {
	struct ledger *ledger;	    /* borrowed */
	struct ledger_attempt like; /* what new attempts begin as */
	struct follow follow;
	/* the request that the next byte belongs to; LEDGER_NONE: a new one */
	size_t attempt;
	size_t first; /* the first attempt entered; LEDGER_NONE: none */
	bool may_run; /* a server gets it all the same, and may act on it */
};

/* Begin between two requests; the next one is number request of its
 * connection. */
void unread_start(
    struct unread *, struct ledger *, unsigned conn, unsigned request);

/* Begin inside a request: attempt is its entry, follow has seen it up to the
 * next byte. */
void unread_inside(struct unread *, const struct follow *, size_t attempt);

/* These bytes arrived and were not read. */
void unread_feed(struct unread *, const void *bytes, size_t size);

/* So did these, but they could not be looked at. */
void unread_count(struct unread *, size_t size);

#endif
