/* request_reader.h - from the bytes that a client sends to requests, one after
 * the other.
 *
 * Pure: no I/O.  Bytes are put into `in`, in pieces of any size; a head comes
 * out as the first n_head bytes of `in`, a body in the exchange.
 */
#ifndef PROXY_REQUEST_READER_H
#define PROXY_REQUEST_READER_H

#include "proxy/body.h"
#include "proxy/buffer.h"

struct exchange;

struct request_reader {
	struct buffer in; /* read, not yet used */
	size_t n_head;	  /* size of the head in front of it, once known */
	size_t n_scanned; /* of in, in which no head ends */
	size_t n_checked; /* … whose lines were found good */
	struct body body;
};

/* Has a request begun?  Where it has, its head is looked for from now on.
 *
 * n_empty: empty lines that were dropped before it; begin with 0.  At least one
 *          should be (RFC 9112 2.2), but what sends many is no client: the
 *          next one begins a request, a malformed one.
 */
enum { REQUEST_EMPTY_LINES_MAX = 128 };
bool request_reader_begin(struct request_reader *, unsigned *n_empty);

enum request_progress {
	REQUEST_MORE, /* all was used; more is needed */
	REQUEST_HEAD, /* the first n_head bytes are a head, not yet checked */
	REQUEST_WHOLE,
	REQUEST_BAD /* refuse it */
};

/* Look for the head, at most head_bytes long: MORE, HEAD or BAD with the status
 * to refuse with and a static sentence. */
enum request_progress request_reader_head(
    struct request_reader *, size_t head_bytes, int *status, const char **why);

/* The exchange has taken the head: its body follows. */
void request_reader_begin_body(struct request_reader *, struct exchange *);

/* Follow the body: MORE, WHOLE or BAD.  used: bytes that were used. */
enum request_progress request_reader_body(struct request_reader *,
    struct exchange *, size_t *used, int *status, const char **why);

#endif
