/* events.h - what closerace-backend says on its stdout: a line an event, then
 * the ledger.  Fields are KEY=VALUE and only ever added.
 *
 * Pure: facts in, lines to an output.
 */
#ifndef BACKEND_EVENTS_H
#define BACKEND_EVENTS_H

#include "backend/backend.h"

struct output;

/* "executed …", "answered …", "ended …"; other events are passed over. */
void events_tell(struct output *, const struct backend_event *);

/* "attempt …", a line each. */
void events_ledger(struct output *, const struct ledger *);

/* "never_fired …", a line for each fault of the table that had to fire and
 * never did.  Returns: how many these are. */
size_t events_never_fired(struct output *, const struct backend *);

#endif
