/* request.h - the head of a request: what it says, whether it may pass, and
 * how it goes on to the backend.
 *
 * Pure.  RFC 9112 3, 6.1, 6.3, 11.2 (smuggling); RFC 9110 7.6 (forwarding).
 */
#ifndef PROXY_REQUEST_H
#define PROXY_REQUEST_H

#include "proxy/buffer.h"
#include "proxy/head.h"
#include "proxy/options.h"

/* As many as are counted (RFC 9110 7.6.2). */
enum { REQUEST_FORWARDS_MAX = 999999999 };

struct request {
	struct span method, target; /* in the head it was read from */
	struct span authority;	    /* of an absolute-form target; else empty */
	struct span upgrade;	    /* value of Upgrade, where one is wanted */
	int minor;		    /* HTTP/1.minor: 0, or 1 for 1 and more */
	char said_minor;	    /* … its digit, as it was said */
	struct head_hops hops;
	size_t fields_at; /* where the first field line begins */
	enum framing framing;
	uint64_t length; /* of a body with FRAMING_LENGTH */
	/* Max-Forwards of an OPTIONS or TRACE: 0, it goes no further; -1, it
	 * has none */
	int forwards;
	bool is_head, is_trace;
	bool keep_alive; /* the client wants its connection kept */
	bool has_host;
	/* Of the fields that go on; what Connection lists is no knowledge about
	 * the request that the backend will see (RFC 9110 7.6.1). */
	bool expects_continue; /* Expect: 100-continue */
	bool has_credentials;  /* Cookie or Authorization */
	bool has_key;	       /* Idempotency-Key */
};

/* Check the request line alone, without its CRLF.
 * Returns: 0, or the status to refuse with and a static sentence. */
int request_check_line(struct span line, const char **why);

/* Read a complete head, strictly: what two parsers could read differently is
 * refused.
 *
 * Returns: 0, or the status to refuse with (400, 501, 505) and a static
 *          sentence in *why.
 */
int request_read(
    struct request *, const char *head, size_t size, const char **why);

/* What retry.h wants to know; replayable is set. */
struct request_facts request_facts(
    const struct request *, const struct proxy_options *);

/* Append the head as the backend shall see it: fields of this hop removed,
 * framing made anew, Via added, all else byte for byte.
 *
 * close:   ask the backend to close after its response.
 * expect:  ask it for a 100 before the body.
 * Returns: false when out of memory.
 */
bool request_write(const struct request *, const char *head, size_t size,
    const char *backend, bool close, bool expect, struct buffer *);

/* Append what a TRACE that goes no further is answered: the head as it came,
 * without what is likely to be a secret (RFC 9110 9.3.8).
 * Returns: false when out of memory. */
bool request_reflect(
    const struct request *, const char *head, size_t size, struct buffer *);

/* Append a request of our own that asks for nothing: OPTIONS *. */
bool request_write_probe(const char *backend, struct buffer *);

#endif
