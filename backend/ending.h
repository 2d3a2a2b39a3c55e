/* ending.h - end a TCP connection in one of the ways that a peer can tell
 * apart.  System calls only; nothing here knows HTTP.
 */
#ifndef BACKEND_ENDING_H
#define BACKEND_ENDING_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/socket.h>

#include "backend/fault.h"

/* What is left, on our side, of a connection that has ended in a way that its
 * peer may not look at: the descriptor, or the addresses and sequence numbers
 * with which another one can be made. */
struct remains {
	enum { REMAINS_NOTHING, REMAINS_FD, REMAINS_NUMBERS } what;
	int fd; /* owned; shut down in both directions */
	struct sockaddr_storage self, peer;
	socklen_t address_size;
	uint32_t sent, received; /* the next bytes' sequence numbers */
};

/* Is the descriptor given up by that ending? */
bool ending_closes(enum ending);

/* End the connection.
 *
 * Owns:    fd is closed, or becomes part of the remains, where ending_closes()
 *          and the call succeeds.
 * Returns: 0, or the errno of the system call that refused, with the
 *          connection as it was and no remains.
 */
int ending_carry_out(enum ending, int fd, struct remains *);

/* Tell the peer of a connection that it has ended, by a reset.  Where it knows
 * by now, nothing happens.  Nothing remains. */
void ending_tell(struct remains *);

/* Give back what remains, and tell nobody. */
void ending_forget(struct remains *);

/* Close fd with a reset. */
void ending_reset(int fd);

/* As backend_cannot_vanish(). */
const char *ending_cannot_vanish(void);

#endif
