/* tables.c - what retry.c decides, as tables for proxy/README.md: asked of the
 * functions themselves, for every case.
 *
 *	tables		writes them to its standard output
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "proxy/retry.h"

static const char *const reuse_words[] = {
#define X(symbol, word) word,
	PROXY_REUSE(X)
#undef X
};

static const char *const retry_words[] = {
#define X(symbol, word) word,
	PROXY_RETRY(X)
#undef X
};

static const struct {
	const char *name;
	struct request_facts facts;
} requests[] = {
	{ "GET, HEAD: no query, cookie, credentials or body",
	    { .idempotent = true, .is_static = true, .replayable = true } },
	{ "another GET or HEAD; OPTIONS, TRACE, PUT, DELETE",
	    { .idempotent = true, .replayable = true } },
	{ "POST and all others, on the list or with an Idempotency-Key",
	    { .listed = true, .replayable = true } },
	{ "POST and all others", { .replayable = true } },
};

enum { N_REQUESTS = sizeof requests / sizeof *requests };

/* Attempts of which the policy is not asked; retries are left but where one
 * says otherwise. */
static const struct {
	const char *name;
	struct attempt facts;
	bool none_left;
} attempts[] = {
	{ "a byte of a final response came, then the end",
	    { .sent = 99, .received = 9, .received_final = 9 }, false },
	{ "the response took too long", { .sent = 99, .timed_out = true },
	    false },
	{ "nothing was sent: a pooled connection is dead",
	    { .reused = true, .peer_closed = true }, false },
	{ "nothing was sent: another upstream was not tried yet",
	    { .others_left = true }, false },
	{ "nothing was sent: a fresh connection took too long to make",
	    { .timed_out = true }, false },
	{ "nothing was sent: none was made, it had taken too long a moment ago",
	    { .shunned = true }, false },
	{ "nothing was sent: a fresh connection was refused", { 0 }, false },
	{ "nothing was sent: a fresh connection ended at once",
	    { .peer_closed = true }, false },
	{ "… and so did one before it",
	    { .peer_closed = true, .fresh_unsent_before = true }, false },
	{ "… and no retry is left",
	    { .peer_closed = true, .fresh_unsent_before = true }, true },
	{ "a backend that was asked (`verify options`) answered and closed",
	    { .peer_closed = true, .probing = true, .probe_answered = true },
	    true },
	{ "… gave no answer, on a pooled connection",
	    { .reused = true, .peer_closed = true, .probing = true }, true },
	{ "… on a fresh one", { .peer_closed = true, .probing = true }, true },
	{ "… nor on one before it",
	    { .peer_closed = true,
		.probing = true,
		.fresh_unsent_before = true },
	    false },
	{ "… and no retry is left",
	    { .peer_closed = true,
		.probing = true,
		.fresh_unsent_before = true },
	    true },
	{ "… took too long, on a fresh one",
	    { .peer_closed = true, .probing = true, .timed_out = true },
	    false },
	{ "… and on one before it",
	    { .peer_closed = true,
		.probing = true,
		.timed_out = true,
		.fresh_unsent_before = true },
	    false },
	{ "only the head was sent, whose `probe_unsafe expect` was refused"
	  " (417)",
	    { .sent = 99,
		.received = 60,
		.received_final = 60,
		.body_withheld = true,
		.expect_refused = true },
	    true },
};

enum { N_ATTEMPTS = sizeof attempts / sizeof *attempts };

/* Attempts of which the policy is asked. */
static const struct attempt lost = { .sent = 99, .peer_closed = true };

static const char *
action(struct retry_decision d)
{
	return d.action == RETRY_GIVE_UP ? "tell the client"
	    : d.action == RETRY_AGAIN	 ? "**retry**"
					 : "elsewhere";
}

static void
head(const char *first, const char *const *words, size_t n)
{
	printf("| %s |", first);
	for (size_t i = 0; i < n; i++)
		printf(" `%s` |", words[i]);
	printf("\n|---|");
	for (size_t i = 0; i < n; i++)
		printf("---|");
	printf("\n");
}

