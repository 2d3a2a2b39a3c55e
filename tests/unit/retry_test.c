#include "proxy/retry.h"
#include "check.h"

#include <errno.h>
#include <string.h>

static const struct request_facts plain_get = {
	.idempotent = true, .is_static = true, .replayable = true
};
static const struct request_facts query_get = { .idempotent = true,
	.replayable = true };
static const struct request_facts post = { .replayable = true };
static const struct request_facts listed_post = { .listed = true,
	.replayable = true };
static const struct request_facts long_put = { .idempotent = true };
static const struct request_facts long_listed = { .listed = true };

/* What can become of an attempt. */
static const struct attempt stale_fin = {
	.reused = true, .sent = 90, .peer_closed = true
};
static const struct attempt stale_rst = {
	.reused = true, .sent = 90, .error = ECONNRESET, .peer_closed = true
};
static const struct attempt fresh_fin = { .sent = 90, .peer_closed = true };
static const struct attempt unsent = {
	.reused = true, .error = ECONNRESET, .peer_closed = true
};
static const struct attempt fresh_unsent = { .error = ECONNRESET,
	.peer_closed = true };
static const struct attempt again_unsent = {
	.error = ECONNRESET, .peer_closed = true, .fresh_unsent_before = true
};
static const struct attempt refused = { .error = ECONNREFUSED };
static const struct attempt too_slow = { .timed_out = true };
static const struct attempt silent = {
	.reused = true, .sent = 90, .timed_out = true
};
static const struct attempt begun = { .reused = true,
	.sent = 90,
	.received = 1,
	.received_final = 1,
	.peer_closed = true };
static const struct attempt interim = {
	.reused = true, .sent = 90, .received = 25, .peer_closed = true
};
static const struct attempt stale_408 = { .reused = true,
	.sent = 90,
	.received = 60,
	.received_final = 60,
	.stale_408 = true };

static const struct attempt refused_one_of_two = { .error = ECONNREFUSED,
	.others_left = true };
static const struct attempt too_slow_one_of_two = { .timed_out = true,
	.others_left = true };
static const struct attempt silent_one_of_two = {
	.sent = 90, .timed_out = true, .others_left = true
};
static const struct attempt withheld = {
	.reused = true, .sent = 90, .peer_closed = true, .body_withheld = true
};

static const struct attempt shunned = { .shunned = true };
static const struct attempt shunned_one_of_two = { .shunned = true,
	.others_left = true };
static const struct attempt probed = { .peer_closed = true,
	.probing = true,
	.probe_answered = true,
	.fresh_unsent_before = true };
static const struct attempt unproved_pooled = {
	.reused = true, .peer_closed = true, .probing = true
};
static const struct attempt unproved = { .peer_closed = true, .probing = true };
static const struct attempt unproved_again = {
	.peer_closed = true, .probing = true, .fresh_unsent_before = true
};
static const struct attempt probe_too_slow = {
	.peer_closed = true, .probing = true, .timed_out = true
};
static const struct attempt probe_too_slow_again = { .peer_closed = true,
	.probing = true,
	.timed_out = true,
	.fresh_unsent_before = true };
static const struct attempt expect_refused = { .reused = true,
	.sent = 90,
	.received = 60,
	.received_final = 60,
	.body_withheld = true,
	.expect_refused = true };
static const struct attempt refused_late = {
	.sent = 93, .received = 60, .received_final = 60, .expect_refused = true
};

