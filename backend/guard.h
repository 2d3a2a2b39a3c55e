/* guard.h - may this request be served, or does a browser send it for a page
 * that is none of ours?
 *
 * A page of another site cannot choose the Host that its browser sends: it is
 * the page's own name, even where that name leads here (DNS rebinding).  Where
 * the page asks another host than its own, the browser says so in Origin or in
 * Sec-Fetch-Site; and without asking first it sends none but the content types
 * of forms (Fetch, "CORS-safelisted request-header").
 *
 * Pure.
 */
#ifndef BACKEND_GUARD_H
#define BACKEND_GUARD_H

#include <stdbool.h>

/* Is host, the value of a Host header, a literal loopback address, localhost,
 * or one of the hosts of names (ended by NULL)?  These are written like it,
 * with a port or without one, and the port does not count.  host NULL: the
 * header is missing. */
bool guard_host(const char *host, const char *const *names);

/* Does the request come from a page of this very host, or from no page at all?
 * origin, site: the values of Origin and Sec-Fetch-Site; NULL: missing. */
bool guard_origin(const char *origin, const char *site, const char *host);

/* Could a form have sent that Content-Type?  NULL, none, too. */
bool guard_is_form(const char *type);

#endif
