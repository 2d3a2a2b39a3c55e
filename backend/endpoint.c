/* endpoint.c - see endpoint.h. */
#include "backend/endpoint.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netdb.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

/* --------------------------------------------------------------- reading -- */

static void
add(struct endpoint *e, const void *address, socklen_t size)
{
	if (e->n == ENDPOINT_ADDRESSES_MAX || size > sizeof e->at[0])
		return;
	memcpy(&e->at[e->n], address, size);
	e->size[e->n++] = size;
}

static int
parse_unix(struct endpoint *e, const char *path, char *why, size_t why_size)
{
	struct sockaddr_un un = { .sun_family = AF_UNIX };
	size_t n = strlen(path);

	if (n == 0 || n >= sizeof un.sun_path) {
		snprintf(why, why_size, "a path of 1 to %zu bytes is needed",
		    sizeof un.sun_path - 1);
		return -1;
	}
	memcpy(un.sun_path, path, n + 1);
	add(e, &un,
	    (socklen_t)(offsetof(struct sockaddr_un, sun_path) + n + 1));
	return 0;
}

static void
add_loopback(struct endpoint *e, in_port_t port)
{
	struct sockaddr_in four = { .sin_family = AF_INET, .sin_port = port };
	struct sockaddr_in6 six = { .sin6_family = AF_INET6,
		.sin6_port = port };

	four.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	six.sin6_addr = in6addr_loopback;
	add(e, &four, sizeof four);
	add(e, &six, sizeof six);
}

static int
look_up(struct endpoint *e, const char *host, const char *port, bool six,
    char *why, size_t why_size)
{
	struct addrinfo hints = { .ai_socktype = SOCK_STREAM,
		.ai_family = six ? AF_INET6 : AF_UNSPEC,
		.ai_flags = AI_NUMERICSERV | (six ? AI_NUMERICHOST : 0) };
	struct addrinfo *list;
	int error = getaddrinfo(host, port, &hints, &list);

	if (error != 0) {
		snprintf(why, why_size, "%s: %s", host,
		    error == EAI_SYSTEM ? strerror(errno)
					: gai_strerror(error));
		return -1;
	}
	for (struct addrinfo *a = list; a != NULL; a = a->ai_next)
		add(e, a->ai_addr, a->ai_addrlen);
	freeaddrinfo(list);
	return 0;
}

/* "HOST:PORT", "[IPv6]:PORT", ":PORT".  Returns: the port; host is without its
 * brackets. */
static const char *
split(const char *text, char *host, size_t host_size, bool *six)
{
	const char *colon = strrchr(text, ':');
	size_t n = colon != NULL ? (size_t)(colon - text) : 0;

	*six = *text == '[';
	if (colon == NULL || (*six && (n < 3 || text[n - 1] != ']')))
		return NULL;
	text += *six;
	n -= *six ? 2 : 0;
	/* An IPv6 address without brackets could have its port anywhere. */
	if (n >= host_size || (!*six && memchr(text, ':', n) != NULL))
		return NULL;
	memcpy(host, text, n);
	host[n] = '\0';
	return colon + 1;
}

static int
parse(struct endpoint *e, const char *text, char *why, size_t why_size)
{
	char host[256];
	const char *port;
	bool six;

	if (strncmp(text, "unix:", 5) == 0)
		return parse_unix(e, text + 5, why, why_size);
	port = split(text, host, sizeof host, &six);
	if (port == NULL || *port == '\0' || strlen(port) > 5 ||
	    port[strspn(port, "0123456789")] != '\0' || atoi(port) > 65535)
		return -1;
	/* RFC 6761 6.3: whatever this machine's list of hosts says of it. */
	if (six || (*host != '\0' && strcasecmp(host, "localhost") != 0))
		return look_up(e, host, port, six, why, why_size);
	add_loopback(e, htons((in_port_t)atoi(port)));
	return 0;
}

int
endpoint_parse(struct endpoint *e, const char *text, char *why, size_t why_size)
{
	struct endpoint parsed = { 0 };

	if (why_size > 0)
		why[0] = '\0';
	if (strlen(text) >= sizeof parsed.text ||
	    parse(&parsed, text, why, why_size) != 0)
		return -1;
	strcpy(parsed.text, text);
	*e = parsed;
	return 0;
}

