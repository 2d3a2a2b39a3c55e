/* response_reader.h - from the bytes that a backend sends to the response that
 * the client is owed: interim responses, the final head, the body.
 *
 * Pure: no I/O.  Bytes are put into `in`, in pieces of any size, and come out
 * in the exchange, translated.
 */
#ifndef PROXY_RESPONSE_READER_H
#define PROXY_RESPONSE_READER_H

#include "proxy/body.h"
#include "proxy/buffer.h"

struct exchange;

struct response_reader {
	struct buffer in; /* read, not yet used */
	bool has_head;	  /* the final one; its body follows */
	size_t n_scanned; /* of in, in which the final head does not end */
	size_t n_checked; /* … whose lines were found good */
	struct body body;
};

enum response_progress {
	RESPONSE_MORE,	 /* all was used; more is needed */
	RESPONSE_BEGINS, /* in begins with a final response */
	RESPONSE_WHOLE,	 /* it has ended; what is left in `in` is not its own */
	/* a 408 that answers no request of ours (R8), or a 417 that answers our
	 * own Expect: exchange->now says which */
	RESPONSE_STRAY,
	RESPONSE_INVALID, /* exchange->invalid says why */
	RESPONSE_NO_MEMORY
};

/* Begin an attempt. */
void response_reader_reset(struct response_reader *);

/* Hand interim responses over, up to the beginning of a final one: MORE,
 * BEGINS, INVALID or NO_MEMORY.  No head may be longer than head_bytes, nor may
 * all the interim ones together: a backend could go on saying them for ever,
 * and a client to which they are not passed on could not be seen to leave. */
enum response_progress response_reader_look(
    struct response_reader *, struct exchange *, size_t head_bytes);

/* Follow the final response through what is in `in`: all but BEGINS. */
enum response_progress response_reader_read(
    struct response_reader *, struct exchange *, size_t head_bytes);

/* Is there anything in `in` that was not looked at yet? */
bool response_reader_has_news(const struct response_reader *);

/* The backend sent FIN.  Returns: WHOLE where only that ends the response,
 * MORE where it is cut, or NO_MEMORY. */
enum response_progress response_reader_finish(
    struct response_reader *, struct exchange *);

#endif
