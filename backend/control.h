/* control.h - the control API of closerace-backend: its ledger and its fault
 * table over HTTP, on a listener of its own.
 *
 *	GET /ledger	every attempt, as JSON
 *	GET /faults	the fault table, as JSON
 *	POST /faults	adds faults, one line each, as fault_parse() reads them
 *	DELETE /faults	empties the table
 */
#ifndef BACKEND_CONTROL_H
#define BACKEND_CONTROL_H

#include "backend/backend.h"

struct control;

/* Serve on fd, a listening TCP socket, on the same loop as the backend, which
 * is borrowed.  Owns: takes fd.  Returns: NULL on failure, fd closed. */
struct control *control_new(struct event_base *, struct backend *, int fd);
void control_free(struct control *); /* NULL is allowed */

#endif
