/* options.c - see options.h.  One row of the table per option. */
#include "proxy/options.h"

#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum kind { KIND_ADDRESSES, KIND_WORD, KIND_NUMBER, KIND_RETRY_LIST };

static const char *const reuse_words[] = {
#define X(symbol, word) word,
	PROXY_REUSE(X)
#undef X
	    NULL
};

static const char *const retry_words[] = {
#define X(symbol, word) word,
	PROXY_RETRY(X)
#undef X
	    NULL
};

static const char *const verify_words[] = { "none", "peek", "options", NULL };
static const char *const probe_words[] = { "none", "expect", "fresh", NULL };
static const char *const truth_words[] = { "false", "true", NULL };

struct row {
	const char *group, *name;
	enum kind kind;
	size_t offset;
	const char *const *words; /* KIND_WORD */
	int min, max;		  /* KIND_NUMBER */
	int value;		  /* the default: a number or a word's place */
	const char *help;
};

enum { DAY_MS = 24 * 60 * 60 * 1000, MANY = 1000000, MIB = 1024 * 1024 };

#define WORD(group, name, words, value, help)                                  \
	{                                                                      \
		group, #name, KIND_WORD, offsetof(struct proxy_options, name), \
		    words, 0, 0, value, help                                   \
	}
#define NUMBER(group, name, min, max, value, help)                        \
	{                                                                 \
		group, #name, KIND_NUMBER,                                \
		    offsetof(struct proxy_options, name), NULL, min, max, \
		    value, help                                           \
	}

static const struct row rows[] = {
	{ "Backend", "upstream", KIND_ADDRESSES, 0, NULL, 0, 0, 0,
	    "where the backend listens; several take turns" },

	WORD("Pool", reuse, reuse_words, REUSE_ALWAYS,
	    "which requests may ride a pooled connection"),
	WORD("Pool", verify, verify_words, VERIFY_PEEK,
	    "how a connection is looked at before it is used"),
	WORD("Pool", probe_unsafe, probe_words, PROBE_NONE,
	    "spare what must not be repeated a pooled connection that is dead"),
	NUMBER("Pool", pool_size, 0, MANY, 128,
	    "idle connections kept, of each upstream"),
	NUMBER("Pool", spares, 0, 1000, 0,
	    "idle connections opened ahead, of each upstream"),
	NUMBER("Pool", max_uses, 0, MANY, 0,
	    "requests on one connection; 0: no limit"),
	NUMBER("Pool", idle_timeout_ms, 0, DAY_MS, 60000,
	    "an idle upstream connection is closed; 0: never"),
	WORD("Pool", honour_keep_alive, truth_words, 1,
	    "heed the backend's Keep-Alive: timeout=, max="),
	NUMBER("Pool", keep_alive_margin_ms, 0, DAY_MS, 1000,
	    "closed that long before its timeout= is over"),

	WORD("Retry", retry, retry_words, RETRY_IDEMPOTENT,
	    "which failed requests are sent again"),
	NUMBER("Retry", retries, 0, 100, 1, "automatic retries of one request"),
	NUMBER("Retry", backoff_ms, 0, DAY_MS, 0,
	    "wait before the first retry, doubled for each more"),
	NUMBER("Retry", replay_bytes, 0, 64 * MIB, 65536,
	    "request body kept for a retry"),
	{ "Retry", "retry_list", KIND_RETRY_LIST, 0, NULL, 0, 0, 0,
	    "requests known to be repeatable, for retry listed" },

	WORD("Clients", persist_client, truth_words, 1,
	    "keep a client's connection for its next request"),
	NUMBER("Clients", head_bytes, 256, MIB, 32768,
	    "size of a request or response head, interim ones together"),

	NUMBER("Timeouts", head_timeout_ms, 0, DAY_MS, 60000,
	    "a whole request head, from its first byte on; 0: no limit"),
	NUMBER("Timeouts", client_timeout_ms, 0, DAY_MS, 60000,
	    "a client that sends or takes nothing; 0: no limit"),
	NUMBER("Timeouts", connect_timeout_ms, 0, DAY_MS, 5000,
	    "until a connection is made, or verified; 0: no limit"),
	NUMBER("Timeouts", connect_pause_ms, 0, DAY_MS, 1000,
	    "no connection is tried for so long after such a timeout"),
	NUMBER("Timeouts", response_timeout_ms, 0, DAY_MS, 60000,
	    "until the response's next byte; 0: no limit"),
	NUMBER("Timeouts", tunnel_timeout_ms, 0, DAY_MS, 3600000,
	    "a tunnel (Upgrade) in which nothing moves; 0: no limit"),
	NUMBER("Timeouts", linger_ms, 0, DAY_MS, 2000,
	    "wait for the client to close behind its last answer"),
};

enum { N_ROWS = sizeof rows / sizeof *rows };

/* An enum and an int are stored alike here; the assertion keeps it true. */
_Static_assert(sizeof(enum reuse_policy) == sizeof(int) &&
	sizeof(enum retry_policy) == sizeof(int) &&
	sizeof(enum proxy_verify) == sizeof(int) &&
	sizeof(enum proxy_probe) == sizeof(int),
    "words are stored as int");

static void
store(struct proxy_options *o, const struct row *row, int value)
{
	memcpy((char *)o + row->offset, &value, sizeof value);
}

