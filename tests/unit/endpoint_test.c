#include "backend/endpoint.h"
#include "check.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

static struct endpoint
parsed(const char *text)
{
	struct endpoint e = { 0 };
	char why[128];

	if (endpoint_parse(&e, text, why, sizeof why) != 0)
		printf("# %s: %s\n", text, why);
	return e;
}

/* Who is told the address, connects. */
static bool
meets(int listener, const char *there)
{
	struct endpoint e = parsed(there);
	int dialled = endpoint_dial(&e, 0), met;

	if (dialled < 0 || errno != 0)
		return false;
	met = accept(listener, NULL, NULL);
	close(dialled);
	close(met);
	return met >= 0;
}

static void
tcp(const char *text, const char *begins)
{
	struct endpoint e = parsed(text);
	char there[ENDPOINT_TEXT];
	int fd = endpoint_listen(&e);

	if (fd < 0 && (errno == EADDRNOTAVAIL || errno == EAFNOSUPPORT)) {
		CHECK(true, "%s # SKIP no IPv6 here", text);
		return;
	}
	endpoint_of_socket(fd, there);
	CHECK(fd >= 0 && endpoint_has_no_port(&e) &&
		strncmp(there, begins, strlen(begins)) == 0,
	    "%s listens on %s", text, there);
	CHECK(meets(fd, there), "%s can be connected to", there);
	endpoint_close(fd);
}

static void
local(void)
{
	char path[] = "/tmp/endpoint-XXXXXX", text[64], there[ENDPOINT_TEXT];
	struct endpoint e;
	struct stat st;
	int fd, second;

	if (mkdtemp(path) == NULL)
		perror(path);
	snprintf(text, sizeof text, "unix:%s/s", path);
	e = parsed(text);
	fd = endpoint_listen(&e);
	endpoint_of_socket(fd, there);
	CHECK(strcmp(there, text) == 0, "a Unix socket is named by its path");
	CHECK(meets(fd, there), "and can be connected to");
	second = endpoint_listen(&e);
	CHECK(second < 0 && errno == EADDRINUSE,
	    "it is not taken from one who listens");
	close(fd); /* as the kernel does for one who dies */
	fd = endpoint_listen(&e);
	CHECK(meets(fd, there), "what a dead process has left is removed");
	endpoint_close(fd);
	CHECK(stat(text + 5, &st) != 0, "nothing is left when it is closed");
	fd = open(text + 5, O_CREAT | O_WRONLY, 0600);
	close(fd);
	CHECK(endpoint_listen(&e) < 0 && stat(text + 5, &st) == 0,
	    "a file that is no socket stays");
	unlink(text + 5);
	rmdir(path);
}

int
main(void)
{
	struct endpoint e = parsed(":8081"), same = e;
	char why[ENDPOINT_TEXT], taken[ENDPOINT_TEXT + 16];
	int fd, other;

	CHECK(e.n == 2 && e.at[0].ss_family == AF_INET &&
		e.at[1].ss_family == AF_INET6,
	    ":PORT is loopback, of either family");
	CHECK(endpoint_parse(&e, "nowhere", why, sizeof why) != 0 &&
		*why == '\0' && memcmp(&e, &same, sizeof e) == 0,
	    "what was refused changes nothing");
	tcp("127.0.0.1:0", "127.0.0.1:");
	tcp("localhost:0", "127.0.0.1:");
	tcp(":0", "127.0.0.1:");
	tcp("[::1]:0", "[::1]:");
	local();

	e = parsed("127.0.0.1:0");
	fd = endpoint_listen(&e);
	endpoint_of_socket(fd, why);
	snprintf(taken, sizeof taken, "localhost%s", strchr(why, ':'));
	e = parsed(taken);
	other = endpoint_listen(&e);
	CHECK(other < 0 && errno == EADDRINUSE,
	    "a port that is taken is not made up for by another family's");
	endpoint_close(fd);
	return CHECK_DONE();
}
