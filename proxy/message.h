/* message.h - follow one HTTP/1 message through a stream of bytes: where its
 * head ends, what of it is body, where it ends.
 *
 * A thin layer over llhttp.  What llhttp lets through in a head, head.h and
 * its callers check.
 */
#ifndef PROXY_MESSAGE_H
#define PROXY_MESSAGE_H

#include <stdbool.h>
#include <stddef.h>

#include <llhttp.h>

enum message_result {
	MESSAGE_MORE, /* everything was used; more is needed */
	MESSAGE_HEAD, /* the head has just ended; go on with what is left */
	MESSAGE_DONE, /* the message has ended; what is left is not its own */
	MESSAGE_BAD   /* see message_error() */
};

/* Takes body bytes, without their framing; false stops (out of memory). */
typedef bool message_body_fn(void *arg, const char *bytes, size_t size);

struct message {
	llhttp_t parser;
	message_body_fn *body;
	void *arg;
	bool head_done, done;
	bool answers_head; /* its request was a HEAD */
};

void message_expect_request(struct message *, message_body_fn *, void *arg);
void message_expect_response(
    struct message *, bool answers_head, message_body_fn *, void *arg);

/* Follow the next bytes.  *used is how many of them were used; the head's
 * last byte is the last one used when HEAD is returned.  After HEAD, call
 * again even with nothing: a message without a body is DONE only then.
 *
 * Needs:      not DONE, not BAD.
 * Calls back: body.
 */
enum message_result message_feed(
    struct message *, const char *bytes, size_t size, size_t *used);

/* The stream has ended.  Returns: DONE where that ends the message (a
 * close-delimited response), else BAD. */
enum message_result message_finish(struct message *);

/* What was wrong; a static sentence. */
const char *message_error(const struct message *);

/* Why the request line could not be used: 400, 501 (no such method) or 505. */
int message_refusal(const struct message *);

#endif
