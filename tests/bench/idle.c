/* idle.c - what an idle connection costs closerace-proxy in memory.
 *
 *	idle PROXY [CLIENTS [POOLED [BYTES]]]
 *
 * Starts PROXY, connects CLIENTS (10000) clients and leaves POOLED (5000)
 * connections in its pool: so many requests are in progress at once, as the
 * backend, which is this program, too, answers none before all have come.  Each
 * client has been answered once, with BYTES (256) of content.  Then the
 * process's own memory is compared with what it was before, and the kernel's
 * for sockets is shown apart.  Exit status 1: above 4 KiB a connection.
 */
#include <arpa/inet.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#define LIMIT 4096

static int n_clients = 10000, n_pooled = 5000, n_bytes = 256;
static pid_t proxy;

static void
die(const char *what)
{
	perror(what);
	if (proxy > 0)
		kill(proxy, SIGKILL);
	exit(2);
}

static int
listen_somewhere(unsigned *port)
{
	struct sockaddr_in sin = { .sin_family = AF_INET };
	socklen_t size = sizeof sin;
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	sin.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	if (fd < 0 || bind(fd, (struct sockaddr *)&sin, size) != 0 ||
	    listen(fd, 8192) != 0 ||
	    getsockname(fd, (struct sockaddr *)&sin, &size) != 0)
		die("listen");
	*port = ntohs(sin.sin_port);
	return fd;
}

/* Start the proxy.  Returns: the port that it says it listens on. */
static unsigned
start_proxy(const char *program, unsigned backend)
{
	char upstream[32], pool[16], line[256] = "";
	const char *colon;
	int out[2];
	FILE *f;

	snprintf(upstream, sizeof upstream, "127.0.0.1:%u", backend);
	snprintf(pool, sizeof pool, "%d", n_pooled);
	if (pipe2(out, O_CLOEXEC) != 0)
		die("pipe");
	proxy = fork();
	if (proxy < 0)
		die("fork");
	if (proxy == 0) {
		dup2(out[1], STDOUT_FILENO);
		execl(program, program, "--listen", "127.0.0.1:0", "--upstream",
		    upstream, "--pool-size", pool, "--client-timeout-ms", "0",
		    (char *)NULL);
		_exit(127);
	}
	close(out[1]);
	f = fdopen(out[0], "r");
	while (f != NULL && fgets(line, sizeof line, f) != NULL)
		if ((colon = strstr(line, "listening on ")) != NULL &&
		    (colon = strchr(colon, ':')) != NULL)
			return (unsigned)atoi(colon + 1);
	die(program);
	return 0;
}

static int
connect_to(unsigned port)
{
	struct sockaddr_in sin = { .sin_family = AF_INET };
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	sin.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	sin.sin_port = htons((unsigned short)port);
	if (fd < 0 || connect(fd, (struct sockaddr *)&sin, sizeof sin) != 0)
		die("connect");
	return fd;
}

/* A number from a file of /proc, behind a word. */
static long
number_behind(const char *file, const char *word)
{
	char line[512];
	const char *at;
	long n = -1;
	FILE *f = fopen(file, "r");

	while (f != NULL && n < 0 && fgets(line, sizeof line, f) != NULL)
		if ((at = strstr(line, word)) != NULL)
			n = atol(at + strlen(word));
	if (f != NULL)
		fclose(f);
	return n;
}

static long
own_bytes(void)
{
	char file[64];
	long kib;

	snprintf(file, sizeof file, "/proc/%d/status", (int)proxy);
	kib = number_behind(file, "RssAnon:");
	if (kib < 0)
		die(file);
	return kib * 1024;
}

/* Of all TCP sockets of this machine. */
static long
kernel_bytes(void)
{
	long pages = 0, in_use;
	char line[256];
	FILE *f = fopen("/proc/net/sockstat", "r");

	while (f != NULL && fgets(line, sizeof line, f) != NULL)
		if (sscanf(line,
			"TCP: inuse %ld orphan %*d tw %*d alloc %*d"
			" mem %ld",
			&in_use, &pages) == 2)
			break;
	if (f != NULL)
		fclose(f);
	return pages * sysconf(_SC_PAGESIZE);
}

static void
ask(int fd)
{
	static const char text[] = "GET /item HTTP/1.1\r\nHost: bench\r\n\r\n";

	if (send(fd, text, sizeof text - 1, MSG_NOSIGNAL) != sizeof text - 1)
		die("send");
}

