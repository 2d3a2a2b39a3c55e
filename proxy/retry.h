/* retry.h - may a request ride a pooled connection, and may a failed attempt
 * be sent again?  Pure functions: facts in, a decision and its reason out.
 *
 * Sources: RFC 9110 9.2.2 (idempotent methods, automatic retries), 10.1.1
 * (417 to an Expect), 15.5.9 (408 on a connection that was reused); RFC 9112 9.3, 9.5; RFC 2616 8.1.4 (software that knows a request to
 * be repeatable).
 */
#ifndef PROXY_RETRY_H
#define PROXY_RETRY_H

#include <stdbool.h>
#include <stddef.h>

/*	symbol		word		*/
#define PROXY_REUSE(X)                    \
	X(REUSE_NEVER, "never")           \
	X(REUSE_STATIC, "static")         \
	X(REUSE_IDEMPOTENT, "idempotent") \
	X(REUSE_ALWAYS, "always")

#define PROXY_RETRY(X)                    \
	X(RETRY_NEVER, "never")           \
	X(RETRY_STATIC, "static")         \
	X(RETRY_IDEMPOTENT, "idempotent") \
	X(RETRY_LISTED, "listed")         \
	X(RETRY_ALWAYS, "always")

#define X(symbol, word) symbol,
enum reuse_policy { PROXY_REUSE(X) N_REUSE };
enum retry_policy { PROXY_RETRY(X) N_RETRY };
#undef X

/* What is known about a request before it is sent. */
struct request_facts {
	bool idempotent; /* RFC 9110 9.2.2 */
	/* GET or HEAD, no query, Cookie, Authorization or body */
	bool is_static;
	bool listed;	 /* the retry list or an Idempotency-Key */
	bool replayable; /* every body byte sent so far is kept */
};

/* What is known about one attempt once it is over: facts, no opinion. */
struct attempt {
	bool reused;   /* the connection came from the pool */
	bool verified; /* it has carried an exchange of our own before */
	/* on a fresh connection nothing was sent of this request before */
	bool fresh_unsent_before;
	bool others_left;      /* there is an upstream that was not tried yet */
	size_t sent;	       /* request bytes that the kernel accepted */
	size_t received;       /* response bytes read, of any kind */
	size_t received_final; /* of these, bytes of the final response */
	int error;	       /* first errno of the connection, 0 if none */
	bool peer_closed;      /* FIN or RST was seen */
	bool timed_out;	       /* connect, probe or response timeout */
	/* none was made: it had taken too long a moment ago */
	bool shunned;
	/* it ended while the backend was asked whether it is alive */
	bool probing;
	bool probe_answered; /* … and had answered, at least with a head */
	bool body_withheld;  /* it waited for a 100 that did not come */
	/* the final response was a 408 with close on a reused connection
	 * (R8) */
	bool stale_408;
	/* the final response was a 417, and the Expect was the proxy's own */
	bool expect_refused;
};

enum retry_action {
	RETRY_GIVE_UP, /* tell the client */
	RETRY_AGAIN,   /* an automatic retry; uses up one retry */
	/* nothing was sent, or nothing but the head with an Expect that was
	 * refused: choosing another connection is no retry (R7) */
	RETRY_ELSEWHERE
};

struct retry_decision {
	enum retry_action action;
	const char *why; /* static string, never NULL */
};

/* May this request ride a pooled connection?  Returns: RETRY_AGAIN where it
 * may, RETRY_ELSEWHERE where it must have a fresh one. */
struct retry_decision reuse_decide(
    enum reuse_policy, const struct request_facts *);

/* The attempt has failed; what now?
 *
 * retries_left: automatic retries that the configuration still allows.
 */
struct retry_decision retry_decide(enum retry_policy,
    const struct request_facts *, const struct attempt *,
    unsigned retries_left);

#endif
