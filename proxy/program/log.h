/* log.h - the access log: lines that are gathered while there is work, and
 * written, whole, when the loop comes to rest.
 *
 * Several processes may write to one file: they append, with one write for
 * whole lines; a pipe gets them in pieces that it does not mix (PIPE_BUF).
 * Nobody waits for the log: what cannot be written is lost, counted, and told
 * once on stderr.
 */
#ifndef PROXY_PROGRAM_LOG_H
#define PROXY_PROGRAM_LOG_H

#include <stdint.h>

#include "proxy/program/line.h"

/* The priority of the loop's events at which a log is written: the last. */
enum { LOG_PRIORITIES = 3, LOG_PRIORITY = 2 };

struct event_base;
struct log;

/* Open a file to append to, or stdout for "-".
 *
 * Needs:   a base with LOG_PRIORITIES priorities.
 * Owns:    borrows base and path.
 * Returns: NULL with errno.
 */
struct log *log_open(struct event_base *, const char *path, enum line_format);

/* Can it be opened?  Returns: 0, or -1 with errno. */
int log_try(const char *path);

void log_exchange(struct log *, const struct line_facts *);

/* Write now what there is, as far as that can be. */
void log_flush(struct log *);

/* Open the file again, which may be another one of that name by now.
 * Returns: 0, or -1 with errno; it goes on with the old one then. */
int log_reopen(struct log *);

uint64_t log_n_lost(const struct log *); /* lines */

/* Write what there is, and close.  A pipe's reader is given a second for each
 * piece.  NULL is allowed. */
void log_close(struct log *);

#endif
