/* options.h - every option of the proxy, by name: the one place where a name,
 * its allowed values, its default and its help text stand.  Command line and
 * scripts both go through here, so they use the same words.
 */
#ifndef PROXY_OPTIONS_H
#define PROXY_OPTIONS_H

#include <netinet/in.h>
#include <stddef.h>

#include "proxy/retry.h"

enum proxy_verify {
	VERIFY_NONE,
	VERIFY_PEEK /* look at the socket before reuse */
};

#define RETRY_LIST_MAX 64

/* One line of the list of requests known to be repeatable (R6). */
struct retry_pattern {
	char method[16]; /* or "*" */
	/* shell pattern, matched against the path without its query; '*'
	 * matches '/' too */
	char path[240];
};

struct proxy_options {
	struct sockaddr_in upstream; /* "ADDR:PORT" */

	enum reuse_policy reuse;
	enum retry_policy retry;
	int retries; /* automatic retries of one request */
	/* before the first retry; doubles; 0: none */
	int backoff_ms;
	struct retry_pattern retry_list[RETRY_LIST_MAX];
	size_t n_retry_list;

	enum proxy_verify verify;
	int pool_size; /* idle connections kept */
	/* requests on one connection; 0: no limit */
	int max_uses;
	int idle_timeout_ms;	  /* an idle upstream connection */
	int honour_keep_alive;	  /* Keep-Alive: timeout=, max= */
	int keep_alive_margin_ms; /* closed that long before the hint */

	int connect_timeout_ms;
	int response_timeout_ms; /* until the next byte of a response */
	int client_timeout_ms;	 /* a client that sends or takes nothing */
	int linger_ms;		 /* lingering close (RFC 9112 9.6) */

	int replay_bytes; /* request body kept for a retry */
	int head_bytes;	  /* request or response head accepted */
};

/* Fill in the defaults; upstream is left unset (port 0). */
void proxy_options_init(struct proxy_options *);

/* Set one option from text.  "retry_list" may be given several times, each
 * adding one "METHOD path-pattern".
 *
 * Returns: 0, or -1 with a sentence in error that names the option and the
 *          allowed values.
 */
int proxy_options_set(struct proxy_options *, const char *name,
    const char *value, char *error, size_t error_size);

/* The n-th option, for help texts and for the list of allowed names.
 *
 * Returns: 0, or -1 past the end.  The strings are static, except that value
 *          (the default) and allowed are written into the caller's buffers.
 */
int proxy_options_describe(size_t n, const char **name, const char **help,
    char value[64], char allowed[128]);

#endif
