#include "proxy/program/log.h"
#include "check.h"

#include <errno.h>
#include <event2/event.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

static struct event_base *base;
static char path[64];
static char text[1 << 20];

static void
rest(void)
{
	event_base_loop(base, EVLOOP_NONBLOCK);
}

/* Log n exchanges whose lines are about so long. */
static void
log_lines(struct log *l, int n, size_t size)
{
	struct proxy_account a = { .who = '-', .when = '-', .why = "" };
	static char head[4096];
	struct line_facts f = {
		.head = head, .head_size = size, .account = &a
	};

	memset(head, 'x', sizeof head);
	for (int i = 0; i < n; i++)
		log_exchange(l, &f);
}

/* Returns: how many lines there are, all of them whole; or -1. */
static int
lines_in(const char *bytes, ssize_t size)
{
	int n = 0;
	const char *end = bytes + size;

	while (bytes < end) {
		const char *lf = memchr(bytes, '\n', (size_t)(end - bytes));

		if (lf == NULL || strncmp(bytes, "time=", 5) != 0 ||
		    strncmp(lf - 7, " why=\"\"", 7) != 0)
			return -1;
		bytes = lf + 1;
		n++;
	}
	return n;
}

static ssize_t
slurp(const char *name)
{
	int fd = open(name, O_RDONLY);
	ssize_t n = read(fd, text, sizeof text);

	close(fd);
	return n;
}

static void
files(void)
{
	struct log *l = log_open(base, path, LINE_TEXT);
	char moved[80];

	log_lines(l, 3, 10);
	CHECK(slurp(path) == 0, "nothing is written while there is work");
	rest();
	CHECK(lines_in(text, slurp(path)) == 3,
	    "all is written when the loop comes to rest");
	log_lines(l, 500, 1000);
	CHECK(lines_in(text, slurp(path)) > 400, "or where no more fits");
	log_lines(l, 5, 10);
	snprintf(moved, sizeof moved, "%s.1", path);
	rename(path, moved);
	CHECK(log_reopen(l) == 0 && lines_in(text, slurp(moved)) == 508 &&
		slurp(path) == 0,
	    "before it is opened again all goes to the old one");
	log_lines(l, 2, 10);
	unlink(moved);
	log_close(l);
	CHECK(lines_in(text, slurp(path)) == 2,
	    "and before it is closed to the new one");
	unlink(path);
}

static void
full_disk(void)
{
	struct log *l = log_open(base, path, LINE_TEXT);
	struct rlimit was, limit;
	ssize_t n;

	signal(SIGXFSZ, SIG_IGN);
	getrlimit(RLIMIT_FSIZE, &was);
	limit = was;
	limit.rlim_cur = 1000;
	setrlimit(RLIMIT_FSIZE, &limit);
	log_lines(l, 10, 100);
	rest();
	n = slurp(path);
	CHECK(n == 1000 && text[n - 1] != '\n', "a full disk tears a line");
	CHECK(log_n_lost(l) > 0 && log_n_lost(l) < 10,
	    "the lines behind it are lost");
	n = (ssize_t)log_n_lost(l);
	log_lines(l, 2, 100);
	rest();
	CHECK(log_n_lost(l) == (uint64_t)n + 2, "and those that come then");
	setrlimit(RLIMIT_FSIZE, &was);
	log_lines(l, 1, 100);
	rest();
	CHECK(lines_in(text, slurp(path)) == 12 + 1 - n - 2,
	    "with room again, the torn line is ended first");
	CHECK(log_n_lost(l) == (uint64_t)n + 2, "and was not lost");
	log_close(l);
	unlink(path);
}

static void
slow_reader(void)
{
	struct log *l;
	ssize_t n = 0, got;
	int fd, n_written = 1000;

	mkfifo(path, 0600);
	CHECK(log_try(path) != 0 && errno == ENXIO,
	    "a pipe without a reader cannot be opened");
	fd = open(path, O_RDONLY | O_NONBLOCK);
	fcntl(fd, F_SETPIPE_SZ, 4096);
	l = log_open(base, path, LINE_TEXT);
	log_lines(l, n_written, 100);
	rest();
	CHECK(log_n_lost(l) > 0, "a reader that does not read loses lines");
	do {
		while ((got = read(fd, text + n, sizeof text - (size_t)n)) > 0)
			n += got;
		/* Its room is an event. */
		rest();
		got = read(fd, text + n, sizeof text - (size_t)n);
		n += got > 0 ? got : 0;
	} while (got > 0);
	CHECK(lines_in(text, n) == n_written - (int)log_n_lost(l),
	    "all others it gets, whole, when it does");
	close(fd);
	log_lines(l, 4, 100);
	n = (ssize_t)log_n_lost(l);
	rest();
	CHECK(log_n_lost(l) == (uint64_t)n + 4,
	    "a reader that is gone gets no more");
	log_close(l);
	unlink(path);
}

int
main(void)
{
	int fd;

	signal(SIGPIPE, SIG_IGN);
	base = event_base_new();
	event_base_priority_init(base, LOG_PRIORITIES);
	strcpy(path, "/tmp/log_test-XXXXXX");
	fd = mkstemp(path);
	close(fd);
	files();
	full_disk();
	slow_reader();
	event_base_free(base);
	return CHECK_DONE();
}
