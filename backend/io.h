/* io.h - one non-blocking read or write, with its outcome spelled out.
 *
 * The kernel reports a reset once, to whichever call comes first; every later
 * call sees end-of-file or EPIPE.  So the outcome is taken from the return
 * value here, at the call, and carried as data from then on.
 */
#ifndef BACKEND_IO_H
#define BACKEND_IO_H

#include <stddef.h>

enum io_outcome {
	IO_DONE,  /* n > 0 bytes moved */
	IO_AGAIN, /* nothing moved; wait for the descriptor */
	IO_EOF,	  /* read only: the peer sent FIN */
	IO_FAILED /* see err */
};

struct io_result {
	enum io_outcome outcome;
	size_t n; /* bytes moved by this call */
	int err;  /* errno of this call, 0 unless IO_FAILED */
};

/* Read at most size bytes.  Never blocks, never signals. */
struct io_result io_read(int fd, void *buf, size_t size);

/* The same, but leave the bytes where they are. */
struct io_result io_peek(int fd, void *buf, size_t size);

/* Drop size bytes that were peeked at before.  buf is scratch space of that
 * size, its contents stay what was peeked. */
struct io_result io_skip(int fd, void *buf, size_t size);

/* Write at most size bytes.  n is what the kernel accepted, which says nothing
 * about what the peer received.  Never blocks, never signals. */
struct io_result io_write(int fd, const void *buf, size_t size);

/* Bytes that lie unread in fd's receive queue. */
size_t io_unread(int fd);

/* Bytes that the kernel has accepted on fd and not sent yet. */
size_t io_unsent(int fd);

#endif