void
proxy_options_init(struct proxy_options *o)
{
	memset(o, 0, sizeof *o);
	for (size_t i = 0; i < N_ROWS; i++)
		if (rows[i].kind == KIND_WORD || rows[i].kind == KIND_NUMBER)
			store(o, &rows[i], rows[i].value);
}

static void
describe_allowed(const struct row *row, char *out, size_t size)
{
	size_t n = 0;

	switch (row->kind) {
	case KIND_ADDRESSES:
		snprintf(
		    out, size, PLACE_FORMS "; up to %d", PROXY_UPSTREAMS_MAX);
		break;
	case KIND_RETRY_LIST:
		snprintf(out, size, "METHOD path-pattern");
		break;
	case KIND_NUMBER:
		snprintf(out, size, "%d to %d", row->min, row->max);
		break;
	case KIND_WORD:
		for (size_t i = 0; row->words[i] != NULL && n < size; i++)
			n += (size_t)snprintf(out + n, size - n, "%s%s",
			    i > 0 ? ", " : "", row->words[i]);
		break;
	}
}

static int
add_address(
    struct proxy_options *o, const char *value, char *why, size_t why_size)
{
	struct place place;

	if (o->n_upstreams == PROXY_UPSTREAMS_MAX ||
	    place_parse(&place, value, why, why_size) != 0 ||
	    place_has_no_port(&place))
		return -1;
	o->upstreams[o->n_upstreams++] = place;
	return 0;
}

static int
set_number(struct proxy_options *o, const struct row *row, const char *value)
{
	char *end;
	long n;

	if (*value < '0' || *value > '9')
		return -1;
	n = strtol(value, &end, 10);
	if (*end != '\0' || n < row->min || n > row->max)
		return -1;
	store(o, row, (int)n);
	return 0;
}

static int
set_word(struct proxy_options *o, const struct row *row, const char *value)
{
	for (int i = 0; row->words[i] != NULL; i++) {
		if (strcmp(row->words[i], value) == 0) {
			store(o, row, i);
			return 0;
		}
	}
	return -1;
}

/* Returns: 0, or -1; where error is empty, the value is not allowed. */
static int
set_row(struct proxy_options *o, const struct row *row, const char *value,
    char *error, size_t error_size)
{
	switch (row->kind) {
	case KIND_ADDRESSES:
		return add_address(o, value, error, error_size);
	case KIND_NUMBER:
		return set_number(o, row, value);
	case KIND_WORD:
		return set_word(o, row, value);
	case KIND_RETRY_LIST:
		return retry_list_add(
		    &o->retry_list, value, strlen(value), error, error_size);
	}
	return -1;
}

static int
tell_unknown(const char *name, char *error, size_t error_size)
{
	size_t n = (size_t)snprintf(
	    error, error_size, "'%s' is not an option; allowed:", name);

	for (size_t i = 0; i < N_ROWS && n < error_size; i++)
		n += (size_t)snprintf(error + n, error_size - n, "%s %s",
		    i > 0 ? "," : "", rows[i].name);
	return -1;
}

int
proxy_options_set(struct proxy_options *o, const char *name, const char *value,
    char *error, size_t error_size)
{
	char allowed[128], why[256] = "";
	size_t i = 0;

	while (i < N_ROWS && strcmp(rows[i].name, name) != 0)
		i++;
	if (i == N_ROWS)
		return tell_unknown(name, error, error_size);
	if (set_row(o, &rows[i], value, why, sizeof why) == 0)
		return 0;
	describe_allowed(&rows[i], allowed, sizeof allowed);
	if (*why != '\0' && rows[i].kind == KIND_ADDRESSES)
		snprintf(error, error_size,
		    "%s: '%s' is not allowed; allowed: %s (%s)", name, value,
		    allowed, why);
	else if (*why != '\0')
		snprintf(error, error_size, "%s: %s", name, why);
	else
		snprintf(error, error_size,
		    "%s: '%s' is not allowed; allowed: %s", name, value,
		    allowed);
	return -1;
}

int
proxy_options_check(
    const struct proxy_options *o, char *error, size_t error_size)
{
	if (o->n_upstreams == 0)
		snprintf(error, error_size, "upstream is missing");
	else if (o->spares > o->pool_size)
		snprintf(error, error_size,
		    "spares: %d is more than pool_size (%d) keeps; allowed:"
		    " 0 to pool_size",
		    o->spares, o->pool_size);
	else if (o->spares > 0 && o->reuse == REUSE_NEVER)
		snprintf(error, error_size,
		    "spares: with reuse never nobody may ride one; allowed:"
		    " 0, or another reuse");
	else
		return 0;
	return -1;
}

static void
write_value(const struct row *row, int value, char out[64])
{
	out[0] = '\0';
	if (row->kind == KIND_NUMBER)
		snprintf(out, 64, "%d", value);
	if (row->kind == KIND_WORD)
		snprintf(out, 64, "%s", row->words[value]);
}

void
proxy_options_value(const struct proxy_options *o, size_t n, char value[64])
{
	int set;

	memcpy(&set, (const char *)o + rows[n].offset, sizeof set);
	write_value(&rows[n], set, value);
}

int
proxy_options_describe(size_t n, struct proxy_option *option)
{
	const struct row *row;

	if (n >= N_ROWS)
		return -1;
	row = &rows[n];
	option->group = row->group;
	option->name = row->name;
	option->help = row->help;
	write_value(row, row->value, option->value);
	describe_allowed(row, option->allowed, sizeof option->allowed);
	return 0;
}
