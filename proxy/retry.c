/* retry.c - see retry.h.
 *
 * The reasons are told to people: in Proxy-Status, in traces and in tests.
 */
#include "proxy/retry.h"

static struct retry_decision
give_up(const char *why)
{
	return (struct retry_decision){ RETRY_GIVE_UP, why };
}

static struct retry_decision
again(const char *why)
{
	return (struct retry_decision){ RETRY_AGAIN, why };
}

static struct retry_decision
elsewhere(const char *why)
{
	return (struct retry_decision){ RETRY_ELSEWHERE, why };
}

struct retry_decision
reuse_decide(enum reuse_policy policy, const struct request_facts *r)
{
	switch (policy) {
	case REUSE_NEVER:
		break;
	case REUSE_STATIC:
		return r->is_static ? again("static request")
				    : elsewhere("not a static request");
	case REUSE_IDEMPOTENT:
		return r->idempotent ? again("idempotent method")
				     : elsewhere("method not idempotent");
	case REUSE_ALWAYS:
		return again("reuse policy is always");
	case N_REUSE:
		break;
	}
	return elsewhere("reuse policy is never");
}

/* What the policy alone says; AGAIN is still subject to what is possible. */
static struct retry_decision
ask_policy(enum retry_policy policy, const struct request_facts *r)
{
	switch (policy) {
	case RETRY_NEVER:
		break;
	case RETRY_STATIC:
		return r->is_static ? again("static request")
				    : give_up("not a static request");
	case RETRY_IDEMPOTENT:
		return r->idempotent ? again("idempotent method")
				     : give_up("method not idempotent");
	case RETRY_LISTED:
		if (r->idempotent)
			return again("idempotent method");
		return r->listed
		    ? again("known to be repeatable")
		    : give_up("method not idempotent, request not listed");
	case RETRY_ALWAYS:
		return again("retry policy is always");
	case N_RETRY:
		break;
	}
	return give_up("retry policy is never");
}

/* Nothing was sent, which costs nothing; but not without end.  No pool can run
 * dry on a fresh connection: one more is free, the retries bound the rest. */
static struct retry_decision
retry_unsent(const struct attempt *a, unsigned retries_left)
{
	const char *why = a->shunned ? "connecting timed out a moment ago"
	    : !a->probing	     ? "nothing was sent"
	    : a->timed_out	     ? "the probe timed out"
				     : "the probe was not answered";

	if (a->probe_answered) /* no other will be made */
		return elsewhere("the backend answered the probe and closed");
	if (a->reused || a->others_left)
		return elsewhere(why);
	if (a->shunned)
		return give_up(why);
	if (a->timed_out && !a->probing)
		return give_up("connecting timed out");
	if (!a->peer_closed)
		return give_up("no connection could be made");
	if (!a->fresh_unsent_before)
		return elsewhere(why);
	if (a->timed_out)
		return give_up(why);
	if (retries_left > 0)
		return again(why);
	return give_up(a->probing
		? "the probe was not answered, and no retry is left"
		: "no retry is left");
}

struct retry_decision
retry_decide(enum retry_policy policy, const struct request_facts *r,
    const struct attempt *a, unsigned retries_left)
{
	struct retry_decision d;

	if (a->received_final > 0 && !a->stale_408 && !a->expect_refused)
		return give_up("a final response had begun");
	if (a->sent == 0)
		return retry_unsent(a, retries_left);
	if (a->timed_out)
		return give_up("the response timed out");
	/* The head alone was sent, and the answer to it is that the request was
	 * not taken: to send it without Expect is no retry. */
	if (a->expect_refused && a->body_withheld)
		return elsewhere("the backend refused the proxy's own Expect");
	d = ask_policy(policy, r);
	/* It says that no whole request was received, whatever the method. */
	if (a->stale_408 && policy != RETRY_NEVER)
		d = again("a 408 had crossed the request");
	if (d.action != RETRY_AGAIN && a->expect_refused)
		return give_up("the backend refused the proxy's own Expect, and"
			       " the request may not be repeated");
	if (d.action != RETRY_AGAIN && a->body_withheld)
		return give_up("the request body was not sent, and the request"
			       " may not be repeated");
	if (d.action != RETRY_AGAIN)
		return d;
	if (!r->replayable)
		return give_up("the request body was too long to keep");
	if (retries_left == 0)
		return give_up("no retry is left");
	return d;
}
