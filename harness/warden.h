/* warden.h - a process between us and a program, so that nothing of the
 * program outlives us.
 *
 * The warden starts the program and adopts whatever it leaves behind
 * (PR_SET_CHILD_SUBREAPER).  It holds the reading end of a pipe, the leash;
 * when that ends, because we let go or because we were killed, the warden
 * kills every descendant, removes the program's directory, and ends.
 */
#ifndef HARNESS_WARDEN_H
#define HARNESS_WARDEN_H

#include <stdbool.h>
#include <sys/types.h>

#define WARDEN_LISTEN_FD 3 /* where the program finds listen_fd */

/* What to start.  Everything is borrowed during warden_start() only. */
struct warden_order {
	char *const *argv; /* argv[0] is searched in PATH */
	char *const *env;  /* NAME=VALUE …, added; ended by NULL */
	int listen_fd;	   /* -1: none */
	int output_fd;	   /* its stdout … */
	int error_fd;	   /* … and stderr; it may be the same */
	const char *dir;   /* removed at the end; it is its, by name */
};

struct warden {
	pid_t pid;     /* the warden's; the program's descend from it */
	pid_t program; /* -1: it could not be executed */
	int leash_fd;
	int report_fd; /* readable when the program has ended */
};

/* Let every warden that is started from now on hold a descriptor until it has
 * ended, so that who has the other end of a pipe learns that all have.  fd
 * stays the caller's; -1: none. */
void warden_hold(int fd);

/* Start the program.
 *
 * Owns:    warden_end() ends it.
 * Returns: 0, or the errno that pipe, fork or exec met; then there is no
 *          warden, and dir is still there.
 */
int warden_start(struct warden *, const struct warden_order *);

/* Has the program ended?  Never blocks.  status: as waitpid() tells it. */
bool warden_has_ended(const struct warden *, int *status);

/* Kill what is left of the program, remove its directory, and wait for that. */
void warden_end(struct warden *);

#endif
