/* listener.h - listening sockets that outlive the labs which use them.
 *
 * A connection that both ends closed in order leaves its listener's port in
 * TIME_WAIT for a minute.  Labs come by the thousand a second: with a new port
 * for each, the kernel would soon search long for a free one, and then find
 * none.  So a few sockets are kept, and lent to one lab after the other.
 */
#ifndef HARNESS_LISTENER_H
#define HARNESS_LISTENER_H

struct sockaddr_in;

/* Kept while nobody uses them; those beyond are closed. */
#define LISTENERS_KEPT 4

/* So many may wait to be accepted, unless net.core.somaxconn is lower. */
#define LISTENER_BACKLOG 4096

/* Get a socket that listens on 127.0.0.1, on a port of the kernel's choice,
 * and on which nobody waits.  Never blocks.
 *
 * Owns:    the caller gives it back with listener_park(), or closes it.
 * Errors:  -1 with errno.
 */
int listener_take(struct sockaddr_in *address);

/* Give it back.  Who has connected and was not accepted, is reset.
 *
 * Needs: every other descriptor of the socket is closed.
 */
void listener_park(int fd);

/* Find a port of 127.0.0.1 on which a program may listen by itself: outside the
 * range from which the kernel takes ports, and no other harness is given it.
 *
 * Owns:    the caller closes the descriptor when the port is free again.
 * Errors:  -1 with errno.
 */
int listener_reserve(struct sockaddr_in *address);

/* After a fork, in the child: close what is kept; it is the parent's. */
void listener_forked(void);

#endif
