/* head.h - the head of an HTTP/1 message, as bytes: its lines, its fields.
 *
 * Pure.  A head is everything from the start line to the empty line, both
 * included; all spans point into it.  RFC 9112 2.1, 5; RFC 9110 5.1, 7.6.1.
 */
#ifndef PROXY_HEAD_H
#define PROXY_HEAD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <strings.h>

#include "proxy/buffer.h"

struct span {
	const char *bytes;
	size_t size;
};

struct head_field {
	struct span line; /* with its CRLF */
	struct span name;
	struct span value; /* without white space around it */
};

/* How the end of a body is known (RFC 9112 6.3). */
enum framing {
	FRAMING_NONE,	 /* there is no body */
	FRAMING_LENGTH,	 /* Content-Length */
	FRAMING_CHUNKED, /* Transfer-Encoding: chunked */
	FRAMING_CLOSE	 /* the end of the connection; responses only */
};

/* Where does the head end?  Returns: its size, or 0 while it is incomplete. */
size_t head_end(const char *bytes, size_t size);

/* Check what llhttp lets through: only CRLF ends a line, no line is folded, no
 * control character, no space between a name and its colon.
 *
 * Returns: NULL, or a static sentence.
 */
const char *head_check(const char *head, size_t size);

/* The start line, without its CRLF. */
struct span head_start_line(const char *head, size_t size);

/* Walk over the fields: begin with *at = 0.  Needs: head_check() passed. */
bool head_next(const char *head, size_t size, size_t *at, struct head_field *);

/* Compare without regard to case.  Most comparisons are with a word of another
 * length, which the compiler knows. */
static inline bool
head_is(struct span s, const char *word)
{
	return s.size == strlen(word) &&
	    strncasecmp(s.bytes, word, s.size) == 0;
}

/* Walk over a comma-separated list: begin with *at = 0. */
bool head_next_token(struct span list, size_t *at, struct span *token);

/* A decimal number, nothing else.  Returns: false where it is none, or one
 * that is beyond all reason (over 18 digits). */
bool head_number(struct span, uint64_t *);

/* Names of fields that end at this hop. */
#define HEAD_HOPS_MAX 32

struct head_hops {
	struct span listed[HEAD_HOPS_MAX];
	size_t n;
	bool close, keep_alive; /* what Connection said */
};

/* Add what one Connection field lists.  Returns: false: too many names. */
bool head_add_hops(struct head_hops *, struct span value);

/* Does the field end here?  Host and Content-Length never do, whatever
 * Connection says: without them the message would mean something else. */
bool head_is_hop(const struct head_hops *, struct span name);

/* Append the field lines that go on to the next hop, without a field of that
 * name (lower case; NULL: with all).  Returns: false when out of memory. */
bool head_forward(const char *head, size_t size, const struct head_hops *,
    const char *without, struct buffer *out);

#endif
