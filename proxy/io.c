/* io.c - see io.h. */
#include "proxy/io.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#include <sys/types.h>
#include <sys/uio.h>
#include <unistd.h>

static struct io_result
failure(int error)
{
	if (error == EAGAIN || error == EWOULDBLOCK || error == EINTR)
		return (struct io_result){ IO_AGAIN, 0, 0 };
	return (struct io_result){ IO_FAILED, 0, error };
}

struct io_result
io_read(int fd, void *bytes, size_t size)
{
	ssize_t n;

	do
		n = recv(fd, bytes, size, MSG_DONTWAIT);
	while (n < 0 && errno == EINTR);
	if (n < 0)
		return failure(errno);
	if (n == 0)
		return (struct io_result){ IO_EOF, 0, 0 };
	return (struct io_result){ IO_DONE, (size_t)n, 0 };
}

struct io_result
io_write(int fd, const void *bytes, size_t size)
{
	ssize_t n;

	do
		n = send(fd, bytes, size, MSG_DONTWAIT | MSG_NOSIGNAL);
	while (n < 0 && errno == EINTR);
	if (n < 0)
		return failure(errno);
	return (struct io_result){ n > 0 ? IO_DONE : IO_AGAIN, (size_t)n, 0 };
}

struct io_result
io_write_two(int fd, const void *first, size_t first_size, const void *second,
    size_t second_size)
{
	struct iovec parts[2] = { { (void *)first, first_size },
		{ (void *)second, second_size } };
	struct msghdr message = { .msg_iov = parts, .msg_iovlen = 2 };
	ssize_t n;

	do
		n = sendmsg(fd, &message, MSG_DONTWAIT | MSG_NOSIGNAL);
	while (n < 0 && errno == EINTR);
	if (n < 0)
		return failure(errno);
	return (struct io_result){ n > 0 ? IO_DONE : IO_AGAIN, (size_t)n, 0 };
}

struct io_result
io_connect(int fd, const struct sockaddr *to, socklen_t size)
{
	if (connect(fd, to, size) == 0 || errno == EISCONN)
		return (struct io_result){ IO_DONE, 0, 0 };
	if (errno == EINPROGRESS || errno == EALREADY || errno == EINTR)
		return (struct io_result){ IO_AGAIN, 0, 0 };
	return (struct io_result){ IO_FAILED, 0, errno };
}

bool
io_is_silent(int fd)
{
	char c;

	return recv(fd, &c, 1, MSG_PEEK | MSG_DONTWAIT) < 0 &&
	    (errno == EAGAIN || errno == EWOULDBLOCK || errno == EINTR);
}

int
io_take_error(int fd)
{
	int error = 0;
	socklen_t size = sizeof error;

	if (getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &size) != 0)
		return errno;
	return error;
}

void
io_no_delay(int fd)
{
	int on = 1;

	/* It fails on what is no TCP socket, where it is not needed. */
	(void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
}

int
io_socket(int family)
{
	int fd = socket(family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

	if (fd >= 0 && family != AF_UNIX)
		io_no_delay(fd);
	return fd;
}

void
io_reset(int fd)
{
	struct linger at_once = { 1, 0 };

	(void)setsockopt(fd, SOL_SOCKET, SO_LINGER, &at_once, sizeof at_once);
	close(fd);
}
