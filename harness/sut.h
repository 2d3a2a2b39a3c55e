/* sut.h - an external program in the proxy's place, or in the client's.
 *
 * A program gets its listening socket from the lab, as descriptor 3
 * ($LISTEN_FD): then a client can connect at once.  Or it is told a port
 * ($LISTEN, $LISTEN_PORT), which is kept free for it, and sut_new() waits
 * until it accepts connections there.  A program that is told of neither is a
 * client under test.  From then on the lab's time is real.
 *
 * The program gets a process group and a temporary directory of its own; both,
 * and all its descendants, are gone when the lab closes, and also when the
 * harness dies (warden.h).
 */
#ifndef HARNESS_SUT_H
#define HARNESS_SUT_H

#include <netinet/in.h>
#include <stdbool.h>
#include <stddef.h>

#include "harness/tree.h"

struct lab;
struct sut;

/* A file below the temporary directory; its name may have directories. */
struct sut_file {
	const char *name, *text;
};

/* In argv, config, files and env these are replaced:
 *   $LISTEN_FD     3
 *   $LISTEN        127.0.0.1:PORT, where clients will connect
 *   $LISTEN_PORT   its port alone
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
	const struct sut_file *files;
	size_t n_files;
	struct sockaddr_in backend; /* port 0: none, for a server */
	bool apart;		    /* keep stderr apart from stdout */
};

/* Start it.  Where it listens by itself, wait until it does.
 *
 * Returns: NULL with a sentence in error: out of something; the program cannot
 *          be executed, ends, or does nothing any more without listening, or
 *          the lab's deadline is over, all with what it said.
 */
struct sut *sut_new(
    struct lab *, const struct sut_options *, char *error, size_t error_size);

/* Does this process have any?  Then it must not fork: the child would hold on
 * to what ends them. */
bool sut_any_runs(void);

unsigned sut_number(const struct sut *);
const struct sockaddr_in *sut_address(const struct sut *); /* or NULL */
int sut_pid(const struct sut *);

const char *sut_dir(const struct sut *); /* the temporary directory */

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
const char *sut_output(const struct sut *, size_t *size);

/* The same of stderr, where that is kept apart; else "". */
const char *sut_errors(const struct sut *, size_t *size);

/* For turns.h.  Is it at rest?  Has it done anything since it was seen so?  Can
 * it run on that processor only?  And stop it for our turn (needs: at rest),
 * and let it go on, unless a script has stopped it. */
enum tree_rest sut_rests(struct sut *);
bool sut_ran(const struct sut *);
int64_t sut_used_ms(const struct sut *);
bool sut_is_confined(const struct sut *, int cpu);
void sut_hold(struct sut *);
void sut_let_go(struct sut *);

/* From now on its threads run in order (rank.h). */
void sut_line_up(struct sut *);

/* Stop the program, all of it, and let it go on. */
void sut_stop(struct sut *);
void sut_continue(struct sut *);

#endif
