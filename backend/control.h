/* control.h - the control API of closerace-backend: its ledger and its fault
 * table over HTTP, on a listener of its own.
 *
 *	GET /ledger	every attempt, as JSON; those with ?id=ID
 *	GET /faults	the fault table, as JSON
 *	POST /faults	adds faults, one line each, as fault_parse() reads them,
 *			and answers with those it has added
 *	DELETE /faults	empties the table
 *
 * HEAD is GET without the content.  Nobody is asked for a password; what a
 * browser sends for a page of another site is refused with 403, and what a form
 * can send changes nothing (415); see guard.h.
 */
#ifndef BACKEND_CONTROL_H
#define BACKEND_CONTROL_H

#include "backend/backend.h"

/* So many connections at once, an eighth of the descriptors that the process
 * may have: the backend needs them more.  For one more, the one that has been
 * without a request for longest is closed. */
unsigned control_conns_max(void);

struct control;

/* Serve on fd, a listening socket, on the same loop as the backend, which is
 * borrowed.  name: a host that requests may name, beside those of this very
 * machine, written as in a Host header; it is borrowed.  A connection on which
 * nothing moves for idle_s seconds is closed.  Owns: takes fd.  Returns: NULL
 * on failure, fd closed. */
struct control *control_new(struct event_base *, struct backend *, int fd,
    const char *name, unsigned idle_s);
void control_free(struct control *); /* NULL is allowed */

#endif
