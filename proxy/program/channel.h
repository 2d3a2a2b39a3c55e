/* channel.h - messages between the program and one of its workers, over a
 * socketpair.  Both ends are the same program, so what is sent is what lies in
 * memory.  Sending never blocks: what the other end does not take yet, waits.
 */
#ifndef PROXY_PROGRAM_CHANNEL_H
#define PROXY_PROGRAM_CHANNEL_H

#include <stddef.h>
#include <stdint.h>

enum channel_kind {
	/* to a worker */
	CHANNEL_ASK,	/* answer with REPORT, and the same number */
	CHANNEL_RELOAD, /* a struct retry_list, or nothing: the same */
	CHANNEL_DRAIN,
	CHANNEL_STOP, /* end at once */
	/* from a worker */
	CHANNEL_READY, /* it serves */
	CHANNEL_REPORT /* struct counters, then the status text */
};

struct channel;
struct event_base;

/* bytes are borrowed for the call. */
typedef void channel_message_fn(void *arg, enum channel_kind, uint32_t number,
    const void *bytes, size_t size);
typedef void channel_closed_fn(void *arg);

/* Owns:    takes fd, non-blocking, unless it fails; borrows base.
 * Calls back: not from inside; closed, once, when the other end is gone.
 * Returns: NULL when out of memory.
 */
struct channel *channel_new(struct event_base *, int fd, channel_message_fn *,
    channel_closed_fn *closed, void *arg);

/* Send a message in two parts, either of which may be empty.  What cannot be
 * sent for want of memory is not sent. */
void channel_send(struct channel *, enum channel_kind, uint32_t number,
    const void *first, size_t first_size, const void *second,
    size_t second_size);

/* NULL is allowed.  Not from inside a channel_message_fn. */
void channel_free(struct channel *);

#endif
