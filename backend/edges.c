/* edges.c - see edges.h. */
#include "backend/edges.h"

#include <event2/event.h>
#include <event2/event_struct.h>

int
edges_listen(struct event *ev, bool writable)
{
	int error;

	if (writable)
		ev->ev_events |= EV_WRITE;
	error = event_add(ev, NULL);
	if (error == 0)
		ev->ev_events |= EV_WRITE;
	return error;
}

void
edges_turn_away(struct event *ev, bool writable)
{
	/* libevent counts by what stands here. */
	if (!writable)
		ev->ev_events &= ~EV_WRITE;
	event_del(ev);
}