static const struct {
	const char *what;
	enum retry_policy policy;
	const struct request_facts *request;
	const struct attempt *attempt;
	unsigned left;
	enum retry_action action;
	const char *why;
} rows[] = {
	/* By policy: a stale connection. */
	{ "never: GET", RETRY_NEVER, &plain_get, &stale_fin, 1, RETRY_GIVE_UP,
	    "retry policy is never" },
	{ "static: plain GET", RETRY_STATIC, &plain_get, &stale_fin, 1,
	    RETRY_AGAIN, "static request" },
	{ "static: GET with a query", RETRY_STATIC, &query_get, &stale_fin, 1,
	    RETRY_GIVE_UP, "not a static request" },
	{ "idempotent: GET", RETRY_IDEMPOTENT, &query_get, &stale_fin, 1,
	    RETRY_AGAIN, "idempotent method" },
	{ "idempotent: GET, reset", RETRY_IDEMPOTENT, &query_get, &stale_rst, 1,
	    RETRY_AGAIN, "idempotent method" },
	{ "idempotent: POST", RETRY_IDEMPOTENT, &post, &stale_fin, 1,
	    RETRY_GIVE_UP, "method not idempotent" },
	{ "idempotent: POST, reset", RETRY_IDEMPOTENT, &post, &stale_rst, 1,
	    RETRY_GIVE_UP, "method not idempotent" },
	{ "idempotent: listed POST", RETRY_IDEMPOTENT, &listed_post, &stale_fin,
	    1, RETRY_GIVE_UP, "method not idempotent" },
	{ "listed: GET", RETRY_LISTED, &query_get, &stale_fin, 1, RETRY_AGAIN,
	    "idempotent method" },
	{ "listed: listed POST", RETRY_LISTED, &listed_post, &stale_fin, 1,
	    RETRY_AGAIN, "known to be repeatable" },
	{ "listed: POST", RETRY_LISTED, &post, &stale_fin, 1, RETRY_GIVE_UP,
	    "method not idempotent, request not listed" },
	{ "always: POST", RETRY_ALWAYS, &post, &stale_fin, 1, RETRY_AGAIN,
	    "retry policy is always" },
	/* A fresh connection is no different once something was sent. */
	{ "idempotent: GET, fresh", RETRY_IDEMPOTENT, &plain_get, &fresh_fin, 1,
	    RETRY_AGAIN, "idempotent method" },
	{ "idempotent: POST, fresh", RETRY_IDEMPOTENT, &post, &fresh_fin, 1,
	    RETRY_GIVE_UP, "method not idempotent" },
	/* Bounds. */
	{ "no retry left", RETRY_IDEMPOTENT, &plain_get, &stale_fin, 0,
	    RETRY_GIVE_UP, "no retry is left" },
	{ "always, no retry left", RETRY_ALWAYS, &post, &stale_fin, 0,
	    RETRY_GIVE_UP, "no retry is left" },
	{ "PUT whose body was not kept", RETRY_IDEMPOTENT, &long_put,
	    &stale_fin, 1, RETRY_GIVE_UP,
	    "the request body was too long to keep" },
	{ "listed, body not kept", RETRY_LISTED, &long_listed, &stale_fin, 1,
	    RETRY_GIVE_UP, "the request body was too long to keep" },
	/* R7: nothing was sent. */
	{ "never: unsent GET", RETRY_NEVER, &plain_get, &unsent, 1,
	    RETRY_ELSEWHERE, "nothing was sent" },
	{ "idempotent: unsent POST", RETRY_IDEMPOTENT, &post, &unsent, 0,
	    RETRY_ELSEWHERE, "nothing was sent" },
	{ "unsent on a fresh connection", RETRY_NEVER, &post, &fresh_unsent, 0,
	    RETRY_ELSEWHERE, "nothing was sent" },
	{ "unsent on a second fresh one", RETRY_NEVER, &post, &again_unsent, 1,
	    RETRY_AGAIN, "nothing was sent" },
	{ "the same, no retry left", RETRY_ALWAYS, &plain_get, &again_unsent, 0,
	    RETRY_GIVE_UP, "no retry is left" },
	{ "refused", RETRY_ALWAYS, &plain_get, &refused, 1, RETRY_GIVE_UP,
	    "no connection could be made" },
	/* Time. */
	{ "connect timeout", RETRY_ALWAYS, &plain_get, &too_slow, 1,
	    RETRY_GIVE_UP, "connecting timed out" },
	{ "response timeout", RETRY_ALWAYS, &plain_get, &silent, 1,
	    RETRY_GIVE_UP, "the response timed out" },
	{ "shunned", RETRY_ALWAYS, &plain_get, &shunned, 1, RETRY_GIVE_UP,
	    "connecting timed out a moment ago" },
	{ "shunned, one of two", RETRY_NEVER, &post, &shunned_one_of_two, 0,
	    RETRY_ELSEWHERE, "connecting timed out a moment ago" },
	/* A probe (verify options). */
	{ "answered, closed", RETRY_NEVER, &post, &probed, 0, RETRY_ELSEWHERE,
	    "the backend answered the probe and closed" },
	{ "unanswered, pooled", RETRY_NEVER, &post, &unproved_pooled, 0,
	    RETRY_ELSEWHERE, "the probe was not answered" },
	{ "unanswered", RETRY_NEVER, &post, &unproved, 0, RETRY_ELSEWHERE,
	    "the probe was not answered" },
	{ "unanswered again", RETRY_NEVER, &post, &unproved_again, 1,
	    RETRY_AGAIN, "the probe was not answered" },
	{ "the same, no retry left", RETRY_ALWAYS, &plain_get, &unproved_again,
	    0, RETRY_GIVE_UP,
	    "the probe was not answered, and no retry is left" },
	{ "probe timeout", RETRY_NEVER, &post, &probe_too_slow, 0,
	    RETRY_ELSEWHERE, "the probe timed out" },
	{ "another one", RETRY_ALWAYS, &plain_get, &probe_too_slow_again, 1,
	    RETRY_GIVE_UP, "the probe timed out" },
	/* Several upstreams. */
	{ "refused by one of two: POST", RETRY_NEVER, &post,
	    &refused_one_of_two, 0, RETRY_ELSEWHERE, "nothing was sent" },
	{ "connect timeout at one of two", RETRY_NEVER, &plain_get,
	    &too_slow_one_of_two, 0, RETRY_ELSEWHERE, "nothing was sent" },
	{ "response timeout at one of two", RETRY_ALWAYS, &plain_get,
	    &silent_one_of_two, 1, RETRY_GIVE_UP, "the response timed out" },
	/* A body that waited for a 100. */
	{ "withheld: POST", RETRY_IDEMPOTENT, &post, &withheld, 1,
	    RETRY_GIVE_UP,
	    "the request body was not sent, and the request may not be "
	    "repeated" },
	{ "withheld: PUT", RETRY_IDEMPOTENT, &query_get, &withheld, 1,
	    RETRY_AGAIN, "idempotent method" },
	{ "withheld: listed POST", RETRY_LISTED, &listed_post, &withheld, 1,
	    RETRY_AGAIN, "known to be repeatable" },
	/* R5 and its one exception, R8. */
	{ "a byte of the final response", RETRY_ALWAYS, &plain_get, &begun, 1,
	    RETRY_GIVE_UP, "a final response had begun" },
	{ "only an interim response: GET", RETRY_IDEMPOTENT, &plain_get,
	    &interim, 1, RETRY_AGAIN, "idempotent method" },
	{ "only an interim response: POST", RETRY_IDEMPOTENT, &post, &interim,
	    1, RETRY_GIVE_UP, "method not idempotent" },
	{ "a stale 408: GET", RETRY_IDEMPOTENT, &plain_get, &stale_408, 1,
	    RETRY_AGAIN, "a 408 had crossed the request" },
	{ "a stale 408: POST", RETRY_IDEMPOTENT, &post, &stale_408, 1,
	    RETRY_AGAIN, "a 408 had crossed the request" },
	{ "a stale 408, static: POST", RETRY_STATIC, &post, &stale_408, 1,
	    RETRY_AGAIN, "a 408 had crossed the request" },
	{ "a stale 408, never: GET", RETRY_NEVER, &plain_get, &stale_408, 1,
	    RETRY_GIVE_UP, "retry policy is never" },
	{ "a stale 408, no retry left", RETRY_ALWAYS, &plain_get, &stale_408, 0,
	    RETRY_GIVE_UP, "no retry is left" },
	{ "a stale 408, body not kept", RETRY_IDEMPOTENT, &long_put, &stale_408,
	    1, RETRY_GIVE_UP, "the request body was too long to keep" },
	/* A 417 to the proxy's own Expect. */
	{ "our Expect refused: POST", RETRY_NEVER, &post, &expect_refused, 0,
	    RETRY_ELSEWHERE, "the backend refused the proxy's own Expect" },
	{ "our Expect refused: PUT", RETRY_IDEMPOTENT, &query_get,
	    &expect_refused, 1, RETRY_ELSEWHERE,
	    "the backend refused the proxy's own Expect" },
	{ "our Expect refused behind the body: POST", RETRY_IDEMPOTENT, &post,
	    &refused_late, 1, RETRY_GIVE_UP,
	    "the backend refused the proxy's own Expect, and the request may "
	    "not be repeated" },
	{ "our Expect refused behind the body: listed POST", RETRY_LISTED,
	    &listed_post, &refused_late, 1, RETRY_AGAIN,
	    "known to be repeatable" },
	{ "our Expect refused, body not kept", RETRY_IDEMPOTENT, &long_put,
	    &refused_late, 1, RETRY_GIVE_UP,
	    "the request body was too long to keep" },
};

