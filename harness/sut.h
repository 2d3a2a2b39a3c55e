/* sut.h - an external program in the proxy's place, or in the client's.
 *
 * The lab owns the listening socket and hands it over as descriptor 3, so a
 * client can connect at once, and nobody has to guess when the program is
 * ready.  From then on the lab's time is real.  A program that is not told of
 * $LISTEN_FD gets no listening socket: a client under test.
 *
 * The program gets a process group and a temporary directory of its own; both
 * are gone when the lab closes.  It is killed too when the harness dies.
 */
#ifndef HARNESS_SUT_H
#define HARNESS_SUT_H

#include <netinet/in.h>
#include <stdbool.h>
#include <stddef.h>

struct lab;
struct sut;

/* In argv, config and env these are replaced:
 *   $LISTEN_FD     3
 *   $LISTEN        127.0.0.1:PORT, where clients will connect
 *   $BACKEND       127.0.0.1:PORT of the backend
 *   $BACKEND_PORT  its port alone
 *   $CONFIG        a file with the config text
 *   $DIR           the temporary directory
 */
struct sut_options {
	const char *const
	    *argv;		/* ended by NULL; argv[0] is searched in PATH */
	const char *config;	/* NULL: none */
	const char *const *env; /* NAME=VALUE …, added; NULL: none */
	struct sockaddr_in backend;
};

/* Start it.
 *
 * Returns: NULL with a sentence in error (out of something, $LISTEN without
 *          $LISTEN_FD, or the program cannot be executed).
 */
struct sut *sut_new(
    struct lab *, const struct sut_options *, char *error, size_t error_size);

unsigned sut_number(const struct sut *);
const struct sockaddr_in *sut_address(const struct sut *); /* or NULL */
int sut_pid(const struct sut *);

/* It has ended.  status: as waitpid() tells it. */
bool sut_has_exited(const struct sut *, int *status);

/* The script has asked whether, or how, it ended. */
void sut_acknowledge(struct sut *);

/* It ended by itself, not with status 0, and nobody has asked: what was
 * measured without it means nothing. */
bool sut_has_failed(struct sut *);

/* What it wrote to stdout and stderr so far, at most SUT_OUTPUT_MAX bytes of
 * it; never NULL. */
#define SUT_OUTPUT_MAX 65536
const char *sut_output(const struct sut *);

#endif
