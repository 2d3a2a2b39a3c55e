/* options.c - see options.h. */
#include "backend/options.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* why: what is wrong, where more can be said than what is allowed. */
typedef int set_fn(
    struct backend_options *, const char *value, char *why, size_t why_size);
typedef void get_fn(const struct backend_options *, char value[64]);
typedef void allowed_fn(char allowed[128]);

static int
set_upstream(
    struct backend_options *o, const char *value, char *why, size_t why_size)
{
	struct endpoint e;

	if (endpoint_parse(&e, value, why, why_size) != 0 ||
	    endpoint_has_no_port(&e))
		return -1;
	o->upstream = e;
	return 0;
}

static void
get_upstream(const struct backend_options *o, char value[64])
{
	snprintf(value, 64, "%.63s", o->upstream.text);
}

static void
allowed_upstream(char allowed[128])
{
	snprintf(allowed, 128, "%s", ENDPOINT_FORMS);
}

static int
set_keep_alive_ms(
    struct backend_options *o, const char *value, char *why, size_t why_size)
{
	char *end;
	long n;

	errno = 0;
	n = strtol(value, &end, 10);
	if (errno != 0 || end == value || *end != '\0' || n < 0 || n > INT_MAX)
		return -1;
	o->keep_alive_ms = (int)n;
	return 0;
}

static void
get_keep_alive_ms(const struct backend_options *o, char value[64])
{
	snprintf(value, 64, "%d", o->keep_alive_ms);
}

static void
allowed_keep_alive_ms(char allowed[128])
{
	snprintf(allowed, 128, "0 to %d", INT_MAX);
}

static int
set_keep_alive_close(
    struct backend_options *o, const char *value, char *why, size_t why_size)
{
	for (int i = 0; i < N_ENDINGS; i++)
		if (strcmp(value, fault_ending_name((enum ending)i)) == 0) {
			o->keep_alive_close = (enum ending)i;
			return 0;
		}
	return -1;
}

static void
get_keep_alive_close(const struct backend_options *o, char value[64])
{
	snprintf(value, 64, "%s", fault_ending_name(o->keep_alive_close));
}

static void
allowed_keep_alive_close(char allowed[128])
{
	size_t used = 0;

	for (int i = 0; i < N_ENDINGS; i++)
		used += (size_t)snprintf(allowed + used, 128 - used, "%s%s",
		    i > 0 ? ", " : "", fault_ending_name((enum ending)i));
}

static int
set_keep_alive_hint(
    struct backend_options *o, const char *value, char *why, size_t why_size)
{
	bool yes = strcmp(value, "true") == 0 || strcmp(value, "yes") == 0;

	if (!yes && strcmp(value, "false") != 0 && strcmp(value, "no") != 0)
		return -1;
	o->keep_alive_hint = yes;
	return 0;
}

static void
get_keep_alive_hint(const struct backend_options *o, char value[64])
{
	snprintf(value, 64, "%s", o->keep_alive_hint ? "true" : "false");
}

static void
allowed_keep_alive_hint(char allowed[128])
{
	snprintf(allowed, 128, "true, false");
}

#define ROW(name, help)                                             \
	{                                                           \
#name, help, set_##name, get_##name, allowed_##name \
	}

static const struct {
	const char *name, *help;
	set_fn *set;
	get_fn *get;
	allowed_fn *allowed;
} rows[] = {
	ROW(upstream, "serve this HTTP server instead of the built-in one"),
	ROW(keep_alive_ms, "idle connections are closed after that; 0: never"),
	ROW(keep_alive_close, "how idle connections are closed"),
	ROW(keep_alive_hint,
	    "responses carry Keep-Alive: timeout=keep_alive_ms/1000"),
};

enum { N_ROWS = sizeof rows / sizeof *rows };

void
backend_options_init(struct backend_options *o)
{
	memset(o, 0, sizeof *o);
	o->keep_alive_close = ENDING_FIN;
}

static int
refuse_name(const char *name, char *error, size_t error_size)
{
	char list[128] = "";
	size_t used = 0;

	for (int i = 0; i < N_ROWS; i++)
		used += (size_t)snprintf(list + used, sizeof list - used,
		    "%s%s", i > 0 ? ", " : "", rows[i].name);
	snprintf(error, error_size,
	    "'%s' is not an option of the backend; allowed: %s", name, list);
	return -1;
}

int
backend_options_set(struct backend_options *o, const char *name,
    const char *value, char *error, size_t error_size)
{
	char allowed[128], why[256] = "";

	for (int i = 0; i < N_ROWS; i++) {
		if (strcmp(rows[i].name, name) != 0)
			continue;
		if (rows[i].set(o, value, why, sizeof why) == 0)
			return 0;
		rows[i].allowed(allowed);
		snprintf(error, error_size,
		    "%s: '%s' is not allowed; allowed: %s%s%s%s", name, value,
		    allowed, *why != '\0' ? " (" : "", why,
		    *why != '\0' ? ")" : "");
		return -1;
	}
	return refuse_name(name, error, error_size);
}

int
backend_options_describe(size_t n, const char **name, const char **help,
    char value[64], char allowed[128])
{
	struct backend_options o;

	if (n >= N_ROWS)
		return -1;
	backend_options_init(&o);
	*name = rows[n].name;
	*help = rows[n].help;
	rows[n].get(&o, value);
	rows[n].allowed(allowed);
	return 0;
}