static void
read_head(int fd)
{
	char bytes[4096];

	if (recv(fd, bytes, sizeof bytes, 0) <= 0)
		die("the proxy sent no request");
}

static void
answer(int fd)
{
	static char text[1 << 20];
	int n = sprintf(
	    text, "HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n", n_bytes);

	memset(text + n, 'x', (size_t)n_bytes);
	n += n_bytes;
	if (send(fd, text, (size_t)n, MSG_NOSIGNAL) != n)
		die("send");
}

static void
read_answer(int fd)
{
	static char bytes[1 << 20];
	char *end;
	size_t n = 0;
	ssize_t r;

	for (;;) {
		r = recv(fd, bytes + n, sizeof bytes - 1 - n, 0);
		if (r <= 0)
			die("the proxy sent no answer");
		n += (size_t)r;
		bytes[n] = '\0';
		end = strstr(bytes, "\r\n\r\n");
		if (end != NULL && n >= (size_t)(end + 4 - bytes + n_bytes))
			break;
	}
	if (strncmp(bytes, "HTTP/1.1 200", 12) != 0)
		die("not 200");
}

/* So many requests at once, on so many backend connections; then all are
 * answered. */
static void
exchange(int listener, const int *clients, int *conns, int n, int n_conns)
{
	for (int i = 0; i < n; i++)
		ask(clients[i]);
	for (int i = 0; i < n; i++) {
		if (i >= n_conns)
			conns[i] = accept(listener, NULL, NULL);
		if (conns[i] < 0)
			die("accept");
		read_head(conns[i]);
	}
	for (int i = 0; i < n; i++)
		answer(conns[i]);
	for (int i = 0; i < n; i++)
		read_answer(clients[i]);
}

/* Until n_clients are answered, some at a time. */
static void
fill(int listener, unsigned port)
{
	int *clients = calloc((size_t)n_clients, sizeof *clients);
	int *conns = calloc((size_t)n_pooled, sizeof *conns);
	int done = 0, n_conns = 0;

	if (clients == NULL || conns == NULL)
		die("calloc");
	while (done < n_clients) {
		int n =
		    n_clients - done < n_pooled ? n_clients - done : n_pooled;

		for (int i = 0; i < n; i++)
			clients[done + i] = connect_to(port);
		exchange(listener, clients + done, conns, n, n_conns);
		if (n > n_conns)
			n_conns = n;
		done += n;
	}
	free(clients);
	free(conns); /* the connections stay */
}

int
main(int argc, char **argv)
{
	struct rlimit files;
	unsigned backend, port;
	long before, after, kernel, each;
	int listener, total;

	if (argc < 2)
		die("usage: idle PROXY [CLIENTS [POOLED [BYTES]]]");
	n_clients = argc > 2 ? atoi(argv[2]) : n_clients;
	n_pooled = argc > 3 ? atoi(argv[3]) : n_pooled;
	n_bytes = argc > 4 ? atoi(argv[4]) : n_bytes;
	if (n_pooled > n_clients || n_pooled < 1 || n_bytes > 1 << 19)
		die("so many cannot be");
	getrlimit(RLIMIT_NOFILE, &files);
	files.rlim_cur = files.rlim_max;
	setrlimit(RLIMIT_NOFILE, &files);
	total = n_clients + n_pooled;
	if (files.rlim_max < (rlim_t)total + 64)
		die("too few descriptors are allowed");
	listener = listen_somewhere(&backend);
	port = start_proxy(argv[1], backend);
	before = own_bytes();
	kernel = kernel_bytes();
	fill(listener, port);
	after = own_bytes();
	each = (after - before) / total;
	printf("%d idle clients and %d pooled connections, each used for"
	       " %d bytes\n"
	       "  memory of the process: %ld KiB before, %ld KiB after:"
	       " %ld bytes a connection (at most %d)\n"
	       "  kernel memory for the data of all the machine's TCP"
	       " sockets: %ld KiB before, %ld KiB after\n",
	    n_clients, n_pooled, n_bytes, before / 1024, after / 1024, each,
	    LIMIT, kernel / 1024, kernel_bytes() / 1024);
	kill(proxy, SIGKILL);
	waitpid(proxy, NULL, 0);
	return each <= LIMIT ? 0 : 1;
}
