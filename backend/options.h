/* options.h - every option of the backend, by name: the one place where a
 * name, its allowed values, its default and its help text stand.
 */
#ifndef BACKEND_OPTIONS_H
#define BACKEND_OPTIONS_H

#include <stdbool.h>
#include <stddef.h>

#include "backend/endpoint.h"
#include "backend/fault.h"

struct backend_options {
	/* serve this instead of libmicrohttpd; none: n 0 */
	struct endpoint upstream;
	/* idle connections are closed after that long, unannounced; 0: never */
	int keep_alive_ms;
	enum ending keep_alive_close; /* how; default fin */
	/* responses carry Keep-Alive: timeout=keep_alive_ms/1000 */
	bool keep_alive_hint;
};

void backend_options_init(struct backend_options *);

/* Set one option from text.
 *
 * Returns: 0, or -1 with a sentence in error that names the option and the
 *          allowed values.
 */
int backend_options_set(struct backend_options *, const char *name,
    const char *value, char *error, size_t error_size);

/* The n-th option; as proxy_options_describe() does it. */
int backend_options_describe(size_t n, const char **name, const char **help,
    char value[64], char allowed[128]);

#endif
