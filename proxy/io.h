/* io.h - one non-blocking call on a socket, with its outcome spelled out.
 *
 * The kernel reports a reset once, to whichever call comes first; every later
 * call sees end-of-file or EPIPE.  So the outcome is taken from the return
 * value here, at the call, and carried as data from then on.
 */
#ifndef PROXY_IO_H
#define PROXY_IO_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/socket.h>

enum io_outcome {
	IO_DONE,  /* n > 0 bytes moved, or connected */
	IO_AGAIN, /* nothing moved; wait for the descriptor */
	IO_EOF,	  /* read only: the peer sent FIN */
	IO_FAILED /* see error */
};

struct io_result {
	enum io_outcome outcome;
	size_t n;  /* bytes moved by this call */
	int error; /* errno of this call, 0 unless IO_FAILED */
};

/* Read at most size bytes.  Never blocks, never signals.  Needs: size > 0. */
struct io_result io_read(int fd, void *bytes, size_t size);

/* Write at most size bytes.  n is what the kernel accepted, which says nothing
 * about what the peer received.  Never blocks, never signals. */
struct io_result io_write(int fd, const void *bytes, size_t size);

/* The same for what stands in two places, one behind the other. */
struct io_result io_write_two(int fd, const void *first, size_t first_size,
    const void *second, size_t second_size);

/* Begin to connect, or ask how it went: AGAIN while the handshake lasts. */
struct io_result io_connect(int fd, const struct sockaddr *, socklen_t);

/* The last look: is there neither data nor an end on this idle connection? */
bool io_is_silent(int fd);

/* The error that no call has reported yet; taken, so told once.  A reset
 * behind a FIN is told nowhere else. */
int io_take_error(int fd);

/* A new non-blocking TCP socket that does not delay small segments.
 * Returns: -1 with errno. */
int io_socket(int family);
void io_no_delay(int fd);

/* Close by reset, whatever lies unsent or unread. */
void io_reset(int fd);

#endif
