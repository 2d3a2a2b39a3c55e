/* options.h - every option of the proxy, by name: the one place where a name,
 * its allowed values, its default and its help text stand.  Command line and
 * scripts both go through here, so they use the same words.
 */
#ifndef PROXY_OPTIONS_H
#define PROXY_OPTIONS_H

#include <stddef.h>

#include "proxy/place.h"
#include "proxy/retry.h"
#include "proxy/retry_list.h"

#define PROXY_UPSTREAMS_MAX 16

enum proxy_verify {
	VERIFY_NONE,
	VERIFY_PEEK,   /* look at the socket */
	VERIFY_OPTIONS /* look, then ask with an OPTIONS * of our own */
};

/* What keeps a request that must not be repeated off a connection that may be
 * dead. */
enum proxy_probe {
	PROBE_NONE,
	PROBE_EXPECT, /* its body waits for a 100 (RFC 9110 10.1.1) */
	PROBE_FRESH   /* it gets a fresh connection */
};

struct proxy_options {
	struct place upstreams[PROXY_UPSTREAMS_MAX];
	size_t n_upstreams;

	enum reuse_policy reuse;
	enum proxy_verify verify;
	enum proxy_probe probe_unsafe;
	int pool_size; /* idle connections kept, of each upstream */
	int spares;    /* idle connections opened ahead, of each upstream */
	/* requests on one connection; 0: no limit */
	int max_uses;
	int idle_timeout_ms;	  /* an idle upstream connection */
	int honour_keep_alive;	  /* Keep-Alive: timeout=, max= */
	int keep_alive_margin_ms; /* closed that long before the hint */

	enum retry_policy retry;
	int retries; /* automatic retries of one request */
	/* before the first retry; doubles; 0: none */
	int backoff_ms;
	int replay_bytes; /* request body kept for a retry */
	struct retry_list retry_list;

	int persist_client; /* keep a client's connection */
	/* request or response head accepted; all interim ones count as one */
	int head_bytes;
	int head_timeout_ms;	 /* a request head, from its first byte on */
	int client_timeout_ms;	 /* a client that sends or takes nothing */
	int connect_timeout_ms;	 /* until connected, and verified */
	int connect_pause_ms;	 /* … after which none is tried */
	int response_timeout_ms; /* until the next byte of a response */
	int tunnel_timeout_ms;	 /* a tunnel in which nothing moves */
	int linger_ms;		 /* lingering close (RFC 9112 9.6) */
};

/* Fill in the defaults; there is no upstream yet. */
void proxy_options_init(struct proxy_options *);

/* Set one option from text.  "upstream" and "retry_list" may be given several
 * times, each adding to what was there.
 *
 * Returns: 0, or -1 with a sentence in error that names the option and the
 *          allowed values; then nothing was changed.
 */
int proxy_options_set(struct proxy_options *, const char *name,
    const char *value, char *error, size_t error_size);

/* Do they go together?  Returns: 0, or -1 with a sentence that names the
 * option. */
int proxy_options_check(
    const struct proxy_options *, char *error, size_t error_size);

struct proxy_option {
	const char *name, *group, *help; /* static */
	char value[64];			 /* the default */
	char allowed[128];
};

/* The n-th option, for help texts and for the list of allowed names; those of
 * a group stand together.  Returns: 0, or -1 past the end. */
int proxy_options_describe(size_t n, struct proxy_option *);

/* The n-th option as it is set, in the words in which it was; "" for what is a
 * list.  Needs: there is an n-th. */
void proxy_options_value(
    const struct proxy_options *, size_t n, char value[64]);

#endif
