/* address.c - see address.h. */
#include "proxy/program/address.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

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
