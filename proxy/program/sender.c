/* sender.c - see sender.h. */
#include "proxy/program/sender.h"

#include <arpa/inet.h>
#include <stddef.h>
#include <string.h>
#include <strings.h>

enum { HOST_SIZE = 256 };

static bool
is_port(const char *text)
{
	size_t n = strspn(text, "0123456789");

	return n > 0 && n <= 5 && text[n] == '\0';
}

/* "HOST", "HOST:PORT", "[IPv6]" or "[IPv6]:PORT".  Returns: its HOST is in
 * host, without brackets. */
static bool
split(const char *text, char host[HOST_SIZE])
{
	bool literal = *text == '[';
	size_t size = literal ? strcspn(++text, "]") : strcspn(text, ":");
	const char *rest = text + size;

	if (size == 0 || size >= HOST_SIZE || (literal && *rest++ != ']') ||
	    (*rest != '\0' && (*rest != ':' || !is_port(rest + 1))))
		return false;
	memcpy(host, text, size);
	host[size] = '\0';
	return true;
}

static bool
is_loopback(const char *host)
{
	struct in6_addr six;
	struct in_addr four;

	if (inet_pton(AF_INET, host, &four) == 1)
		return ntohl(four.s_addr) >> 24 == 127;
	if (inet_pton(AF_INET6, host, &six) == 1)
		return IN6_IS_ADDR_LOOPBACK(&six);
	return strcasecmp(host, "localhost") == 0;
}

/* Names, or addresses however they are written. */
static bool
is_same(const char *a, const char *b)
{
	struct in6_addr six[2];

	if (inet_pton(AF_INET6, a, &six[0]) == 1 &&
	    inet_pton(AF_INET6, b, &six[1]) == 1)
		return memcmp(&six[0], &six[1], sizeof six[0]) == 0;
	return strcasecmp(a, b) == 0;
}

bool
sender_names(const char *host, const char *const *names)
{
	char is[HOST_SIZE], allowed[HOST_SIZE];

	if (host == NULL || !split(host, is))
		return false;
	if (is_loopback(is))
		return true;
	for (; *names != NULL; names++)
		if (split(*names, allowed) && is_same(is, allowed))
			return true;
	return false;
}

bool
sender_is_same(const char *origin, const char *site, const char *host)
{
	static const char scheme[] = "http://";
	const size_t n = sizeof scheme - 1;

	if (site != NULL && strcasecmp(site, "same-origin") != 0 &&
	    strcasecmp(site, "none") != 0)
		return false;
	return origin == NULL ||
	    (host != NULL && strncasecmp(origin, scheme, n) == 0 &&
		strcasecmp(origin + n, host) == 0);
}
