/* arguments.c - see arguments.h.  One row of the table per option of the
 * program; those of the library describe themselves. */
#include "proxy/program/arguments.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "proxy/program/list_file.h"

enum { NAME_SIZE = 64, DAY_MS = 24 * 60 * 60 * 1000 };

enum row_id { LISTEN, WORKERS, DRAIN, ADMIN, LOG, LOG_FORMAT, N_ROWS };

static const struct proxy_option rows[N_ROWS] = {
	[LISTEN] = { "listen", "Running",
	    "where to accept clients; port 0 picks one", "",
	    "ADDR:PORT, or fd@N: an inherited socket, or " PLACE_OTHER_FORMS },
	[WORKERS] = { "workers", "Running",
	    "processes that serve, each with a pool of its own", "1",
	    "1 to 64" },
	[DRAIN] = { "drain_ms", "Running",
	    "finish for so long after SIGTERM; 0: no limit", "30000",
	    "0 to 86400000" },
	[ADMIN] = { "admin", "Running",
	    "serve /metrics, /status and /healthz there", "", PLACE_FORMS },
	[LOG] = { "access_log", "Running", "append a line an exchange", "",
	    "a file, or - for stdout" },
	[LOG_FORMAT] = { "log_format", "Running", "how it is written", "text",
	    "text, json" },
};

int
arguments_describe(size_t n, struct proxy_option *option)
{
	if (n >= N_ROWS)
		return -1;
	*option = rows[n];
	return 0;
}

void
arguments_spell(char *name)
{
	for (; *name != '\0'; name++)
		if (*name == '_')
			*name = '-';
}

static size_t
own_row(const char *name)
{
	size_t i = 0;

	while (i < N_ROWS && strcmp(rows[i].name, name) != 0)
		i++;
	return i;
}

static bool
is_library(const char *name)
{
	struct proxy_option option;

	for (size_t i = 0; proxy_options_describe(i, &option) == 0; i++)
		if (strcmp(option.name, name) == 0)
			return true;
	return false;
}

/* ---------------------------------------------------------------- mistakes */

/* Nothing is added to what is full. */
static void
add(char *out, size_t size, const char *text)
{
	size_t n = strlen(out);

	snprintf(out + n, size - n, "%s", text);
}

static int
tell_unknown(const char *name, char *error, size_t error_size)
{
	struct proxy_option option;
	bool library = false;

	snprintf(error, error_size, "'%s' is not an option; allowed:", name);
	for (size_t i = 0;; i++) {
		if (!library && arguments_describe(i, &option) != 0) {
			library = true;
			i = 0;
		}
		if (library && proxy_options_describe(i, &option) != 0)
			return -1;
		add(error, error_size, library || i > 0 ? ", " : " ");
		add(error, error_size, option.name);
		arguments_spell(strstr(error, "; allowed:"));
	}
}

static int
refuse(enum row_id row, const char *value, const char *why, char *error,
    size_t error_size)
{
	char name[NAME_SIZE];
	bool more = *why != '\0';

	snprintf(name, sizeof name, "%s", rows[row].name);
	arguments_spell(name);
	snprintf(error, error_size,
	    "--%s: '%s' is not allowed; allowed: %s%s%s%s", name, value,
	    rows[row].allowed, more ? " (" : "", why, more ? ")" : "");
	return -1;
}

/* The library names its options as scripts do. */
static int
refuse_as_library(char *error, size_t error_size)
{
	char text[512];
	size_t n = strcspn(error, " :");

	snprintf(text, sizeof text, "%s", error);
	snprintf(error, error_size, "--%.*s", (int)n, text);
	arguments_spell(error);
	add(error, error_size, text + n);
	return -1;
}

/* ------------------------------------------------------------------ values */

static bool
read_number(const char *text, int min, int max, int *out)
{
	char *end;
	long n = strtol(text, &end, 10);

	if (*text < '0' || *text > '9' || *end != '\0' || n < min || n > max)
		return false;
	*out = (int)n;
	return true;
}

static bool
set_own(struct arguments *a, enum row_id row, const char *value, char *why,
    size_t why_size)
{
	switch (row) {
	case LISTEN:
		a->listen = value;
		return listener_parse(&a->listen_at, value, why, why_size) == 0;
	case ADMIN:
		a->admin = value;
		return listener_parse(&a->admin_at, value, why, why_size) ==
		    0 &&
		    a->admin_at.fd < 0;
	case WORKERS:
		return read_number(
		    value, 1, ARGUMENTS_WORKERS_MAX, &a->n_workers);
	case DRAIN:
		return read_number(value, 0, DAY_MS, &a->drain_ms);
	case LOG:
		a->access_log = value;
		return *value != '\0';
	case LOG_FORMAT:
		a->log_format =
		    strcmp(value, "json") == 0 ? LINE_JSON : LINE_TEXT;
		return a->log_format == LINE_JSON || strcmp(value, "text") == 0;
	case N_ROWS:
		break;
	}
	return false;
}

static int
set_library(struct arguments *a, const char *name, const char *value,
    char *error, size_t error_size)
{
	char why[512];

	if (strcmp(name, "retry_list") == 0) {
		a->retry_list = value;
		if (list_file_read(
			value, &a->options.retry_list, why, sizeof why) == 0)
			return 0;
		snprintf(error, error_size, "--retry-list: %s", why);
		return -1;
	}
	if (proxy_options_set(&a->options, name, value, error, error_size) != 0)
		return refuse_as_library(error, error_size);
	return 0;
}

/* --name VALUE, or --name=VALUE; at *i in argv. */
static int
read_one(
    struct arguments *a, char **argv, int *i, char *error, size_t error_size)
{
	char name[NAME_SIZE], why[256] = "";
	const char *word = argv[*i], *value;
	size_t size = strcspn(word, "="), row;

	if (strncmp(word, "--", 2) != 0) {
		snprintf(error, error_size, "not an option: %s", word);
		return -1;
	}
	snprintf(name, sizeof name, "%.*s", (int)size - 2, word + 2);
	for (char *c = name; *c != '\0'; c++)
		if (*c == '-')
			*c = '_';
	row = own_row(name);
	if (row == N_ROWS && !is_library(name)) {
		snprintf(name, sizeof name, "%.*s", (int)size - 2, word + 2);
		return tell_unknown(name, error, error_size);
	}
	value = word[size] == '=' ? word + size + 1 : argv[++*i];
	if (value == NULL) {
		snprintf(
		    error, error_size, "a value is missing after %s", word);
		return -1;
	}
	if (row == N_ROWS)
		return set_library(a, name, value, error, error_size);
	return set_own(a, (enum row_id)row, value, why, sizeof why)
	    ? 0
	    : refuse((enum row_id)row, value, why, error, error_size);
}

int
arguments_read(
    struct arguments *a, int argc, char **argv, char *error, size_t error_size)
{
	memset(a, 0, sizeof *a);
	proxy_options_init(&a->options);
	a->n_workers = 1;
	a->drain_ms = 30000;
	for (int i = 1; i < argc; i++)
		if (read_one(a, argv, &i, error, error_size) != 0)
			return -1;
	if (a->listen == NULL) {
		snprintf(error, error_size, "--listen is missing; allowed: %s",
		    rows[LISTEN].allowed);
		return -1;
	}
	if (proxy_options_check(&a->options, error, error_size) != 0)
		return refuse_as_library(error, error_size);
	return 0;
}
