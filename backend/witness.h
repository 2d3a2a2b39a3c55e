/* witness.h - see what is sent to connections that have vanished.
 *
 * The kernel answers it with a reset and tells nobody; a packet socket on the
 * loopback interface sees it go by.  Needs CAP_NET_RAW.  The process keeps one
 * such socket from its first witness on.
 */
#ifndef BACKEND_WITNESS_H
#define BACKEND_WITNESS_H

#include <netinet/in.h>

#include "backend/unread.h"

struct event_base;
struct witness;

/* Look out for packets to a local TCP port.  Returns: NULL where that is not
 * allowed, or out of memory. */
struct witness *witness_new(struct event_base *, unsigned short port);
void witness_free(struct witness *); /* NULL is allowed */

/* Why no witness can look out here; a static sentence, NULL where one can. */
const char *witness_lacks(void);

/* After a fork, in the child: close the one that is kept. */
void witness_forked(void);

/* What was sent so far is seen at its socket, where there is one: it is not to
 * be entered.  NULL is allowed. */
void witness_catch_up(struct witness *);

/* Enter into the ledger what peer has sent since the witness has caught up, and
 * what it will send; unread says as what. */
void witness_watch(
    struct witness *, const struct sockaddr_in *peer, const struct unread *);

/* Peer has a new connection: what it sends is none of our business any more.
 * NULL is allowed. */
void witness_forget(struct witness *, const struct sockaddr_in *peer);

#endif
