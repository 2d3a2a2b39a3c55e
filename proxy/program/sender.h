/* sender.h - may a request be served on the admin port, or does a browser send
 * it for a page of another site?
 *
 * A page cannot choose the Host that its browser sends: it is the page's own
 * name, even where that name leads here (DNS rebinding).  Where a page asks
 * another host than its own, the browser says so in Origin or Sec-Fetch-Site.
 *
 * Pure.
 */
#ifndef PROXY_PROGRAM_SENDER_H
#define PROXY_PROGRAM_SENDER_H

#include <stdbool.h>

/* Is host, the value of a Host header, a literal loopback address, localhost,
 * or one of the hosts of names (ended by NULL)?  These are written like it,
 * with a port or without one, and the port does not count.  host NULL: the
 * header is missing. */
bool sender_names(const char *host, const char *const *names);

/* Is it a page of this very host, or no page at all?  origin, site: the values
 * of Origin and Sec-Fetch-Site; NULL: missing. */
bool sender_is_same(const char *origin, const char *site, const char *host);

#endif
