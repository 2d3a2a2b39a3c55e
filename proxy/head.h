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

/* The fields that mean something here. */
enum head_name {
	NAME_OTHER,
	NAME_AUTHORIZATION,
	NAME_CONNECTION,
	NAME_CONTENT_LENGTH,
	NAME_COOKIE,
	NAME_DATE,
	NAME_EXPECT,
	NAME_HOST,
	NAME_IDEMPOTENCY_KEY,
	NAME_KEEP_ALIVE,
	NAME_MAX_FORWARDS,
	NAME_PROXY_CONNECTION,
	NAME_TE,
	NAME_TRAILER,
	NAME_TRANSFER_ENCODING,
	NAME_UPGRADE
};

struct head_field {
	enum head_name id;
	struct span line; /* with its CRLF */
	struct span name;
	struct span value; /* without white space around it */
};

/* How the end of a body is known (RFC 9112 6.3). */
enum framing {
	FRAMING_NONE,	 /* there is no body */
	FRAMING_LENGTH,	 /* Content-Length */
	FRAMING_CHUNKED, /* Transfer-Encoding: chunked */
	FRAMING_CLOSE,	 /* the end of the connection; responses only */
	FRAMING_TUNNEL	 /* no message any more: bytes (101) */
};

/* Where does the head end?  Returns: its size, or 0 while it is incomplete. */
size_t head_end(const char *bytes, size_t size);

/* The head is incomplete: is what is there wrong already?  Only its whole
 * lines are looked at, from *at on, which moves: begin with 0.
 *
 * Returns: NULL, or a static sentence. */
const char *head_check(const char *bytes, size_t size, size_t *at);

/* The start line of a complete head, without its CRLF.
 * Returns: NULL, or a static sentence that says what is wrong with it. */
const char *head_start_line(const char *head, size_t size, struct span *line);

enum head_step { HEAD_FIELD, HEAD_END, HEAD_BAD };

/* Walk over the fields of a complete head, strictly: only CRLF ends a line, no
 * line is folded, no control character, no space between a name and its colon.
 * Begin with *at behind the start line.
 *
 * Errors:  BAD with a static sentence in *why.
 */
enum head_step head_next(const char *head, size_t size, size_t *at,
    struct head_field *, const char **why);

/* One or more token characters (RFC 9110 5.6.2)? */
bool head_is_token(struct span);

/* Compare without regard to case with a word that begins with a lower-case
 * letter.  Most comparisons are with a word of another length or another first
 * letter, which the compiler knows. */
static inline bool
head_is(struct span s, const char *word)
{
	return s.size == strlen(word) && (s.bytes[0] | 0x20) == word[0] &&
	    strncasecmp(s.bytes, word, s.size) == 0;
}

/* Walk over a comma-separated list: begin with *at = 0. */
bool head_next_token(struct span list, size_t *at, struct span *token);

/* A decimal number, nothing else.  Returns: false where it is none, or one
 * that is beyond all reason (over 18 digits). */
bool head_number(struct span, uint64_t *);

/* What ends at this hop: the names that Connection lists, and the lines of
 * fields that never go on. */
#define HEAD_LISTED_MAX 32
#define HEAD_LINES_MAX	8

struct head_part { /* of the head */
	unsigned at, size;
};

struct head_hops {
	unsigned drops;			 /* names that never go on: 1 << name */
	bool close, keep_alive, upgrade; /* what Connection said */
	unsigned n_listed;		 /* … beside these */
	unsigned known;			 /* … of which are names above */
	unsigned n_lines;
	struct head_part listed[HEAD_LISTED_MAX];
	/* more lines than there is room for are found again */
	struct head_part lines[HEAD_LINES_MAX];
};

/* The names that end at every hop: where drops begins. */
#define HEAD_DROPS                                        \
	(1u << NAME_CONNECTION | 1u << NAME_KEEP_ALIVE |  \
	    1u << NAME_PROXY_CONNECTION | 1u << NAME_TE | \
	    1u << NAME_TRANSFER_ENCODING | 1u << NAME_UPGRADE)

/* Note what a field that was read means for what goes on, one after the other.
 * Returns: false: Connection lists too many names. */
bool head_note_hop(
    struct head_hops *, const char *head, const struct head_field *);

/* Do fields of that name go on to the next hop?  What does not is nothing that
 * the next hop knows of.
 *
 * Needs:   every field was noted; not NAME_OTHER. */
bool head_goes_on(const struct head_hops *, enum head_name);

static inline bool
head_is_digit(char c)
{
	return c >= '0' && c <= '9';
}

/* "HTTP/", a digit, a dot, a digit? */
bool head_is_version(struct span);

/* Append the Via of a message that came as HTTP/1.said_minor, and the head's
 * end.  Returns: false when out of memory. */
bool head_write_via(char said_minor, struct buffer *out);

/* Append the field lines that go on to the next hop.  Host and Content-Length
 * always do, whatever Connection says: without them the message would mean
 * something else.
 *
 * begin:   of the first field line.
 * Returns: false when out of memory.
 */
bool head_forward(const char *head, size_t size, size_t begin,
    const struct head_hops *, struct buffer *out);

#endif
