/* fair.c - one client floods a proxy, another one asks it again and again: how
 * long does that one wait at worst?  fair.lua runs it.
 *
 *   fair origin PORT                serve what the floods ask for
 *   fair ask PORT FLOOD SECONDS     "WORST_MS ANSWERS FAILURES" on stdout
 *   fair floods                     their names
 */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { CONNS_MAX = 1000, BLOCK = 65536, PATIENCE_MS = 10000 };

#define CHUNK "32\r\n..................................................\r\n"
#define GET   "GET / HTTP/1.1\r\nHost: h\r\n\r\n"
#define OK    "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
#define HINT  "HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n"

enum kind { STREAM, SLOWLY, CONNECTS, RESETS };

static const struct flood {
	const char *name;
	enum kind kind;
	const char *head, *piece; /* said once, and then again and again */
} floods[] = {
	{ "none", STREAM, "", "" },
	{ "small chunks up", STREAM,
	    "POST /up HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n"
	    "\r\n",
	    CHUNK },
	{ "small chunks down", STREAM,
	    "GET /chunks HTTP/1.1\r\nHost: h\r\n\r\n", "" },
	{ "1xx", STREAM, "GET /hints HTTP/1.1\r\nHost: h\r\n\r\n", "" },
	{ "pipeline", STREAM, "", GET },
	{ "empty lines", STREAM, "", "\r\n" },
	{ "a head byte by byte", SLOWLY,
	    "GET / HTTP/1.1\r\nHost: h\r\nX: ", "x" },
	{ "resets", RESETS, "", "" },
	{ "connects", CONNECTS, "", "" },
};

enum { N_FLOODS = sizeof floods / sizeof *floods };

static void
fail(const char *what)
{
	perror(what);
	exit(1);
}

static struct sockaddr_in
loopback(const char *port)
{
	struct sockaddr_in sin = { .sin_family = AF_INET };

	sin.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	sin.sin_port = htons((unsigned short)atoi(port));
	return sin;
}

static void
set_nonblocking(int fd)
{
	int on = 1;

	fcntl(fd, F_SETFL, O_NONBLOCK);
	setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
}

/* A block of one piece, again and again.  Returns: its size. */
static size_t
repeat(char block[BLOCK], const char *piece)
{
	size_t n = strlen(piece), size = n > 0 ? BLOCK / n * n : 0;

	for (size_t at = 0; at < size; at += n)
		memcpy(block + at, piece, n);
	return size;
}

static bool
is_transient(ssize_t n)
{
	return n < 0 && (errno == EAGAIN || errno == EINTR);
}

/* -------------------------------------------------------------- the origin -- */

/* A head is taken to come in one piece, or after what nobody wants. */
struct conn {
	const char *block; /* NULL: it answers */
	size_t size, at;
	bool sinks; /* it reads, and says no more */
};

static char chunks[BLOCK], hints[BLOCK];
static struct pollfd polled[CONNS_MAX];
static struct conn conns[CONNS_MAX];
static int n_conns = 1; /* the first one listens */

static void
say(int fd, const char *text)
{
	(void)!send(fd, text, strlen(text), MSG_NOSIGNAL);
}

static bool
take_request(int i)
{
	static char in[BLOCK + 1];
	ssize_t n = recv(polled[i].fd, in, BLOCK, 0);
	struct conn *c = &conns[i];

	if (n <= 0)
		return is_transient(n);
	in[n] = '\0';
	if (c->sinks)
		return true;
	if (strncmp(in, "POST", 4) == 0) {
		c->sinks = true;
	} else if (strncmp(in, "GET /chunks", 11) == 0) {
		say(polled[i].fd,
		    "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n");
		*c = (struct conn){ chunks, repeat(chunks, CHUNK), 0, false };
	} else if (strncmp(in, "GET /hints", 10) == 0) {
		*c = (struct conn){ hints, repeat(hints, HINT), 0, false };
	} else {
		say(polled[i].fd, OK);
	}
	if (c->block != NULL)
		polled[i].events = POLLOUT;
	return true;
}

static bool
say_more(int i)
{
	struct conn *c = &conns[i];
	ssize_t n =
	    send(polled[i].fd, c->block + c->at, c->size - c->at, MSG_NOSIGNAL);

	if (n > 0)
		c->at = (c->at + (size_t)n) % c->size;
	return n > 0 || is_transient(n);
}

static void
accept_one(void)
{
	int fd = accept(polled[0].fd, NULL, NULL);

	if (fd < 0)
		return;
	if (n_conns == CONNS_MAX) {
		close(fd);
		return;
	}
	set_nonblocking(fd);
	conns[n_conns] = (struct conn){ 0 };
	polled[n_conns++] = (struct pollfd){ fd, POLLIN, 0 };
}

