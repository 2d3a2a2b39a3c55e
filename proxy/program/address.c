/* address.c - see address.h. */
#include "proxy/program/address.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

void
address_write(char out[ADDRESS_TEXT], const struct sockaddr_in *sin)
{
	const unsigned char *a = (const unsigned char *)&sin->sin_addr;

	snprintf(out, ADDRESS_TEXT, "%u.%u.%u.%u:%u", a[0], a[1], a[2], a[3],
	    (unsigned)ntohs(sin->sin_port));
}

typedef int name_fn(int fd, struct sockaddr *, socklen_t *);

static void
ask(char out[ADDRESS_TEXT], int fd, name_fn *name)
{
	struct sockaddr_in sin = { 0 };
	socklen_t size = sizeof sin;

	out[0] = '\0';
	if (name(fd, (struct sockaddr *)&sin, &size) == 0 &&
	    sin.sin_family == AF_INET)
		address_write(out, &sin);
}

static int
peer_name(int fd, struct sockaddr *address, socklen_t *size)
{
	return getpeername(fd, address, size);
}

static int
own_name(int fd, struct sockaddr *address, socklen_t *size)
{
	return getsockname(fd, address, size);
}

void
address_of_peer(char out[ADDRESS_TEXT], int fd)
{
	ask(out, fd, peer_name);
}

void
address_of_socket(char out[ADDRESS_TEXT], int fd)
{
	ask(out, fd, own_name);
}

int
address_port(int fd)
{
	char text[ADDRESS_TEXT], *colon;

	address_of_socket(text, fd);
	colon = strrchr(text, ':');
	return colon != NULL ? atoi(colon + 1) : 0;
}

/* Is it nothing, or ":PORT"? */
static bool
is_port(const char *text)
{
	return *text == '\0' ||
	    (*text == ':' &&
		strspn(text + 1, "0123456789") == strlen(text + 1));
}

bool
address_is_here(const char *host, const char *own)
{
	size_t n = strcspn(host, ":"), n_own = strcspn(own, ":");
	char name[INET_ADDRSTRLEN];
	struct in_addr address;

	if (strncmp(host, "[::1]", 5) == 0)
		return is_port(host + 5);
	if (n >= sizeof name || !is_port(host + n))
		return false;
	snprintf(name, sizeof name, "%.*s", (int)n, host);
	if (inet_pton(AF_INET, name, &address) == 1 &&
	    ntohl(address.s_addr) >> 24 == 127)
		return true;
	if (strcmp(host[n] != '\0' ? host + n : ":80", own + n_own) != 0)
		return false;
	return strcasecmp(name, "localhost") == 0 ||
	    (n == n_own && memcmp(host, own, n) == 0);
}
