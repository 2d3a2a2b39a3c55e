/* stream.c - see stream.h. */
#include "backend/stream.h"

#include <errno.h>
#include <linux/sockios.h>
#include <linux/tcp.h>
#include <netinet/in.h>
#include <stdbool.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/types.h>

static struct stream_result
result_of(ssize_t r, bool is_read)
{
	struct stream_result res = { STREAM_DONE, 0, 0 };

	if (r > 0)
		res.n = (size_t)r;
	else if (r == 0)
		res.outcome = is_read ? STREAM_EOF : STREAM_AGAIN;
	else if (errno == EAGAIN || errno == EWOULDBLOCK || errno == EINTR)
		res.outcome = STREAM_AGAIN;
	else {
		res.outcome = STREAM_FAILED;
		res.err = errno;
	}
	return res;
}

struct stream_result
stream_read(int fd, void *buf, size_t size)
{
	return result_of(recv(fd, buf, size, MSG_DONTWAIT), true);
}

struct stream_result
stream_peek(int fd, void *buf, size_t size)
{
	return result_of(recv(fd, buf, size, MSG_DONTWAIT | MSG_PEEK), true);
}

struct stream_result
stream_skip(int fd, void *buf, size_t size)
{
	/* With MSG_TRUNC a TCP socket drops the bytes without copying. */
	return result_of(recv(fd, buf, size, MSG_DONTWAIT | MSG_TRUNC), true);
}

struct stream_result
stream_write(int fd, const void *buf, size_t size)
{
	return result_of(
	    send(fd, buf, size, MSG_DONTWAIT | MSG_NOSIGNAL), false);
}

size_t
stream_unread(int fd)
{
	int n = 0;

	return ioctl(fd, SIOCINQ, &n) == 0 && n > 0 ? (size_t)n : 0;
}

size_t
stream_unacked(int fd)
{
	int n = 0;

	return ioctl(fd, SIOCOUTQ, &n) == 0 && n > 0 ? (size_t)n : 0;
}

size_t
stream_unsent(int fd)
{
	struct tcp_info info = { 0 };
	socklen_t n = sizeof info;

	if (getsockopt(fd, IPPROTO_TCP, TCP_INFO, &info, &n) != 0)
		return 0;
	return info.tcpi_notsent_bytes;
}
