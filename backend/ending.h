/* ending.h - end a TCP connection in one of the ways that a peer can tell
 * apart.  System calls only; nothing here knows HTTP.
 */
#ifndef BACKEND_ENDING_H
#define BACKEND_ENDING_H

#include <stdbool.h>

#include "backend/fault.h"

/* Is the descriptor closed by that ending? */
bool ending_closes(enum ending);

/* End the connection.  Owns: fd is closed where ending_closes() and the call
 * succeeds.  Returns: 0, or the errno of the system call that refused, with
 * the connection as it was. */
int ending_carry_out(enum ending, int fd);

/* Close fd with a reset. */
void ending_reset(int fd);

/* As backend_cannot_vanish(). */
const char *ending_cannot_vanish(void);

#endif
