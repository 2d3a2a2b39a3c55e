/* io.c - see io.h. */
#include "backend/io.h"

#include <errno.h>
#include <linux/sockios.h>
#include <stdbool.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/types.h>

static struct io_result
result_of(ssize_t r, bool is_read)
{
	struct io_result res = { IO_DONE, 0, 0 };

	if (r > 0)
		res.n = (size_t)r;
	else if (r == 0)
		res.outcome = is_read ? IO_EOF : IO_AGAIN;
	else if (errno == EAGAIN || errno == EWOULDBLOCK || errno == EINTR)
		res.outcome = IO_AGAIN;
	else {
		res.outcome = IO_FAILED;
		res.err = errno;
	}
	return res;
}

struct io_result
io_read(int fd, void *buf, size_t size)
{
	return result_of(recv(fd, buf, size, MSG_DONTWAIT), true);
}

struct io_result
io_peek(int fd, void *buf, size_t size)
{
	return result_of(recv(fd, buf, size, MSG_DONTWAIT | MSG_PEEK), true);
}

struct io_result
io_skip(int fd, void *buf, size_t size)
{
	/* With MSG_TRUNC a TCP socket drops the bytes without copying. */
	return result_of(recv(fd, buf, size, MSG_DONTWAIT | MSG_TRUNC), true);
}

struct io_result
io_write(int fd, const void *buf, size_t size)
{
	return result_of(
	    send(fd, buf, size, MSG_DONTWAIT | MSG_NOSIGNAL), false);
}

size_t
io_unread(int fd)
{
	int n = 0;

	return ioctl(fd, SIOCINQ, &n) == 0 && n > 0 ? (size_t)n : 0;
}

size_t
io_unsent(int fd)
{
	int n = 0;

	return ioctl(fd, SIOCOUTQNSD, &n) == 0 && n > 0 ? (size_t)n : 0;
}
