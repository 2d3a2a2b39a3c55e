#include "backend/control.h"
#include "check.h"

#include <arpa/inet.h>
#include <errno.h>
#include <event2/event.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

enum { MANY = 200, IDLE_S = 1 };

struct stage {
	struct event_base *base;
	struct backend *backend;
	struct control *control;
	struct sockaddr_in at;
};

static void
set_up(struct stage *s, unsigned idle_s)
{
	struct backend_options options;
	socklen_t size = sizeof s->at;
	char error[256];
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	s->at = (struct sockaddr_in){ .sin_family = AF_INET,
		.sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	if (bind(fd, (struct sockaddr *)&s->at, size) != 0 ||
	    listen(fd, SOMAXCONN) != 0 ||
	    getsockname(fd, (struct sockaddr *)&s->at, &size) != 0)
		perror("listen");
	backend_options_init(&options);
	s->base = event_base_new();
	s->backend = backend_new(
	    s->base, &options, NULL, NULL, NULL, error, sizeof error);
	s->control = control_new(s->base, s->backend, fd, "", idle_s);
}

static void
tear_down(struct stage *s)
{
	control_free(s->control);
	backend_free(s->backend);
	event_base_free(s->base);
}

static int
enter(const struct stage *s)
{
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	if (connect(fd, (const struct sockaddr *)&s->at, sizeof s->at) != 0)
		perror("connect");
	fcntl(fd, F_SETFL, O_NONBLOCK);
	return fd;
}

static void
turn(struct stage *s)
{
	event_base_loop(s->base, EVLOOP_ONCE);
}

/* Let everything happen that can happen now. */
static void
settle(struct stage *s)
{
	for (int i = 0; i < 4 * MANY; i++)
		event_base_loop(s->base, EVLOOP_NONBLOCK);
}

/* Returns: the status that a request is answered with; 0: its end. */
static int
status_of(struct stage *s, int fd, const char *request)
{
	char text[4096] = "";
	ssize_t n;

	if (send(fd, request, strlen(request), MSG_NOSIGNAL) < 0)
		return 0;
	while ((n = recv(fd, text, sizeof text - 1, 0)) < 0 && errno == EAGAIN)
		turn(s);
	return n > 12 ? atoi(text + 9) : 0;
}

static bool
has_ended(int fd)
{
	char c;

	return recv(fd, &c, 1, MSG_PEEK) == 0 || errno == ECONNRESET;
}

static const char get[] = "GET /faults HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n";

static void
many_idle_ones(void)
{
	struct stage s;
	int idle[MANY], n_open = 0, n_max = (int)control_conns_max(), one;

	set_up(&s, 0);
	for (int i = 0; i < MANY; i++)
		idle[i] = enter(&s);
	one = enter(&s);
	CHECK(status_of(&s, one, get) == 200,
	    "who comes after %d idle connections is answered", MANY);
	for (int i = 0; i < MANY; i++)
		n_open += !has_ended(idle[i]);
	CHECK(n_max < MANY && n_open < n_max, "of these, %d at most stay (%d)",
	    n_max - 1, n_open);
	CHECK(has_ended(idle[0]) && !has_ended(idle[MANY - 1]),
	    "the latest, for the oldest have made room");
	CHECK(status_of(&s, idle[MANY - 1], get) == 200, "and are answered");
	close(one);
	for (int i = 0; i < MANY; i++)
		close(idle[i]);
	tear_down(&s);
}

static void
all_at_once(void)
{
	struct stage s;
	int fds[MANY], n = 0;

	set_up(&s, 0);
	for (int i = 0; i < MANY; i++)
		fds[i] = enter(&s);
	settle(&s);
	for (int i = 0; i < MANY; i++)
		if (send(fds[i], get, sizeof get - 1, MSG_NOSIGNAL) < 0)
			perror("send");
	for (int i = 0; i < MANY; i++) {
		char text[4096] = "";
		ssize_t got;

		while ((got = recv(fds[i], text, sizeof text - 1, 0)) < 0 &&
		    errno == EAGAIN)
			turn(&s);
		n += got > 12 && atoi(text + 9) == 200;
		close(fds[i]);
	}
	CHECK(n == MANY, "of %d that ask at once, all are answered (%d)", MANY,
	    n);
	tear_down(&s);
}

static void
who_asks_stays(void)
{
	struct stage s;
	int busy, idle[MANY], n_answered = 0;

	set_up(&s, 0);
	busy = enter(&s);
	for (int i = 0; i < MANY; i++) {
		idle[i] = enter(&s);
		settle(&s);
		n_answered += status_of(&s, busy, get) == 200;
	}
	CHECK(n_answered == MANY,
	    "a connection that has requests outlives the idle ones (%d)",
	    n_answered);
	close(busy);
	for (int i = 0; i < MANY; i++)
		close(idle[i]);
	tear_down(&s);
}

static void
idle_for_long(void)
{
	struct stage s;
	int silent, half, answered, status;

	set_up(&s, IDLE_S);
	silent = enter(&s);
	half = enter(&s);
	answered = enter(&s);
	send(half, get, 10, MSG_NOSIGNAL);
	status = status_of(&s, answered, get);
	/* The loop has nothing else to wait for. */
	while (!has_ended(silent) || !has_ended(half))
		turn(&s);
	CHECK(has_ended(silent), "a connection that says nothing is closed");
	CHECK(has_ended(half), "one in the midst of a head, too");
	while (recv(answered, (char[4096]){ 0 }, 4096, 0) != 0)
		turn(&s);
	CHECK(status == 200, "one that was answered, too");
	close(silent);
	close(half);
	close(answered);
	tear_down(&s);
}

static void
without_descriptors(void)
{
	struct stage s;
	struct rlimit limit, was;
	int taken[1024], n = 0, one;

	set_up(&s, 0);
	one = enter(&s);
	getrlimit(RLIMIT_NOFILE, &was);
	limit = was;
	limit.rlim_cur = sizeof taken / sizeof *taken;
	setrlimit(RLIMIT_NOFILE, &limit);
	while (n < 1024 && (taken[n] = dup(one)) >= 0)
		n++;
	settle(&s);
	CHECK(recv(one, &(char){ 0 }, 1, 0) < 0 && errno == EAGAIN,
	    "with no descriptor left, who connects waits");
	while (n > 0)
		close(taken[--n]);
	CHECK(status_of(&s, one, get) == 200,
	    "and is served when there are some again");
	setrlimit(RLIMIT_NOFILE, &was);
	close(one);
	tear_down(&s);
}

int
main(void)
{
	many_idle_ones();
	all_at_once();
	who_asks_stays();
	without_descriptors();
	idle_for_long();
	return CHECK_DONE();
}
