/* response_reader.h - from the bytes that a backend sends to the response that
 * the client is owed: interim responses, the final head, the body.
 *
 * Pure: no I/O.  Bytes are put into `in`, in pieces of any size, and come out
 * in the exchange, translated.
 */
#ifndef PROXY_RESPONSE_READER_H
#define PROXY_RESPONSE_READER_H

#include "proxy/buffer.h"
#include "proxy/exchange.h"
#include "proxy/message.h"

struct response_reader {
	struct buffer in; /* read, not yet used */
	size_t n_fed;	  /* of in, while message reads the head */
	struct message message;
	struct exchange *exchange;
	size_t head_bytes; /* the longest head accepted */
};

enum response_progress {
	RESPONSE_MORE,	 /* all was used; more is needed */
	RESPONSE_BEGINS, /* in begins with a final response */
	RESPONSE_WHOLE,	 /* it has ended; what is left in `in` is not its own */
	RESPONSE_STALE,	 /* a 408 that answers no request of ours (R8) */
	RESPONSE_INVALID, /* exchange->invalid says why */
	RESPONSE_NO_MEMORY
};

/* Hand interim responses over, up to the beginning of a final one: MORE,
 * BEGINS, INVALID or NO_MEMORY. */
enum response_progress response_reader_look(struct response_reader *);

/* Begin with the final response that look() found. */
void response_reader_begin(struct response_reader *);

/* Follow it through what is in `in`: all but BEGINS. */
enum response_progress response_reader_read(struct response_reader *);

/* The backend sent FIN.  Returns: WHOLE where only that ends the response,
 * MORE where it is cut, or NO_MEMORY. */
enum response_progress response_reader_finish(struct response_reader *);

#endif
