/* floor.c - the floor under the matrix: the same TCP connections, sends and
 * closes, made by a bare loop of system calls in one thread.
 *
 *	floor SCRIPT ROUNDS	prints microseconds a cell
 *
 * SCRIPT has a line a cell, made from the matrix' own timelines; its words are
 *
 *	oc1 ou1		a client's, a proxy's connection is opened
 *	as1 ab1		the proxy, the backend accepts the one opened last
 *	wc1:63		so many bytes are sent on it …
 *	rs1:63		… and received; of 0 bytes: an end is met
 *	eb1:rst		the backend ends it
 *	xu1		it is closed
 *
 * with c, s, u, b for client, session, upstream and backend.
 */
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define FDS 32

struct op {
	char what, who;
	int n; /* which one */
	int size;
	char how; /* f h r p v s: the first letter of the ending */
};

struct cell {
	struct op *ops;
	size_t n;
};

struct floor {
	struct cell *cells;
	size_t n_cells;
	int listen[2]; /* of the proxy, of the backend */
	struct sockaddr_in at[2];
	int fds[4][FDS]; /* c, s, u, b; 0: none */
	char bytes[1 << 17];
};

static void
die(const char *why)
{
	perror(why);
	exit(1);
}

static int
index_of(char who)
{
	return (int)(strchr("csub", who) - "csub");
}

/* ------------------------------------------------------------ the script -- */

static int
read_op(char *word, struct op *op)
{
	char *colon = strchr(word, ':');

	*op = (struct op){ .what = word[0], .who = word[1] };
	op->n = atoi(word + 2);
	if (strchr("csub", op->who) == NULL || op->n <= 0 || op->n >= FDS)
		return -1;
	if (colon != NULL && op->what == 'e')
		op->how = colon[1];
	else if (colon != NULL)
		op->size = atoi(colon + 1);
	return 0;
}

static void
read_cell(char *line, struct cell *cell)
{
	size_t room = 16;

	cell->n = 0;
	cell->ops = malloc(room * sizeof *cell->ops);
	for (char *word = strtok(line, " \n"); word != NULL;
	     word = strtok(NULL, " \n")) {
		if (cell->n == room) {
			room *= 2;
			cell->ops =
			    realloc(cell->ops, room * sizeof *cell->ops);
		}
		if (cell->ops == NULL ||
		    read_op(word, &cell->ops[cell->n++]) != 0) {
			fprintf(stderr, "floor: what is '%s'?\n", word);
			exit(2);
		}
	}
}

static void
read_script(struct floor *f, const char *path)
{
	FILE *file = fopen(path, "r");
	char *line = NULL;
	size_t size = 0;

	if (file == NULL)
		die(path);
	while (getline(&line, &size, file) > 0) {
		f->cells =
		    realloc(f->cells, (f->n_cells + 1) * sizeof *f->cells);
		read_cell(line, &f->cells[f->n_cells++]);
	}
	free(line);
	fclose(file);
}

/* ------------------------------------------------------------- the calls -- */

static int
listener(struct sockaddr_in *at)
{
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0), on = 1;
	socklen_t size = sizeof *at;

	*at = (struct sockaddr_in){ .sin_family = AF_INET,
		.sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
	if (bind(fd, (struct sockaddr *)at, sizeof *at) != 0 ||
	    listen(fd, 1024) != 0 ||
	    getsockname(fd, (struct sockaddr *)at, &size) != 0)
		die("listen");
	return fd;
}

static int
dial(const struct sockaddr_in *at)
{
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0), on = 1;

	setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
	(void)!connect(fd, (const struct sockaddr *)at, sizeof *at);
	return fd;
}

static void
reset(int fd)
{
	struct linger now = { 1, 0 };

	setsockopt(fd, SOL_SOCKET, SO_LINGER, &now, sizeof now);
	close(fd);
}

static void
vanish(int fd)
{
	int on = 1;

	setsockopt(fd, IPPROTO_TCP, TCP_REPAIR, &on, sizeof on);
	close(fd);
}

static void
end(int *fd, char how)
{
	if (how == 'f' || how == 'h')
		shutdown(*fd, SHUT_WR);
	else if (how == 'r')
		reset(*fd);
	else if (how == 'p')
		close(*fd);
	else if (how == 'v')
		vanish(*fd);
	if (strchr("rpv", how) != NULL)
		*fd = 0;
}

static void
play_op(struct floor *f, const struct op *op)
{
	int *fd = &f->fds[index_of(op->who)][op->n];
	int hop = op->who == 'u' || op->who == 'b';

	switch (op->what) {
	case 'o':
		*fd = dial(&f->at[hop]);
		break;
	case 'a':
		*fd = accept4(f->listen[hop], NULL, NULL, SOCK_NONBLOCK);
		break;
	case 'w':
		(void)!send(*fd, f->bytes, (size_t)op->size, MSG_NOSIGNAL);
		break;
	case 'r':
		(void)!recv(*fd, f->bytes, sizeof f->bytes, 0);
		break;
	case 'e':
		end(fd, op->how);
		break;
	case 'x':
		if (*fd != 0)
			close(*fd);
		*fd = 0;
		break;
	}
}

static void
play_cell(struct floor *f, const struct cell *cell)
{
	for (size_t i = 0; i < cell->n; i++)
		play_op(f, &cell->ops[i]);
	for (int who = 0; who < 4; who++)
		for (int n = 0; n < FDS; n++) {
			if (f->fds[who][n] > 0)
				reset(f->fds[who][n]);
			f->fds[who][n] = 0;
		}
}

static double
now_us(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (double)ts.tv_sec * 1e6 + (double)ts.tv_nsec / 1e3;
}

int
main(int argc, char **argv)
{
	static struct floor f;
	int rounds = argc == 3 ? atoi(argv[2]) : 0;
	double start;

	if (rounds < 1) {
		fprintf(stderr, "usage: floor SCRIPT ROUNDS\n");
		return 2;
	}
	read_script(&f, argv[1]);
	for (int hop = 0; hop < 2; hop++)
		f.listen[hop] = listener(&f.at[hop]);
	start = now_us();
	for (int i = 0; i < rounds; i++)
		for (size_t c = 0; c < f.n_cells; c++)
			play_cell(&f, &f.cells[c]);
	printf("%.2f\n",
	    (now_us() - start) / ((double)rounds * (double)f.n_cells));
	return 0;
}