void
endpoint_of(struct endpoint *e, const struct sockaddr_in *sin)
{
	char address[INET_ADDRSTRLEN] = "";

	*e = (struct endpoint){ 0 };
	add(e, sin, sizeof *sin);
	inet_ntop(AF_INET, &sin->sin_addr, address, sizeof address);
	snprintf(
	    e->text, sizeof e->text, "%s:%u", address, ntohs(sin->sin_port));
}

bool
endpoint_has_no_port(const struct endpoint *e)
{
	/* The port stands at the same place in both. */
	return e->n > 0 && e->at[0].ss_family != AF_UNIX &&
	    ((const struct sockaddr_in *)&e->at[0])->sin_port == 0;
}

/* --------------------------------------------------------------- sockets -- */

/* Remove a Unix socket that a dead process has left. */
static void
sweep(const struct sockaddr_un *un, socklen_t size)
{
	struct stat st;
	int fd;

	if (lstat(un->sun_path, &st) != 0 || !S_ISSOCK(st.st_mode))
		return;
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return;
	if (connect(fd, (const struct sockaddr *)un, size) != 0 &&
	    errno == ECONNREFUSED)
		unlink(un->sun_path);
	close(fd);
}

static int
listen_at(const struct sockaddr_storage *at, socklen_t size)
{
	int fd = socket(at->ss_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
	int on = 1, error;

	if (fd < 0)
		return -1;
	if (at->ss_family == AF_UNIX)
		sweep((const struct sockaddr_un *)at, size);
	else
		setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
	if (bind(fd, (const struct sockaddr *)at, size) == 0 &&
	    listen(fd, SOMAXCONN) == 0)
		return fd;
	error = errno;
	close(fd);
	errno = error;
	return -1;
}

int
endpoint_listen(const struct endpoint *e)
{
	int fd = -1;

	/* IPv4 first: who is given a name for a listener, and no address, may
	 * know of no other. */
	errno = EADDRNOTAVAIL;
	for (int six = 0; six <= 1; six++)
		for (size_t i = 0; i < e->n && fd < 0 &&
		     (errno == EADDRNOTAVAIL || errno == EAFNOSUPPORT);
		     i++)
			if ((e->at[i].ss_family == AF_INET6) == six)
				fd = listen_at(&e->at[i], e->size[i]);
	return fd;
}

void
endpoint_close(int fd)
{
	struct sockaddr_un un = { 0 };
	socklen_t size = sizeof un - 1;

	if (getsockname(fd, (struct sockaddr *)&un, &size) == 0 &&
	    un.sun_family == AF_UNIX && un.sun_path[0] != '\0')
		unlink(un.sun_path);
	close(fd);
}

void
endpoint_of_socket(int fd, char text[ENDPOINT_TEXT])
{
	union {
		struct sockaddr any;
		struct sockaddr_in four;
		struct sockaddr_in6 six;
		struct sockaddr_un un;
	} at = { { 0 } };
	socklen_t size = sizeof at;
	char address[INET6_ADDRSTRLEN] = "";

	getsockname(fd, &at.any, &size);
	if (at.any.sa_family == AF_UNIX)
		snprintf(text, ENDPOINT_TEXT, "unix:%.*s",
		    (int)sizeof at.un.sun_path, at.un.sun_path);
	else if (at.any.sa_family == AF_INET6)
		snprintf(text, ENDPOINT_TEXT, "[%s]:%u",
		    inet_ntop(
			AF_INET6, &at.six.sin6_addr, address, sizeof address),
		    ntohs(at.six.sin6_port));
	else
		snprintf(text, ENDPOINT_TEXT, "%s:%u",
		    inet_ntop(
			AF_INET, &at.four.sin_addr, address, sizeof address),
		    ntohs(at.four.sin_port));
}

int
endpoint_dial(const struct endpoint *e, size_t n)
{
	int fd = socket(
	    e->at[n].ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	int on = 1;

	if (fd < 0)
		return -1;
	if (e->at[n].ss_family != AF_UNIX)
		setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
	errno = 0;
	if (connect(fd, (const struct sockaddr *)&e->at[n], e->size[n]) == 0 ||
	    errno == EINPROGRESS)
		errno = 0;
	return fd;
}
