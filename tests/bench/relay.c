/* relay.c - the floor under a proxy: bytes from one socket to another.
 *
 *	relay LISTEN_PORT UPSTREAM_PORT
 *
 * One thread; for every client a backend connection of its own; no parsing, no
 * pool.  Says "listening" when it does.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#define EVENTS 256

/* One end: what it has said and the other has not taken yet. */
struct end {
	struct end *other, *next;
	int fd;
	size_t begin, size;
	char bytes[131072];
};

static int poller;
static struct end *dead;

static void
die(const char *what)
{
	perror(what);
	exit(1);
}

static int
make_socket(void)
{
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0), on = 1;

	if (fd < 0)
		die("socket");
	setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
	setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
	return fd;
}

static void
watch(int fd, void *what, unsigned events)
{
	struct epoll_event ev = { .events = events, .data.ptr = what };

	if (epoll_ctl(poller, EPOLL_CTL_ADD, fd, &ev) != 0)
		die("epoll_ctl");
}

static struct end *
new_end(int fd)
{
	struct end *e = calloc(1, sizeof *e);

	if (e == NULL)
		die("calloc");
	e->fd = fd;
	return e;
}

static void
welcome(int client, const struct sockaddr_in *upstream)
{
	struct end *a = new_end(client), *b = new_end(make_socket());
	int on = 1;

	setsockopt(client, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
	connect(b->fd, (const struct sockaddr *)upstream, sizeof *upstream);
	a->other = b;
	b->other = a;
	watch(a->fd, a, EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET);
	watch(b->fd, b, EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET);
}

/* Returns: false where the other end is gone. */
static bool
flush(struct end *from)
{
	ssize_t n;

	while (from->size > 0) {
		n = send(from->other->fd, from->bytes + from->begin, from->size,
		    MSG_NOSIGNAL);
		if (n < 0)
			return errno == EAGAIN;
		from->begin += (size_t)n;
		from->size -= (size_t)n;
	}
	return true;
}

/* Returns: false where an end is gone. */
static bool
pump(struct end *from)
{
	ssize_t n;

	do {
		if (!flush(from))
			return false;
		if (from->size > 0)
			return true; /* until it is writable */
		n = recv(from->fd, from->bytes, sizeof from->bytes, 0);
		if (n <= 0)
			return n < 0 && errno == EAGAIN;
		from->begin = 0;
		from->size = (size_t)n;
	} while (from->size == sizeof from->bytes);
	return flush(from); /* a short read: more has an edge of its own */
}

/* The other end may have an event in this very turn. */
static void
drop(struct end *e)
{
	struct end *other = e->other;

	close(e->fd);
	close(other->fd);
	e->other = other->other = NULL;
	e->next = dead;
	other->next = e;
	dead = other;
}

static void
serve(struct end *e, unsigned events)
{
	bool over = (events & (EPOLLHUP | EPOLLERR | EPOLLRDHUP)) != 0;

	if (e->other == NULL)
		return;
	if ((events & EPOLLIN) && !pump(e))
		over = true;
	if (!over && (events & EPOLLOUT) && e->other->size > 0)
		over = !pump(e->other);
	if (over)
		drop(e);
}

static void
bury(void)
{
	struct end *e;

	while ((e = dead) != NULL) {
		dead = e->next;
		free(e);
	}
}

int
main(int argc, char **argv)
{
	struct sockaddr_in at = { .sin_family = AF_INET }, to = at;
	struct epoll_event events[EVENTS];
	int listener = make_socket(), fd, n;

	if (argc != 3) {
		fprintf(stderr, "usage: relay LISTEN_PORT UPSTREAM_PORT\n");
		return 2;
	}
	at.sin_addr.s_addr = to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	at.sin_port = htons((unsigned short)atoi(argv[1]));
	to.sin_port = htons((unsigned short)atoi(argv[2]));
	if (bind(listener, (struct sockaddr *)&at, sizeof at) != 0 ||
	    listen(listener, 4096) != 0)
		die("listen");
	poller = epoll_create1(0);
	watch(listener, NULL, EPOLLIN);
	printf("listening\n");
	fflush(stdout);
	for (;;) {
		n = epoll_wait(poller, events, EVENTS, -1);
		for (int i = 0; i < n; i++)
			if (events[i].data.ptr != NULL)
				serve(events[i].data.ptr, events[i].events);
			else if ((fd = accept4(listener, NULL, NULL,
				      SOCK_NONBLOCK)) >= 0)
				welcome(fd, &to);
		bury();
	}
}
