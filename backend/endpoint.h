/* endpoint.h - an address in words: where to listen, or what to connect to.
 *
 *	127.0.0.1:3000		IPv4
 *	[::1]:3000		IPv6
 *	backend:3000		a name, which is resolved at once, to one
 *				address or to several
 *	localhost:3000, :3000	loopback: 127.0.0.1, then ::1
 *	unix:/run/app.sock	a Unix socket
 */
#ifndef BACKEND_ENDPOINT_H
#define BACKEND_ENDPOINT_H

#include <netinet/in.h>
#include <stdbool.h>
#include <stddef.h>
#include <sys/socket.h>

enum { ENDPOINT_ADDRESSES_MAX = 8, ENDPOINT_TEXT = 280 };

/* All forms, for complaints and help texts; and those of TCP. */
#define ENDPOINT_TCP_FORMS "ADDR:PORT, NAME:PORT, [IPv6]:PORT, :PORT"
#define ENDPOINT_FORMS	   ENDPOINT_TCP_FORMS ", unix:PATH"

struct endpoint {
	/* to be tried in that order; 0: none is set */
	size_t n;
	struct sockaddr_storage at[ENDPOINT_ADDRESSES_MAX];
	socklen_t size[ENDPOINT_ADDRESSES_MAX];
	char text[ENDPOINT_TEXT]; /* as it was given */
};

/* Read an address.  A name is looked up, which may take as long as the
 * resolver allows.
 *
 * Returns: 0; or -1, and e is not changed.  Then why says what is wrong with a
 *          text that has an allowed form, and is empty for any other.
 */
int endpoint_parse(
    struct endpoint *e, const char *text, char *why, size_t why_size);

/* The endpoint of one address. */
void endpoint_of(struct endpoint *, const struct sockaddr_in *);

/* Is its port 0, of which a listener makes one that is free? */
bool endpoint_has_no_port(const struct endpoint *);

/* A socket that listens there: on the first address that this machine has,
 * those of IPv4 first.  A Unix socket that a dead process has left is removed.
 * Returns: -1 with errno. */
int endpoint_listen(const struct endpoint *);

/* Close such a socket; a Unix socket is removed. */
void endpoint_close(int fd);

/* Where a socket listens, in the words above. */
void endpoint_of_socket(int fd, char text[ENDPOINT_TEXT]);

/* Begin to connect a new non-blocking socket to the n-th address.  Returns: the
 * socket, even where it was refused at once, with errno, 0 if not; or -1. */
int endpoint_dial(const struct endpoint *, size_t n);

#endif
