/* verdict.c - see verdict.h. */
#include "harness/verdict.h"

#define X(symbol, word, meaning) [symbol] = { word, meaning },
static const struct {
	const char *word, *meaning;
} verdicts[N_VERDICTS] = { VERDICTS(X) };
#undef X

#define X(symbol, word) [symbol] = word,
static const char *const orders[N_ORDERS] = { ORDERS(X) };
#undef X

const char *
verdict_word(enum verdict_name v)
{
	return verdicts[v].word;
}

const char *
verdict_meaning(enum verdict_name v)
{
	return verdicts[v].meaning;
}

const char *
verdict_order_word(enum order o)
{
	return orders[o];
}

static bool
is_success(const struct verdict_facts *f)
{
	return f->complete && f->status < 400;
}

/* The body is what its maker meant it to be.  A said response may carry any
 * body; nobody wrote down which. */
static bool
is_unaltered(const struct verdict_facts *f)
{
	return f->mark_status == f->status &&
	    (f->mark_said || f->to_head ||
		(f->mark_body_size == f->body_size &&
		    f->mark_body_hash == f->body_hash));
}

/* It looks complete; is it a response of its own, and all of it? */
static bool
is_garbled(const struct verdict_facts *f, unsigned executed)
{
	if (!f->complete)
		return false;
	if (f->mark_known)
		return !f->mark_own || !is_unaltered(f);
	if (!f->marks)
		return false;
	if (f->mark != 0)
		return true;
	/* Without a mark: an error of the proxy's own is fine; a success that
	 * does not come from the backend, although it ran, is not its
	 * answer. */
	return is_success(f) && executed > 0;
}

/* The verdict if it was executed so often. */
static enum verdict_name
judge(const struct verdict_facts *f, unsigned executed)
{
	bool answered = f->complete &&
	    (is_success(f) || (f->mark != 0 && !f->mark_said) ||
		(!f->marks && f->answered));

	if (is_garbled(f, executed))
		return VERDICT_GARBLED;
	if (executed > 1)
		return VERDICT_TWICE;
	if (executed == 0 && is_success(f))
		return VERDICT_PHANTOM;
	if (f->timeout && !f->complete)
		return VERDICT_HUNG;
	if (executed == 0)
		return VERDICT_REFUSED;
	return answered ? VERDICT_CLEAN : VERDICT_GHOST;
}

enum verdict_name
verdict_judge(const struct verdict_facts *f)
{
	enum verdict_name name = judge(f, f->executed);

	for (unsigned n = f->executed + 1; n <= f->executed_max; n++)
		if (judge(f, n) != name)
			return VERDICT_UNKNOWN;
	return name;
}
