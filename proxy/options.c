/* options.c - see options.h.  One row of the table per option. */
#include "proxy/options.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum kind { KIND_ADDRESS, KIND_WORD, KIND_NUMBER, KIND_PATTERN };

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

static const char *const verify_words[] = { "none", "peek", NULL };
static const char *const truth_words[] = { "false", "true", NULL };

struct row {
	const char *name;
	enum kind kind;
	size_t offset;
	const char *const *words; /* KIND_WORD */
	int min, max;		  /* KIND_NUMBER */
	int value;		  /* the default: a number or a word's place */
	const char *help;
};

#define AT(member) offsetof(struct proxy_options, member)

enum { DAY_MS = 24 * 60 * 60 * 1000, MANY = 1000000, MIB = 1024 * 1024 };

static const struct row rows[] = {
	{ "upstream", KIND_ADDRESS, AT(upstream), NULL, 0, 0, 0,
	    "where the backend listens" },
	{ "reuse", KIND_WORD, AT(reuse), reuse_words, 0, 0, REUSE_ALWAYS,
	    "which requests may ride a pooled connection" },
	{ "retry", KIND_WORD, AT(retry), retry_words, 0, 0, RETRY_IDEMPOTENT,
	    "which failed requests are sent again" },
	{ "retries", KIND_NUMBER, AT(retries), NULL, 0, 100, 1,
	    "automatic retries of one request" },
	{ "backoff_ms", KIND_NUMBER, AT(backoff_ms), NULL, 0, DAY_MS, 0,
	    "wait before the first retry, doubled for each more" },
	{ "retry_list", KIND_PATTERN, AT(retry_list), NULL, 0, 0, 0,
	    "a request known to be repeatable; may be given several times" },
	{ "verify", KIND_WORD, AT(verify), verify_words, 0, 0, VERIFY_PEEK,
	    "how a pooled connection is looked at before reuse" },
	{ "pool_size", KIND_NUMBER, AT(pool_size), NULL, 0, MANY, 128,
	    "idle connections kept" },
	{ "max_uses", KIND_NUMBER, AT(max_uses), NULL, 0, MANY, 0,
	    "requests on one connection; 0: no limit" },
	{ "idle_timeout_ms", KIND_NUMBER, AT(idle_timeout_ms), NULL, 0, DAY_MS,
	    60000, "an idle upstream connection is closed; 0: never" },
	{ "honour_keep_alive", KIND_WORD, AT(honour_keep_alive), truth_words, 0,
	    0, 1, "heed the backend's Keep-Alive: timeout=, max=" },
	{ "keep_alive_margin_ms", KIND_NUMBER, AT(keep_alive_margin_ms), NULL,
	    0, DAY_MS, 1000, "closed that long before its timeout= is over" },
	{ "connect_timeout_ms", KIND_NUMBER, AT(connect_timeout_ms), NULL, 0,
	    DAY_MS, 5000, "until a connection is made; 0: no limit" },
	{ "response_timeout_ms", KIND_NUMBER, AT(response_timeout_ms), NULL, 0,
	    DAY_MS, 60000, "until the response's next byte; 0: no limit" },
	{ "client_timeout_ms", KIND_NUMBER, AT(client_timeout_ms), NULL, 0,
	    DAY_MS, 60000,
	    "a client that sends or takes nothing; 0: no limit" },
	{ "linger_ms", KIND_NUMBER, AT(linger_ms), NULL, 0, DAY_MS, 2000,
	    "wait for the client to close behind its last answer" },
	{ "replay_bytes", KIND_NUMBER, AT(replay_bytes), NULL, 0, 64 * MIB,
	    65536, "request body kept for a retry" },
	{ "head_bytes", KIND_NUMBER, AT(head_bytes), NULL, 256, MIB, 32768,
	    "size of a request or response head that is accepted" },
};

enum { N_ROWS = sizeof rows / sizeof *rows };

/* An enum and an int are stored alike here; the assertion keeps it true. */
_Static_assert(sizeof(enum reuse_policy) == sizeof(int) &&
	sizeof(enum retry_policy) == sizeof(int) &&
	sizeof(enum proxy_verify) == sizeof(int),
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
	case KIND_ADDRESS:
		snprintf(out, size, "ADDR:PORT");
		break;
	case KIND_PATTERN:
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
set_address(struct proxy_options *o, const struct row *row, const char *value)
{
	struct sockaddr_in sin = { .sin_family = AF_INET };
	const char *colon = strrchr(value, ':');
	char address[INET_ADDRSTRLEN], *end;
	long port;

	if (colon == NULL || (size_t)(colon - value) >= sizeof address ||
	    colon[1] < '0' || colon[1] > '9')
		return -1;
	memcpy(address, value, (size_t)(colon - value));
	address[colon - value] = '\0';
	port = strtol(colon + 1, &end, 10);
	if (*end != '\0' || port < 1 || port > 65535 ||
	    inet_pton(AF_INET, address, &sin.sin_addr) != 1)
		return -1;
	sin.sin_port = htons((unsigned short)port);
	memcpy((char *)o + row->offset, &sin, sizeof sin);
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

/* "METHOD path-pattern" */
static int
add_pattern(struct proxy_options *o, const char *value)
{
	struct retry_pattern *p = &o->retry_list[o->n_retry_list];
	const char *space = strchr(value, ' ');
	size_t n = space == NULL ? 0 : (size_t)(space - value);

	if (o->n_retry_list == RETRY_LIST_MAX || n == 0 ||
	    n >= sizeof p->method || space[1] == '\0' ||
	    strchr(space + 1, ' ') != NULL ||
	    strlen(space + 1) >= sizeof p->path)
		return -1;
	memcpy(p->method, value, n);
	p->method[n] = '\0';
	strcpy(p->path, space + 1);
	o->n_retry_list++;
	return 0;
}

static int
set_row(struct proxy_options *o, const struct row *row, const char *value)
{
	switch (row->kind) {
	case KIND_ADDRESS:
		return set_address(o, row, value);
	case KIND_NUMBER:
		return set_number(o, row, value);
	case KIND_WORD:
		return set_word(o, row, value);
	case KIND_PATTERN:
		return add_pattern(o, value);
	}
	return -1;
}

int
proxy_options_set(struct proxy_options *o, const char *name, const char *value,
    char *error, size_t error_size)
{
	char allowed[128];
	size_t n = 0;

	for (size_t i = 0; i < N_ROWS; i++) {
		if (strcmp(rows[i].name, name) != 0)
			continue;
		if (set_row(o, &rows[i], value) == 0)
			return 0;
		describe_allowed(&rows[i], allowed, sizeof allowed);
		snprintf(error, error_size,
		    "%s: '%s' is not allowed; allowed: %s", name, value,
		    allowed);
		return -1;
	}
	n = (size_t)snprintf(
	    error, error_size, "'%s' is not an option; allowed:", name);
	for (size_t i = 0; i < N_ROWS && n < error_size; i++)
		n += (size_t)snprintf(error + n, error_size - n, "%s %s",
		    i > 0 ? "," : "", rows[i].name);
	return -1;
}

int
proxy_options_describe(size_t n, const char **name, const char **help,
    char value[64], char allowed[128])
{
	const struct row *row;

	if (n >= N_ROWS)
		return -1;
	row = &rows[n];
	*name = row->name;
	*help = row->help;
	value[0] = '\0';
	if (row->kind == KIND_NUMBER)
		snprintf(value, 64, "%d", row->value);
	if (row->kind == KIND_WORD)
		snprintf(value, 64, "%s", row->words[row->value]);
	describe_allowed(row, allowed, 128);
	return 0;
}
