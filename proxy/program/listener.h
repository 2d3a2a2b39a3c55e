/* listener.h - the sockets that clients come to. */
#ifndef PROXY_PROGRAM_LISTENER_H
#define PROXY_PROGRAM_LISTENER_H

#include <netinet/in.h>

/* Where to listen. */
struct place {
	int fd; /* inherited; -1: none, but: */
	struct sockaddr_in sin;
};

/* "ADDR:PORT" or "fd@N".  Returns: 0, or -1 where the text is neither. */
int listener_parse(struct place *, const char *text);

/* Open n sockets at one place; who connects meets one of them.  An inherited
 * one is duplicated.  Nobody else has the port: that they share it is settled
 * once it is theirs.
 *
 * Errors: -1 with errno; nothing is open then.
 */
int listener_open(const struct place *, int *fds, int n);

void listener_close(int *fds, int n);

#endif
