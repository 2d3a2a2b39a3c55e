/* arguments.h - the command line of closerace-proxy. */
#ifndef PROXY_PROGRAM_ARGUMENTS_H
#define PROXY_PROGRAM_ARGUMENTS_H

#include <stdbool.h>
#include <stddef.h>

#include "proxy/options.h"
#include "proxy/program/line.h"
#include "proxy/program/listener.h"

#define ARGUMENTS_WORKERS_MAX 64

struct arguments {
	struct proxy_options options;

	const char *listen, *admin; /* NULL: none */
	struct listen_at listen_at, admin_at;
	const char *retry_list; /* a file, NULL: none */
	const char *access_log; /* a file, "-" for stdout, NULL: none */
	enum line_format log_format;
	int n_workers, drain_ms;
};

/* Read the command line, and the file of --retry-list.  Borrows argv.
 *
 * Returns: 0, or -1 with a sentence in error that names the option and the
 *          allowed values.
 */
int arguments_read(
    struct arguments *, int argc, char **argv, char *error, size_t error_size);

/* The n-th option of the program itself; an option's name is written with '-'
 * on the command line, and '_' will do.  Returns: 0, or -1 past the end. */
int arguments_describe(size_t n, struct proxy_option *);

/* Write a name as it is typed, with '-'. */
void arguments_spell(char *name);

/* Write the help text to stdout. */
void arguments_help(void);

#endif
