/* ending.c - see ending.h. */
#include "backend/ending.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#include <unistd.h>

#include "backend/stream.h"

bool
ending_closes(enum ending ending)
{
	return ending == ENDING_RST || ending == ENDING_PLAIN ||
	    ending == ENDING_VANISH;
}

void
ending_reset(int fd)
{
	struct linger now = { 1, 0 };

	setsockopt(fd, SOL_SOCKET, SO_LINGER, &now, sizeof now);
	close(fd);
}

/* Have the peer's kernel know that all its bytes have come.  It is told late
 * otherwise, or, with bytes unread, not even when asked. */
static void
acknowledge(int fd, int n_unread)
{
	char unread[4096];
	int on = 1;
	ssize_t got = 1;

	for (; n_unread > 0 && got > 0; n_unread -= (int)got)
		got = recv(fd, unread,
		    (size_t)n_unread < sizeof unread ? (size_t)n_unread
						     : sizeof unread,
		    MSG_DONTWAIT);
	setsockopt(fd, IPPROTO_TCP, TCP_QUICKACK, &on, sizeof on);
}

static int
repair(int fd, int how)
{
	return setsockopt(fd, IPPROTO_TCP, TCP_REPAIR, &how, sizeof how);
}

/* The sequence number of the next byte in a direction.  Needs: under repair. */
static uint32_t
next_number(int fd, int queue)
{
	uint32_t number = 0;
	socklen_t size = sizeof number;

	setsockopt(fd, IPPROTO_TCP, TCP_REPAIR_QUEUE, &queue, sizeof queue);
	getsockopt(fd, IPPROTO_TCP, TCP_QUEUE_SEQ, &number, &size);
	return number;
}

static void
remember(int fd, struct remains *left)
{
	socklen_t self_size = sizeof left->self, peer_size = sizeof left->peer;

	getsockname(fd, (struct sockaddr *)&left->self, &self_size);
	getpeername(fd, (struct sockaddr *)&left->peer, &peer_size);
	left->address_size = self_size;
	left->sent = next_number(fd, TCP_SEND_QUEUE);
	left->received = next_number(fd, TCP_RECV_QUEUE);
	left->what = REMAINS_NUMBERS;
}

/* A socket under repair is closed without a word to the peer.  But the peer's
 * kernel has two things to say by itself, and the reset that answers them would
 * tell: it sends again what was not acknowledged, and it acknowledges, some
 * 40 ms late, what it has received.  So the one is acknowledged here; and the
 * window probe that ends a repair makes the peer acknowledge at once.  In that
 * order: the probe makes our kernel believe that it has acknowledged, and the
 * peer's does not, as it takes it for something old.
 */
static int
vanish(int fd, struct remains *left)
{
	int n_unread = (int)stream_unread(fd);

	/* Where a repair is refused, everything must be as it was. */
	if (n_unread > 0 && repair(fd, TCP_REPAIR_ON) != 0)
		return errno;
	if (n_unread > 0)
		repair(fd, TCP_REPAIR_OFF_NO_WP);
	acknowledge(fd, n_unread);
	if (repair(fd, TCP_REPAIR_ON) != 0)
		return errno;
	repair(fd, TCP_REPAIR_OFF); /* with a window probe */
	repair(fd, TCP_REPAIR_ON);
	remember(fd, left);
	close(fd);
	return 0;
}

static void
set_number(int fd, int queue, uint32_t number)
{
	setsockopt(fd, IPPROTO_TCP, TCP_REPAIR_QUEUE, &queue, sizeof queue);
	setsockopt(fd, IPPROTO_TCP, TCP_QUEUE_SEQ, &number, sizeof number);
}

/* Under repair a connection can be made as it was, without a word.  Returns: a
 * descriptor of it, or -1. */
static int
make_again(const struct remains *left)
{
	int fd = socket(left->self.ss_family, SOCK_STREAM | SOCK_CLOEXEC, 0);

	if (fd < 0 || repair(fd, TCP_REPAIR_ON) != 0)
		return fd;
	set_number(fd, TCP_SEND_QUEUE, left->sent);
	set_number(fd, TCP_RECV_QUEUE, left->received);
	if (bind(fd, (const struct sockaddr *)&left->self,
		left->address_size) == 0)
		connect(fd, (const struct sockaddr *)&left->peer,
		    left->address_size);
	repair(fd, TCP_REPAIR_OFF_NO_WP);
	return fd;
}

void
ending_tell(struct remains *left)
{
	int fd = -1;

	if (left->what == REMAINS_FD)
		fd = left->fd;
	else if (left->what == REMAINS_NUMBERS)
		fd = make_again(left);
	if (fd >= 0)
		ending_reset(fd);
	left->what = REMAINS_NOTHING;
}

void
ending_forget(struct remains *left)
{
	if (left->what == REMAINS_FD)
		close(left->fd);
	left->what = REMAINS_NOTHING;
}

/* What close(2) does: a FIN, and a reset for whatever comes from now on; with
 * bytes unread, a reset at once (tcp(7), RFC 1122 4.2.2.13).  In the first case
 * shutdown(2) does the same and leaves the descriptor, the only way to tell a
 * peer that looks at no idle connection. */
static void
close_plainly(int fd, struct remains *left)
{
	if (stream_unread(fd) == 0)
		shutdown(fd, SHUT_RDWR);
	if (stream_unread(fd) > 0)
		close(fd);
	else
		*left = (struct remains){ .what = REMAINS_FD, .fd = fd };
}

int
ending_carry_out(enum ending ending, int fd, struct remains *left)
{
	left->what = REMAINS_NOTHING;
	switch (ending) {
	case ENDING_FIN:
	case ENDING_HALF:
		/* It fails only where the peer has reset the connection;
		 * that is found out by reading. */
		shutdown(fd, SHUT_WR);
		return 0;
	case ENDING_RST:
		ending_reset(fd);
		return 0;
	case ENDING_PLAIN:
		close_plainly(fd, left);
		return 0;
	case ENDING_VANISH:
		return vanish(fd, left);
	case ENDING_STALL:
	case N_ENDINGS:
		break;
	}
	return 0;
}

const char *
ending_cannot_vanish(void)
{
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	int err;

	if (fd < 0)
		return "no socket could be made to try TCP_REPAIR on";
	err = repair(fd, TCP_REPAIR_ON) == 0 ? 0 : errno;
	close(fd);
	if (err == 0)
		return NULL;
	if (err == EPERM)
		return "TCP_REPAIR needs CAP_NET_ADMIN in this network "
		       "namespace";
	return "this kernel knows no TCP_REPAIR";
}
