/* response.h - the head of a response: what it says, and how it goes on to
 * the client.
 *
 * Pure.  RFC 9112 4, 6.3; RFC 9110 7.6, 15.2 (interim responses).
 */
#ifndef PROXY_RESPONSE_H
#define PROXY_RESPONSE_H

#include "proxy/buffer.h"
#include "proxy/head.h"

struct response {
	int status;
	int minor;	     /* HTTP/1.minor: 0, or 1 for 1 and more */
	char said_minor;     /* … its digit, as it was said */
	struct span line;    /* in the head it was read from */
	struct span upgrade; /* likewise: to what a 101 switches */
	size_t fields_at;    /* where the first field line begins */
	enum framing framing;
	uint64_t length;
	struct head_hops hops;
	bool announces_close; /* by Connection, or as HTTP/1.0 does */
	/* It can have no content and speaks of its length (RFC 9110 8.6, RFC
	 * 9112 6.1): what follows may be anything. */
	bool odd;
	bool has_date; /* that goes on */
	bool has_hint; /* Keep-Alive: timeout= */
	bool has_max;  /* Keep-Alive: max= */
	int hint_ms;
	unsigned max;
};

enum response_kind {
	RESPONSE_UNKNOWN, /* too few bytes */
	RESPONSE_INTERIM, /* 1xx */
	RESPONSE_FINAL	  /* or something that is no response */
};

/* What do these bytes begin?  Only the status's first digit decides. */
enum response_kind response_kind(const char *bytes, size_t size);

/* What its request was. */
struct response_to {
	bool head;	     /* a HEAD */
	struct span upgrade; /* the protocols it asked for; empty: none */
};

/* Read a complete head, as strictly as a request's.
 * Returns: NULL, or a static sentence that says what is wrong. */
const char *response_read(struct response *, const char *head, size_t size,
    const struct response_to *);

/* How the client is to know where the response ends, and what follows. */
enum response_connection {
	RESPONSE_PLAIN,	    /* nothing to say */
	RESPONSE_CLOSE,	    /* Connection: close */
	RESPONSE_KEEP_ALIVE /* Connection: keep-alive, for HTTP/1.0 */
};

/* What the client is told beside what the backend said. */
struct response_extras {
	bool chunked; /* the body comes in chunks */
	enum response_connection connection;
	/* why there was another attempt, for Proxy-Status; NULL: it is the
	 * first one's response */
	const char *again;
	unsigned attempt;
	/* when it was received, in seconds since 1970; 0: it is not said */
	int64_t date_s;
};

/* Append the head as the client shall see it.  Returns: false when out of
 * memory. */
bool response_write(const struct response *, const char *head, size_t size,
    const struct response_extras *, struct buffer *);

#endif