static const struct {
	enum reuse_policy policy;
	const struct request_facts *request;
	bool may;
	const char *why;
} reuses[] = {
	{ REUSE_NEVER, &plain_get, false, "reuse policy is never" },
	{ REUSE_STATIC, &plain_get, true, "static request" },
	{ REUSE_STATIC, &query_get, false, "not a static request" },
	{ REUSE_STATIC, &post, false, "not a static request" },
	{ REUSE_IDEMPOTENT, &query_get, true, "idempotent method" },
	{ REUSE_IDEMPOTENT, &post, false, "method not idempotent" },
	{ REUSE_ALWAYS, &post, true, "reuse policy is always" },
};

int
main(void)
{
	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
		struct retry_decision d = retry_decide(rows[i].policy,
		    rows[i].request, rows[i].attempt, rows[i].left);

		CHECK(d.action == rows[i].action &&
			strcmp(d.why, rows[i].why) == 0,
		    "%s: %s", rows[i].what, d.why);
	}
	for (size_t i = 0; i < sizeof reuses / sizeof *reuses; i++) {
		struct retry_decision d =
		    reuse_decide(reuses[i].policy, reuses[i].request);

		CHECK((d.action == RETRY_AGAIN) == reuses[i].may &&
			strcmp(d.why, reuses[i].why) == 0,
		    "reuse: %s", d.why);
	}
	return CHECK_DONE();
}
