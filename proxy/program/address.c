/* address.c - see address.h. */
#include "proxy/program/address.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/un.h>

typedef int name_fn(int fd, struct sockaddr *, socklen_t *);

static void
ask(char *out, size_t out_size, int fd, name_fn *name)
{
	union {
		struct sockaddr any;
		struct sockaddr_in four;
		struct sockaddr_in6 six;
		struct sockaddr_un un;
	} at = { { 0 } };
	socklen_t size = sizeof at;
	char text[INET6_ADDRSTRLEN] = "";

	out[0] = '\0';
	if (name(fd, &at.any, &size) != 0)
		return;
	if (at.any.sa_family == AF_INET &&
	    inet_ntop(AF_INET, &at.four.sin_addr, text, sizeof text) != NULL)
		snprintf(out, out_size, "%s:%u", text,
		    (unsigned)ntohs(at.four.sin_port));
	if (at.any.sa_family == AF_INET6 &&
	    inet_ntop(AF_INET6, &at.six.sin6_addr, text, sizeof text) != NULL)
		snprintf(out, out_size, "[%s]:%u", text,
		    (unsigned)ntohs(at.six.sin6_port));
	if (at.any.sa_family == AF_UNIX)
		snprintf(out, out_size, "unix:%.*s", (int)sizeof at.un.sun_path,
		    at.un.sun_path);
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
address_of_peer(char out[ADDRESS_PEER_TEXT], int fd)
{
	ask(out, ADDRESS_PEER_TEXT, fd, peer_name);
}

void
address_of_socket(char out[ADDRESS_TEXT], int fd)
{
	ask(out, ADDRESS_TEXT, fd, own_name);
}

int
address_port(int fd)
{
	char text[ADDRESS_TEXT], *colon;

	address_of_socket(text, fd);
	colon = strrchr(text, ':');
	return colon != NULL ? atoi(colon + 1) : 0;
}