static _Noreturn void
origin(const char *port)
{
	struct sockaddr_in sin = loopback(port);
	int fd = socket(AF_INET, SOCK_STREAM, 0), on = 1;

	setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
	if (bind(fd, (struct sockaddr *)&sin, sizeof sin) != 0 ||
	    listen(fd, SOMAXCONN) != 0)
		fail("origin");
	polled[0] = (struct pollfd){ fd, POLLIN, 0 };
	for (;;) {
		poll(polled, (nfds_t)n_conns, -1);
		for (int i = n_conns - 1; i > 0; i--) {
			short what = polled[i].revents;

			if (what == 0 ||
			    (what & POLLOUT ? say_more(i) : take_request(i)))
				continue;
			close(polled[i].fd);
			polled[i] = polled[--n_conns];
			conns[i] = conns[n_conns];
		}
		if (polled[0].revents != 0)
			accept_one();
	}
}

/* --------------------------------------------------------------- the flood -- */

static int
dial(const struct sockaddr_in *to)
{
	int fd = socket(AF_INET, SOCK_STREAM, 0);

	if (fd < 0 || connect(fd, (const struct sockaddr *)to, sizeof *to) != 0)
		fail("connect");
	set_nonblocking(fd);
	return fd;
}

/* Say the piece as fast as it goes, and take what comes, until the other side
 * has enough. */
static void
stream(const struct flood *f, int fd)
{
	static char block[BLOCK], discarded[1 << 20];
	size_t size = repeat(block, f->piece), at = 0;
	struct pollfd p = { fd, POLLIN, 0 };
	ssize_t n;

	if (f->kind == SLOWLY)
		size = 1;
	if (size > 0)
		p.events |= POLLOUT;
	say(fd, f->head);
	while (poll(&p, 1, -1) > 0) {
		if (p.revents & ~POLLOUT) {
			n = recv(fd, discarded, sizeof discarded, 0);
			if (n <= 0 && !is_transient(n))
				return;
		}
		if ((p.revents & POLLOUT) == 0)
			continue;
		n = send(fd, block + at, size - at, MSG_NOSIGNAL);
		if (n <= 0 && !is_transient(n))
			return;
		if (n > 0)
			at = (at + (size_t)n) % size;
	}
}

static void
run_flood(const struct flood *f, const struct sockaddr_in *to)
{
	struct linger at_once = { 1, 0 };

	if (f == floods)
		for (;;)
			pause();
	for (;;) {
		int fd = dial(to);

		if (f->kind == RESETS)
			say(fd, GET);
		else if (f->kind != CONNECTS)
			stream(f, fd);
		/* No port must linger: there are not that many. */
		setsockopt(fd, SOL_SOCKET, SO_LINGER, &at_once, sizeof at_once);
		close(fd);
	}
}

/* ----------------------------------------------------------- the bystander -- */

static double
now_ms(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec * 1e3 + (double)t.tv_nsec / 1e6;
}

static bool
is_answered(int fd)
{
	char in[4096];
	struct pollfd p = { fd, POLLIN, 0 };

	say(fd, GET);
	return poll(&p, 1, PATIENCE_MS) == 1 && recv(fd, in, sizeof in, 0) > 0;
}

/* Every second time over a new connection. */
static void
stand_by(const struct sockaddr_in *to, double seconds)
{
	const struct timespec pause = { 0, 1000000 };
	double end = now_ms() + seconds * 1e3, begun, worst = 0;
	int kept = dial(to), n_answers = 0, n_failures = 0;

	for (int i = 0; now_ms() < end; i++) {
		bool good;
		int fd;

		begun = now_ms();
		fd = i % 2 == 0 ? kept : dial(to);
		good = is_answered(fd);
		if (now_ms() - begun > worst)
			worst = now_ms() - begun;
		n_answers += good;
		n_failures += !good;
		if (fd != kept) {
			close(fd);
		} else if (!good) {
			close(kept);
			kept = dial(to);
		}
		nanosleep(&pause, NULL);
	}
	close(kept);
	printf("%.1f %d %d\n", worst, n_answers, n_failures);
}

static const struct flood *
flood_named(const char *name)
{
	for (int i = 0; i < N_FLOODS; i++)
		if (strcmp(floods[i].name, name) == 0)
			return &floods[i];
	fprintf(stderr, "fair: no flood '%s'\n", name);
	exit(2);
}

int
main(int argc, char **argv)
{
	struct sockaddr_in to;
	const struct flood *f;
	pid_t child;

	for (int i = 0; argc == 2 && i < N_FLOODS; i++)
		puts(floods[i].name);
	if (argc == 3)
		origin(argv[2]);
	if (argc != 5)
		return argc == 2 ? 0 : 2;
	to = loopback(argv[2]);
	f = flood_named(argv[3]);
	child = fork();
	if (child < 0)
		fail("fork");
	if (child == 0)
		run_flood(f, &to);
	stand_by(&to, atof(argv[4]));
	kill(child, SIGKILL);
	waitpid(child, NULL, 0);
	return 0;
}
