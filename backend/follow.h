/* follow.h - follow HTTP/1 messages through a stream of bytes and tell where
 * exactly their parts end.
 *
 * Pure: bytes in, offsets and names out.  Offsets count the bytes of the
 * present message, from 0; an offset of 0 means "not reached yet".
 */
#ifndef BACKEND_FOLLOW_H
#define BACKEND_FOLLOW_H

#include <llhttp.h>
#include <stdbool.h>
#include <stddef.h>

#define FOLLOW_ID_MAX	  64
#define FOLLOW_TARGET_MAX 1024

enum follow_kind { FOLLOW_REQUEST, FOLLOW_RESPONSE };

struct follow {
	llhttp_t parser;
	enum follow_kind kind;
	size_t size;	 /* bytes of this message seen */
	size_t line_end; /* behind the request line or status line */
	size_t head_end; /* behind the empty line */
	size_t end;	 /* behind the last byte */
	/* no HTTP, as llhttp sees it: nothing below will change any more */
	bool lost;
	bool no_body;	/* told by follow_start() */
	bool connects;	/* it answers a CONNECT: a 2xx has no body; told after
			 * follow_start() */
	bool until_eof; /* the body ends with the stream */

	/* of a request */
	char method[16]; /* "": not known yet */
	char target[FOLLOW_TARGET_MAX];
	bool target_known;
	char id[FOLLOW_ID_MAX]; /* see ledger_id_of() */
	bool id_known;		/* no later byte can change it */
	bool expects_100;

	int status; /* of a response; 0: not known yet */

	/* the parser's scratch space */
	bool begun, head_now, whole_now;
	size_t n_target;
	char name[32];
	size_t n_name;
	char value[FOLLOW_ID_MAX];
	size_t n_value;
	int wanted;
};

/* Begin a message.  no_body: it answers a HEAD. */
void follow_start(struct follow *, enum follow_kind, bool no_body);

/* See more bytes.
 *
 * Returns: how many of them belong to the present message; fewer than size
 *          where it ended, or where the follower got lost.
 */
size_t follow_feed(struct follow *, const void *bytes, size_t size);

/* The stream has ended.  A body that lasts until then is complete by it. */
void follow_eof(struct follow *);

/* Is the present message certainly longer than n bytes? */
bool follow_longer_than(const struct follow *, size_t n);

/* The path of a request target: what stands before the query, without scheme
 * and authority. */
void follow_path(const char *target, char *path, size_t path_size);

/* The segment X of a target /id/X/…, "" where there is none.  Returns: what
 * is behind it, or the path itself. */
const char *follow_path_id(const char *target, char id[FOLLOW_ID_MAX]);

#endif
