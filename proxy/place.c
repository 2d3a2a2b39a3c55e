/* place.c - see place.h. */
#include "proxy/place.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netdb.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/un.h>

static void
add(struct place *p, const void *address, socklen_t size)
{
	if (p->n == PLACE_ADDRESSES_MAX || size > sizeof p->at[0])
		return;
	memcpy(&p->at[p->n], address, size);
	p->size[p->n++] = size;
}

static int
parse_unix(struct place *p, const char *path, char *why, size_t why_size)
{
	struct sockaddr_un un = { .sun_family = AF_UNIX };
	size_t n = strlen(path);

	if (n == 0 || n >= sizeof un.sun_path) {
		snprintf(why, why_size, "a path of 1 to %zu bytes is needed",
		    sizeof un.sun_path - 1);
		return -1;
	}
	/* It stands between quotes in metrics and JSON. */
	if (strpbrk(path, "\"\\\r\n\t ") != NULL) {
		snprintf(why, why_size,
		    "a path without quotes, backslashes and blanks is needed");
		return -1;
	}
	memcpy(un.sun_path, path, n + 1);
	add(p, &un,
	    (socklen_t)(offsetof(struct sockaddr_un, sun_path) + n + 1));
	return 0;
}

static void
add_loopback(struct place *p, in_port_t port)
{
	struct sockaddr_in four = { .sin_family = AF_INET, .sin_port = port };
	struct sockaddr_in6 six = { .sin6_family = AF_INET6,
		.sin6_port = port };

	four.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	six.sin6_addr = in6addr_loopback;
	add(p, &four, sizeof four);
	add(p, &six, sizeof six);
}

static int
look_up(struct place *p, const char *host, const char *port, bool six,
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
		add(p, a->ai_addr, a->ai_addrlen);
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
parse(struct place *p, const char *text, char *why, size_t why_size)
{
	char host[256];
	const char *port;
	bool six;

	if (strncmp(text, "unix:", 5) == 0)
		return parse_unix(p, text + 5, why, why_size);
	port = split(text, host, sizeof host, &six);
	if (port == NULL || *port == '\0' || strlen(port) > 5 ||
	    port[strspn(port, "0123456789")] != '\0' || atoi(port) > 65535)
		return -1;
	/* RFC 6761 6.3: whatever this machine's list of hosts says of it. */
	if (six || (*host != '\0' && strcasecmp(host, "localhost") != 0))
		return look_up(p, host, port, six, why, why_size);
	add_loopback(p, htons((in_port_t)atoi(port)));
	return 0;
}

static void
note_host(struct place *p)
{
	bool port_alone = p->text[0] == ':';
	bool local = port_alone || strncmp(p->text, "unix:", 5) == 0;

	snprintf(p->host, sizeof p->host, "%s%s", local ? "localhost" : "",
	    local && !port_alone ? "" : p->text);
}

int
place_parse(struct place *p, const char *text, char *why, size_t why_size)
{
	struct place parsed = { 0 };

	if (why_size > 0)
		why[0] = '\0';
	if (strlen(text) >= sizeof parsed.text ||
	    parse(&parsed, text, why, why_size) != 0)
		return -1;
	strcpy(parsed.text, text);
	note_host(&parsed);
	*p = parsed;
	return 0;
}

void
place_of(struct place *p, const struct sockaddr_in *sin)
{
	char address[INET_ADDRSTRLEN] = "";

	*p = (struct place){ 0 };
	add(p, sin, sizeof *sin);
	inet_ntop(AF_INET, &sin->sin_addr, address, sizeof address);
	snprintf(
	    p->text, sizeof p->text, "%s:%u", address, ntohs(sin->sin_port));
	note_host(p);
}

bool
place_has_no_port(const struct place *p)
{
	/* The port stands at the same place in both. */
	return p->n > 0 && p->at[0].ss_family != AF_UNIX &&
	    ((const struct sockaddr_in *)&p->at[0])->sin_port == 0;
}
