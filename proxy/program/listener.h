/* listener.h - the sockets that clients come to. */
#ifndef PROXY_PROGRAM_LISTENER_H
#define PROXY_PROGRAM_LISTENER_H

#include "proxy/place.h"

/* Where to listen. */
struct listen_at {
	int fd; /* inherited; -1: none, but: */
	struct place place;
};

/* What place.h reads, or "fd@N".  Returns: 0, or -1 where the text is neither,
 * with why as place_parse(). */
int listener_parse(
    struct listen_at *, const char *text, char *why, size_t why_size);

/* Open n sockets at one place; who connects meets one of them.  An inherited
 * one is duplicated.  Nobody else has the port: that they share it is settled
 * once it is theirs.
 *
 * Errors: -1 with errno; nothing is open then.
 */
int listener_open(const struct listen_at *, int *fds, int n);

void listener_close(int *fds, int n);

/* Remove the Unix socket that it has listened on. */
void listener_remove(const struct listen_at *);

#endif
