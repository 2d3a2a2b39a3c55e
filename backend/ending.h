/* ending.h - end a TCP connection in one of the ways that a peer can tell
 * apart.  System calls only; nothing here knows HTTP.
 */
#ifndef BACKEND_ENDING_H
#define BACKEND_ENDING_H

#include <netinet/in.h>
#include <stdbool.h>
#include <stdint.h>

#include "backend/fault.h"

/* What is left of a connection that has vanished: its peer still has it. */
struct ghost {
	struct sockaddr_in self, peer;
	uint32_t sent, received; /* the next bytes' sequence numbers */
};

/* Is the descriptor closed by that ending? */
bool ending_closes(enum ending);

/* End the connection.
 *
 * Owns:    fd is closed where ending_closes() and the call succeeds.
 * ghost:   gets what ENDING_VANISH leaves.
 * Returns: 0, or the errno of the system call that refused, with the
 *          connection as it was.
 */
int ending_carry_out(enum ending, int fd, struct ghost *ghost);

/* Tell the peer of a connection that has vanished, by a reset.  Where it knows
 * by now, nothing happens. */
void ending_lay(const struct ghost *);

/* Close fd with a reset. */
void ending_reset(int fd);

/* As backend_cannot_vanish(). */
const char *ending_cannot_vanish(void);

#endif
