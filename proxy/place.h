/* place.h - an address in words: where to listen, or what to connect to.
 *
 *	127.0.0.1:3000		IPv4
 *	[::1]:3000		IPv6
 *	backend:3000		a name, which is resolved at once, to one
 *				address or to several
 *	localhost:3000, :3000	loopback: 127.0.0.1, then ::1
 *	unix:/run/app.sock	a Unix socket
 */
#ifndef PROXY_PLACE_H
#define PROXY_PLACE_H

#include <netinet/in.h>
#include <stdbool.h>
#include <stddef.h>
#include <sys/socket.h>

enum { PLACE_ADDRESSES_MAX = 8, PLACE_TEXT = 280 };

/* All forms, for complaints and help texts. */
#define PLACE_OTHER_FORMS "NAME:PORT, [IPv6]:PORT, :PORT, unix:PATH"
#define PLACE_FORMS	  "ADDR:PORT, " PLACE_OTHER_FORMS

struct place {
	/* to be tried in that order */
	size_t n;
	struct sockaddr_storage at[PLACE_ADDRESSES_MAX];
	socklen_t size[PLACE_ADDRESSES_MAX];
	char text[PLACE_TEXT]; /* as it was given */
	/* As a Host header has it (RFC 9110 7.2): a port alone is localhost's,
	 * and a Unix socket is of this machine, too. */
	char host[PLACE_TEXT + 16];
};

/* Read an address.  A name is looked up, which may take as long as the
 * resolver allows.
 *
 * Returns: 0; or -1, and the place is not changed.  Then why says what is wrong
 *          with a text that has an allowed form, and is empty for any other.
 */
int place_parse(struct place *, const char *text, char *why, size_t why_size);

/* The place of one address. */
void place_of(struct place *, const struct sockaddr_in *);

/* Is its port 0, of which a listener makes one that is free? */
bool place_has_no_port(const struct place *);

#endif
