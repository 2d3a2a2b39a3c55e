/* body.h - follow the body of one HTTP/1 message through a stream of bytes:
 * what of it is content, where it ends (RFC 9112 6, 7.1).
 *
 * Pure.  Strict: what two parsers could read differently is bad.
 */
#ifndef PROXY_BODY_H
#define PROXY_BODY_H

#include "proxy/head.h"

/* No longer a trailer section, or a chunk's size with its extensions, is taken.
 */
#define BODY_TRAILER_MAX    8192
#define BODY_CHUNK_LINE_MAX 1024

enum body_result {
	BODY_MORE, /* everything was used; more is needed */
	BODY_DONE, /* it has ended; what is left is not its own */
	BODY_BAD   /* why says what is wrong */
};

/* Takes content, without its framing; false stops (out of memory). */
typedef bool body_content_fn(void *arg, const char *bytes, size_t size);

enum body_chunk {     /* what comes next in a chunked body */
	CHUNK_SIZE,   /* its first digit */
	CHUNK_DIGITS, /* another one, or what ends the size */
	CHUNK_EXTENSION,
	CHUNK_SIZE_LF,
	CHUNK_DATA,
	CHUNK_DATA_CR,
	CHUNK_DATA_LF,
	CHUNK_TRAILER
};

struct body {
	enum framing framing;
	bool done;
	uint64_t left; /* of the length, or of the chunk */
	body_content_fn *content;
	void *arg;
	const char *why; /* BAD: a static sentence */

	/* FRAMING_CHUNKED */
	enum body_chunk chunk;
	size_t n_line;	       /* bytes of the chunk's size and extensions */
	struct buffer trailer; /* field lines, each with its CRLF */
	size_t n_lines;	       /* bytes of it that are whole lines */
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

/* Append the end of a chunked body: the last chunk, and those fields of the
 * trailer section that may go on.  What says something about framing, routing,
 * credentials or the content may not (RFC 9110 6.5.1).
 * Returns: false when out of memory. */
bool body_end_chunks(const struct body *, struct buffer *out);

#endif
