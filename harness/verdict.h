/* verdict.h - what became of a request.  Pure: the client's bytes and the
 * backend's ledger, as facts, go in; one of eight words comes out.
 */
#ifndef HARNESS_VERDICT_H
#define HARNESS_VERDICT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* In this order: the first that fits.
 *	symbol			word		*/
#define VERDICTS(X)                                                      \
	X(VERDICT_GARBLED, "garbled",                                    \
	    "the client got a cut, altered or foreign response that "    \
	    "looks complete")                                            \
	X(VERDICT_TWICE, "twice", "it was executed more than once")      \
	X(VERDICT_PHANTOM, "phantom",                                    \
	    "never executed, and the client got a complete success")     \
	X(VERDICT_HUNG, "hung",                                          \
	    "the client got neither a complete response nor a close in " \
	    "time")                                                      \
	X(VERDICT_GHOST, "ghost",                                        \
	    "executed, but the client was told that it failed, or cut "  \
	    "off")                                                       \
	X(VERDICT_REFUSED, "refused",                                    \
	    "never executed, and the client was told so, or cut off")    \
	X(VERDICT_CLEAN, "clean",                                        \
	    "executed once, and the client got its complete answer")     \
	X(VERDICT_UNKNOWN, "unknown",                                    \
	    "how often it was executed cannot be told, and that decides")

#define X(symbol, word, meaning) symbol,
enum verdict_name { VERDICTS(X) N_VERDICTS };
#undef X

const char *verdict_word(enum verdict_name);
const char *verdict_meaning(enum verdict_name);

struct verdict_facts {
	/* How often, over all attempts: at least, and at most.  They differ
	 * where a server of the user's was given a request and never answered
	 * it. */
	unsigned executed, executed_max;

	/* What the client holds. */
	bool complete; /* a whole final response */
	bool timeout;
	int status;	    /* 0: none */
	unsigned long mark; /* 0: it carries none */
	uint64_t body_size, body_hash;
	bool to_head; /* it answers a HEAD */

	/* What the ledger knows of that mark. */
	bool mark_known;
	bool mark_own;	/* it belongs to this very request */
	bool mark_said; /* a `say`, not an answer of the handler */
	int mark_status;
	uint64_t mark_body_size, mark_body_hash;

	/* The backend marks its responses (not with a user's own server
	 * behind the valve): then one without a mark is not from it. */
	bool marks;
	/* Only then it counts: a whole response to it has left the server, so
	 * that an error need not be the proxy's. */
	bool answered;
};

/* Returns: the verdict that fits every number of executions that there may have
 * been; VERDICT_UNKNOWN where no single one does. */
enum verdict_name verdict_judge(const struct verdict_facts *);

/* What decided the race, from the weakest to the strongest: nothing was ended;
 * the close was over before; request and close crossed; the request itself
 * triggered the end; it was held at a checkpoint of our own proxy. */
#define ORDERS(X)                     \
	X(ORDER_NONE, "none")         \
	X(ORDER_SETTLED, "settled")   \
	X(ORDER_CROSSING, "crossing") \
	X(ORDER_CAUSED, "caused")     \
	X(ORDER_HELD, "held")

#define X(symbol, word) symbol,
enum order { ORDERS(X) N_ORDERS };
#undef X

const char *verdict_order_word(enum order);

#endif
