/* strict.h - a strict reader of HTTP/1 messages, by which the fuzz targets
 * judge what goes into the proxy and what comes out of it.
 *
 * Deliberately small, deliberately not the proxy's: the referee does not
 * borrow the player's eyes.  Pure: it reads the bytes of a stream from where a
 * message begins, all of them at once, and keeps pointers into them.
 */
#ifndef TESTS_FUZZ_STRICT_H
#define TESTS_FUZZ_STRICT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum strict_verdict {
	STRICT_MORE, /* it is not whole */
	STRICT_GOOD, /* whole, and nobody may refuse it */
	STRICT_MAY,  /* whole, and clear where it ends; it may be refused */
	STRICT_BAD   /* nobody may pass it on */
};

enum strict_framing {
	STRICT_NONE,
	STRICT_LENGTH,
	STRICT_CHUNKED,
	STRICT_CLOSE /* responses only */
};

struct strict_text {
	const char *bytes;
	size_t size;
};

struct strict_message {
	enum strict_verdict verdict;
	const char *why; /* it is BAD or only MAY; static */

	size_t head_size; /* 0: the head is not whole */
	bool head_good;	  /* whatever comes behind it */
	struct strict_text line, fields;
	struct strict_text method, target; /* of a request */
	/* … what is asked of the backend, without its slash in front, and in
	 * whose name (RFC 9112 3.2.2; size 0: Host's) */
	struct strict_text path, authority;
	int status; /* of a response */
	int minor;  /* HTTP/1.minor */
	enum strict_framing framing;
	bool last;     /* the connection ends behind it */
	bool reframes; /* a trailer looks like framing or routing */

	char *body; /* decoded, as far as it came */
	size_t body_size;
	size_t size; /* all of it, once it is whole */
};

struct strict_field {
	struct strict_text name, value;
};

/* Read one request.  head_bytes: the longest head that must be taken.
 * Owns: the message's body is the caller's; strict_free(). */
void strict_request(
    struct strict_message *, const char *bytes, size_t size, size_t head_bytes);

/* Read one response, an interim one too.  to_head: it answers a HEAD.  ended:
 * the stream has ended in good order. */
void strict_response(struct strict_message *, const char *bytes, size_t size,
    bool to_head, bool ended, size_t head_bytes);

void strict_free(struct strict_message *);

/* Walk over the fields: begin with at = 0. */
bool strict_next(
    const struct strict_message *, size_t *at, struct strict_field *);

/* How many fields have that name, in any case? */
unsigned strict_count(const struct strict_message *, const char *name);

/* The field's value, or an empty text with NULL. */
struct strict_text strict_value(
    const struct strict_message *, const char *name);

/* Is the text that word, in any case? */
bool strict_is(struct strict_text, const char *word);

/* Is it a HEAD request?  Methods have a case. */
bool strict_is_head(const struct strict_message *);

/* Does the request count its forwards (RFC 9110 7.6.2), and are none left?
 * Only OPTIONS and TRACE do; what is no number counts as none left. */
bool strict_is_counted(const struct strict_message *);
bool strict_is_used_up(const struct strict_message *);

/* Is the word in a comma-separated list of one of the fields of that name? */
bool strict_lists(
    const struct strict_message *, const char *name, struct strict_text word);

/* Does a field of that name end at the next hop (RFC 9110 7.6.1)? */
bool strict_is_hop(const struct strict_message *, struct strict_text name);

#endif