static void
show_reuse(void)
{
	head("may it ride a pooled connection? `reuse`", reuse_words, N_REUSE);
	for (size_t i = 0; i < N_REQUESTS; i++) {
		printf("| %s |", requests[i].name);
		for (int p = 0; p < N_REUSE; p++)
			printf(" %s |",
			    reuse_decide(
				(enum reuse_policy)p, &requests[i].facts)
					.action == RETRY_AGAIN
				? "yes"
				: "no");
		printf("\n");
	}
}

static bool
is_same(struct retry_decision a, struct retry_decision b)
{
	return a.action == b.action && strcmp(a.why, b.why) == 0;
}

/* The same whatever the policy and the request: proved, not claimed. */
static void
show_facts(void)
{
	printf("| what is known of the attempt | the proxy | the reason that"
	       " it gives |\n|---|---|---|\n");
	for (size_t i = 0; i < N_ATTEMPTS; i++) {
		unsigned left = attempts[i].none_left ? 0 : 1;
		struct retry_decision d = retry_decide(
		    RETRY_NEVER, &requests[0].facts, &attempts[i].facts, left);

		for (int p = 0; p < N_RETRY; p++)
			for (size_t r = 0; r < N_REQUESTS; r++)
				if (!is_same(d,
					retry_decide((enum retry_policy)p,
					    &requests[r].facts,
					    &attempts[i].facts, left)))
					abort();
		printf(
		    "| %s | %s | %s |\n", attempts[i].name, action(d), d.why);
	}
}

static void
show_policies(void)
{
	head("something was sent, then the connection ended: `retry`",
	    retry_words, N_RETRY);
	for (size_t i = 0; i < N_REQUESTS; i++) {
		printf("| %s |", requests[i].name);
		for (int p = 0; p < N_RETRY; p++) {
			struct retry_decision d = retry_decide(
			    (enum retry_policy)p, &requests[i].facts, &lost, 1);

			printf(" %s: %s |", action(d), d.why);
		}
		printf("\n");
	}
}

/* What stands against a retry that the policy allows. */
static void
show_limits(void)
{
	struct request_facts long_body = requests[1].facts;
	struct attempt stale = lost, withheld = lost, refused = lost;

	long_body.replayable = false;
	stale.reused = stale.stale_408 = true;
	stale.received = stale.received_final = 99;
	withheld.body_withheld = true;
	refused.received = refused.received_final = 99;
	refused.expect_refused = true;
	printf("| and then | `idempotent`, a PUT | `idempotent`, a POST |\n"
	       "|---|---|---|\n");
#define SHOW(name, put, attempt, left)                                       \
	do {                                                                 \
		struct retry_decision a =                                    \
		    retry_decide(RETRY_IDEMPOTENT, put, attempt, left);      \
		struct retry_decision b = retry_decide(                      \
		    RETRY_IDEMPOTENT, &requests[3].facts, attempt, left);    \
                                                                             \
		printf("| %s | %s: %s | %s: %s |\n", name, action(a), a.why, \
		    action(b), b.why);                                       \
	} while (0)
	SHOW("the `retries` are used up", &requests[1].facts, &lost, 0);
	SHOW("the body went past `replay_bytes`", &long_body, &lost, 1);
	SHOW("a 408 that crossed it on a pooled connection (R8)",
	    &requests[1].facts, &stale, 1);
	SHOW("its body still waited for a 100 (`probe_unsafe expect`)",
	    &requests[1].facts, &withheld, 1);
	SHOW("the Expect of `probe_unsafe expect` was refused (417) behind its"
	     " body",
	    &requests[1].facts, &refused, 1);
}

int
main(void)
{
	show_reuse();
	printf("\n");
	show_facts();
	printf("\n");
	show_policies();
	printf("\n");
	show_limits();
	return fflush(stdout) == 0 ? 0 : 1;
}
