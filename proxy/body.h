/* body.h - follow the body of one HTTP/1 message through a stream of bytes:
 * what of it is content, where it ends (RFC 9112 6, 7.1).
 *
 * Pure.  Chunks are llhttp's to read; all else is counting.
 */
#ifndef PROXY_BODY_H
#define PROXY_BODY_H

#include <llhttp.h>

#include "proxy/head.h"

/* No longer a trailer section is taken. */
#define BODY_TRAILER_MAX 8192

enum body_result {
	BODY_MORE, /* everything was used; more is needed */
	BODY_DONE, /* it has ended; what is left is not its own */
	BODY_BAD   /* see body_error() */
};

/* Takes content, without its framing; false stops (out of memory). */
typedef bool body_content_fn(void *arg, const char *bytes, size_t size);

struct body {
	enum framing framing;
	bool done;
	uint64_t left; /* FRAMING_LENGTH */
	body_content_fn *content;
	void *arg;
	/* FRAMING_CHUNKED */
	llhttp_t parser;
	bool in_value;	       /* of a trailer field, not its name */
	struct buffer trailer; /* field lines, each with its CRLF */
	const char *why;       /* BAD: what llhttp does not say */
};

/* Begin.  length counts with FRAMING_LENGTH. */
void body_begin(
    struct body *, enum framing, uint64_t length, body_content_fn *, void *arg);

/* Follow the next bytes; *used is how many of them were used.  A body that is
 * none is DONE with the first call, even with nothing.
 *
 * Needs:      not BAD.
 * Calls back: content.
 */
enum body_result body_feed(
    struct body *, const char *bytes, size_t size, size_t *used);

/* What was wrong; a static sentence. */
const char *body_error(const struct body *);

/* Append the end of a chunked body: the last chunk, and those fields of the
 * trailer section that may go on.  What says something about framing, routing,
 * credentials or the content may not (RFC 9110 6.5.1).
 * Returns: false when out of memory. */
bool body_end_chunks(const struct body *, struct buffer *out);

#endif
