/* stream.h - one non-blocking read or write, with its outcome spelled out.
 *
 * The kernel reports a reset once, to whichever call comes first; every later
 * call sees end-of-file or EPIPE.  So the outcome is taken from the return
 * value here, at the call, and carried as data from then on.
 */
#ifndef BACKEND_STREAM_H
#define BACKEND_STREAM_H

#include <stddef.h>

enum stream_outcome {
	STREAM_DONE,  /* n > 0 bytes moved */
	STREAM_AGAIN, /* nothing moved; wait for the descriptor */
	STREAM_EOF,   /* read only: the peer sent FIN */
	STREAM_FAILED /* see err */
};

struct stream_result {
	enum stream_outcome outcome;
	size_t n; /* bytes moved by this call */
	int err;  /* errno of this call, 0 unless STREAM_FAILED */
};

/* Read at most size bytes.  Never blocks, never signals. */
struct stream_result stream_read(int fd, void *buf, size_t size);

/* The same, but leave the bytes where they are. */
struct stream_result stream_peek(int fd, void *buf, size_t size);

/* Drop size bytes that were peeked at before.  buf is scratch space of that
 * size, its contents stay what was peeked. */
struct stream_result stream_skip(int fd, void *buf, size_t size);

/* Write at most size bytes.  n is what the kernel accepted, which says nothing
 * about what the peer received.  Never blocks, never signals. */
struct stream_result stream_write(int fd, const void *buf, size_t size);

/* Bytes that lie unread in fd's receive queue. */
size_t stream_unread(int fd);

/* Bytes that the kernel has accepted on fd and the peer's has not yet said that
 * it has got. */
size_t stream_unacked(int fd);

/* Bytes that the kernel has accepted on fd and not sent yet. */
size_t stream_unsent(int fd);

#endif
