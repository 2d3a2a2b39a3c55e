/* Endings, from the peer's kernel's point of view: what a spec can only see
 * when it waits is asked here. */
#include "backend/ending.h"

#include <arpa/inet.h>
#include <errno.h>
#include <linux/sockios.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "check.h"

/* Two ends of a TCP connection. */
static void
make_pair(int pair[2])
{
	struct sockaddr_in sin = { .sin_family = AF_INET };
	socklen_t size = sizeof sin;
	int listener = socket(AF_INET, SOCK_STREAM, 0);
	char byte = 0;

	sin.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	bind(listener, (struct sockaddr *)&sin, sizeof sin);
	listen(listener, 1);
	getsockname(listener, (struct sockaddr *)&sin, &size);
	pair[0] = socket(AF_INET, SOCK_STREAM, 0);
	connect(pair[0], (struct sockaddr *)&sin, sizeof sin);
	pair[1] = accept(listener, NULL, NULL);
	close(listener);
	/* A young connection acknowledges at once; one that has served
	 * requests waits for the answer to do so. */
	for (int i = 0; i < 32; i++)
		for (int from = 0; from < 2; from++) {
			send(pair[from], &byte, 1, 0);
			recv(pair[!from], &byte, 1, 0);
		}
}

static int
unacknowledged(int fd)
{
	int n = -1;

	ioctl(fd, SIOCOUTQ, &n);
	return n;
}

/* Bytes that were not acknowledged are sent again, 200 ms later, and what
 * answers them tells of the end. */
static void
vanish_owes_nothing(size_t sent, size_t read_before, size_t answered)
{
	static char bytes[16384];
	struct remains left, again;
	int pair[2];

	make_pair(pair);
	CHECK((sent == 0 || send(pair[0], bytes, sent, 0) == (ssize_t)sent),
	    "%zu bytes are sent", sent);
	if (read_before > 0)
		CHECK(recv(pair[1], bytes, read_before, 0) ==
			(ssize_t)read_before,
		    "%zu of them are read", read_before);
	if (answered > 0)
		CHECK(send(pair[1], bytes, answered, 0) == (ssize_t)answered,
		    "%zu are answered", answered);
	CHECK(ending_carry_out(ENDING_VANISH, pair[1], &left) == 0,
	    "it vanishes");
	CHECK(unacknowledged(pair[0]) == 0,
	    "the peer's kernel knows that all have come");
	CHECK(recv(pair[0], bytes, sizeof bytes, MSG_DONTWAIT) ==
		(answered > 0 ? (ssize_t)answered : -1),
	    "and nothing else came but the answer");
	again = left;
	ending_tell(&left);
	CHECK(recv(pair[0], bytes, sizeof bytes, MSG_DONTWAIT) == -1 &&
		errno == ECONNRESET,
	    "until it is told by a reset");
	ending_tell(&again);
	CHECK(left.what == REMAINS_NOTHING, "and nothing remains");
	close(pair[0]);
}

int
main(void)
{
	if (ending_cannot_vanish() != NULL) {
		printf("1..0 # SKIP %s\n", ending_cannot_vanish());
		return 0;
	}
	vanish_owes_nothing(0, 0, 0);
	vanish_owes_nothing(100, 0, 0);
	vanish_owes_nothing(100, 40, 0);
	vanish_owes_nothing(100, 100, 0);
	vanish_owes_nothing(100, 100, 50);
	vanish_owes_nothing(10000, 0, 0);
	vanish_owes_nothing(10000, 1, 50);
	return CHECK_DONE();
}
