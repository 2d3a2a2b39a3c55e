/* edges.h - an edge-triggered event that tells whether an end is behind the
 * data.
 *
 * An edge that brought nothing but data is done with when a read came back
 * short: whatever comes later has an edge of its own.  But a FIN or a reset may
 * stand behind the data already, and be told by that very edge.  A FIN is: as
 * EV_CLOSED.  Of an error, libevent makes EV_READ|EV_WRITE, and passes on what
 * the event has asked for; so one that waits for reading only is made to ask
 * for both, behind the back of epoll.
 *
 * The event: EV_READ | EV_CLOSED | EV_PERSIST | EV_ET.  Whoever gets it may
 * trust a short read if it came without EV_CLOSED and EV_WRITE.
 */
#ifndef BACKEND_EDGES_H
#define BACKEND_EDGES_H

#include <stdbool.h>

struct event;

/* Add the event; it tells of what is there already.  writable: it is to tell
 * when it can be written to, too; then no short read can be trusted.  Returns:
 * as event_add(). */
int edges_listen(struct event *, bool writable);

/* Delete the event, which was added so; it need not be there any more.  Needed
 * in front of event_free(), too. */
void edges_turn_away(struct event *, bool writable);

#endif
