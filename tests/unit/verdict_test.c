/* The referee: every verdict, and which of two that fit comes first. */
#include "harness/verdict.h"

#include <stdbool.h>
#include <string.h>

#include "check.h"

#define HASH 0x1234

enum body { NONE, WHOLE, CUT, ALTERED };
enum mark { UNMARKED, OWN, FOREIGN, UNKNOWN, SAID, SAID_TO_NOBODY };

struct row {
	const char *name;
	unsigned executed;
	unsigned unsure; /* so many more may have run */
	int status;	 /* 0: no complete response */
	enum mark mark;
	enum body body;
	bool timeout;
	bool no_marks; /* a user's own server behind the valve … */
	bool answered; /* … which has sent a whole response */
	bool to_head;
	int mark_status; /* 0: the same */
	enum verdict_name verdict;
};

static const struct row rows[] = {
	/* --------------------------------------------------- one by one --- */
	{ "its own answer, whole, is clean", .executed = 1, .status = 200,
	    .mark = OWN, .body = WHOLE, .verdict = VERDICT_CLEAN },
	{ "a 404 of the backend's own is clean", .executed = 1, .status = 404,
	    .mark = OWN, .body = WHOLE, .verdict = VERDICT_CLEAN },
	{ "a 500 of the backend's own is clean", .executed = 1, .status = 500,
	    .mark = OWN, .body = WHOLE, .verdict = VERDICT_CLEAN },
	{ "a redirection is clean", .executed = 1, .status = 302, .mark = OWN,
	    .body = WHOLE, .verdict = VERDICT_CLEAN },
	{ "cut off, never executed: refused", .verdict = VERDICT_REFUSED },
	{ "502 of the proxy's, never executed: refused", .status = 502,
	    .verdict = VERDICT_REFUSED },
	{ "400 of the proxy's, never executed: refused", .status = 400,
	    .verdict = VERDICT_REFUSED },
	{ "an early 413 of its own, never executed: refused", .status = 413,
	    .mark = OWN, .body = WHOLE, .verdict = VERDICT_REFUSED },
	{ "cut off, executed: ghost", .executed = 1, .verdict = VERDICT_GHOST },
	{ "502 of the proxy's, executed: ghost", .executed = 1, .status = 502,
	    .verdict = VERDICT_GHOST },
	{ "a said 408 of its own, executed: ghost", .executed = 1,
	    .status = 408, .mark = SAID, .body = ALTERED,
	    .verdict = VERDICT_GHOST },
	{ "a said 408 of its own, never executed: refused", .status = 408,
	    .mark = SAID, .body = ALTERED, .verdict = VERDICT_REFUSED },
	{ "no answer in time, executed: hung", .executed = 1, .timeout = true,
	    .verdict = VERDICT_HUNG },
	{ "no answer in time, never executed: hung", .timeout = true,
	    .verdict = VERDICT_HUNG },
	{ "success out of nothing: phantom", .status = 200,
	    .verdict = VERDICT_PHANTOM },
	{ "a redirection out of nothing: phantom", .status = 304,
	    .verdict = VERDICT_PHANTOM },
	{ "a said success of its own, never executed: phantom", .status = 200,
	    .mark = SAID, .body = WHOLE, .verdict = VERDICT_PHANTOM },
	{ "executed twice, one answer: twice", .executed = 2, .status = 200,
	    .mark = OWN, .body = WHOLE, .verdict = VERDICT_TWICE },
	{ "executed twice and cut off: twice", .executed = 2,
	    .verdict = VERDICT_TWICE },
	{ "executed three times: twice", .executed = 3, .status = 502,
	    .verdict = VERDICT_TWICE },
	/* ------------------------------------------------------ garbled --- */
	{ "cut, but complete to the eye: garbled", .executed = 1, .status = 200,
	    .mark = OWN, .body = CUT, .verdict = VERDICT_GARBLED },
	{ "altered, of the same length: garbled", .executed = 1, .status = 200,
	    .mark = OWN, .body = ALTERED, .verdict = VERDICT_GARBLED },
	{ "another's answer: garbled", .executed = 1, .status = 200,
	    .mark = FOREIGN, .body = WHOLE, .verdict = VERDICT_GARBLED },
	{ "another's error: garbled", .executed = 1, .status = 500,
	    .mark = FOREIGN, .body = WHOLE, .verdict = VERDICT_GARBLED },
	{ "an answer from nowhere: garbled", .executed = 1, .status = 200,
	    .mark = UNKNOWN, .body = WHOLE, .verdict = VERDICT_GARBLED },
	{ "a stale 408, said to nobody: garbled", .status = 408,
	    .mark = SAID_TO_NOBODY, .body = WHOLE, .verdict = VERDICT_GARBLED },
	{ "another status than was sent: garbled", .executed = 1, .status = 200,
	    .mark = OWN, .body = WHOLE, .mark_status = 500,
	    .verdict = VERDICT_GARBLED },
	{ "another status than was said: garbled", .status = 200, .mark = SAID,
	    .body = WHOLE, .mark_status = 408, .verdict = VERDICT_GARBLED },
	{ "success without a mark, although it ran: garbled", .executed = 1,
	    .status = 200, .verdict = VERDICT_GARBLED },
	{ "an answer to HEAD has no body to compare", .executed = 1,
	    .status = 200, .mark = OWN, .body = NONE, .to_head = true,
	    .verdict = VERDICT_CLEAN },
	{ "an answer to HEAD has a status to compare", .executed = 1,
	    .status = 200, .mark = OWN, .to_head = true, .mark_status = 404,
	    .verdict = VERDICT_GARBLED },
	{ "an incomplete answer is no garbled one, whosever", .executed = 1,
	    .mark = FOREIGN, .body = CUT, .verdict = VERDICT_GHOST },
	/* -------------------------------------- which of two comes first --- */
	{ "garbled before twice", .executed = 2, .status = 200, .mark = FOREIGN,
	    .body = WHOLE, .verdict = VERDICT_GARBLED },
	{ "garbled before phantom", .status = 200, .mark = FOREIGN,
	    .body = WHOLE, .verdict = VERDICT_GARBLED },
	{ "garbled before hung", .status = 200, .mark = FOREIGN, .body = WHOLE,
	    .timeout = true, .verdict = VERDICT_GARBLED },
	{ "garbled before refused", .status = 503, .mark = FOREIGN,
	    .body = WHOLE, .verdict = VERDICT_GARBLED },
	{ "twice before hung", .executed = 2, .timeout = true,
	    .verdict = VERDICT_TWICE },
	{ "phantom, though the time was up too", .status = 200, .timeout = true,
	    .verdict = VERDICT_PHANTOM },
	{ "a whole answer, though the time was up too", .executed = 1,
	    .status = 200, .mark = OWN, .body = WHOLE, .timeout = true,
	    .verdict = VERDICT_CLEAN },
	{ "hung before ghost and before refused", .executed = 1,
	    .timeout = true, .verdict = VERDICT_HUNG },
	/* ------------------------------------------- a server unmarked --- */
	{ "without marks any answer counts as its own", .executed = 1,
	    .status = 200, .body = WHOLE, .no_marks = true,
	    .verdict = VERDICT_CLEAN },
	{ "without marks, an error, answered whole: clean", .executed = 1,
	    .status = 500, .no_marks = true, .answered = true,
	    .verdict = VERDICT_CLEAN },
	{ "without marks, an error that the server never sent whole: ghost",
	    .executed = 1, .status = 502, .no_marks = true,
	    .verdict = VERDICT_GHOST },
	{ "without marks, a mark that nobody knows says nothing", .executed = 1,
	    .status = 200, .mark = UNKNOWN, .body = WHOLE, .no_marks = true,
	    .verdict = VERDICT_CLEAN },
	{ "without marks, a said response of another's: garbled", .executed = 1,
	    .status = 200, .mark = SAID_TO_NOBODY, .body = WHOLE,
	    .no_marks = true, .verdict = VERDICT_GARBLED },
	{ "without marks, cut off, executed: ghost", .executed = 1,
	    .no_marks = true, .verdict = VERDICT_GHOST },
	{ "without marks, success out of nothing: phantom", .status = 200,
	    .no_marks = true, .verdict = VERDICT_PHANTOM },
	{ "without marks, error, never executed: refused", .status = 502,
	    .no_marks = true, .verdict = VERDICT_REFUSED },
	{ "without marks executed twice: twice", .executed = 2, .status = 200,
	    .no_marks = true, .verdict = VERDICT_TWICE },
	/* ------------------------------------- it may have run, or not --- */
	{ "given to a server, never answered, cut off: unknown", .unsure = 1,
	    .no_marks = true, .verdict = VERDICT_UNKNOWN },
	{ "given to a server, never answered, told 502: unknown", .unsure = 1,
	    .status = 502, .no_marks = true, .verdict = VERDICT_UNKNOWN },
	{ "given twice, answered once: unknown", .executed = 1, .unsure = 1,
	    .status = 200, .body = WHOLE, .no_marks = true,
	    .verdict = VERDICT_UNKNOWN },
	{ "given twice, never answered: unknown", .unsure = 2, .status = 504,
	    .no_marks = true, .verdict = VERDICT_UNKNOWN },
	{ "a success, and it may have run: unknown", .unsure = 1, .status = 200,
	    .no_marks = true, .verdict = VERDICT_UNKNOWN },
	{ "answered twice, given three times: twice", .executed = 2,
	    .unsure = 1, .status = 200, .body = WHOLE, .no_marks = true,
	    .verdict = VERDICT_TWICE },
	{ "no answer in time, whether it ran or not: hung", .unsure = 1,
	    .timeout = true, .no_marks = true, .verdict = VERDICT_HUNG },
	{ "no answer in time, once or twice: unknown", .executed = 1,
	    .unsure = 1, .timeout = true, .no_marks = true,
	    .verdict = VERDICT_UNKNOWN },
	{ "a foreign answer is garbled, however often it ran", .unsure = 2,
	    .status = 200, .mark = SAID_TO_NOBODY, .body = WHOLE,
	    .no_marks = true, .verdict = VERDICT_GARBLED },
};

static struct verdict_facts
facts_of(const struct row *row)
{
	struct verdict_facts f = { .executed = row->executed,
		.executed_max = row->executed + row->unsure,
		.complete = row->status != 0,
		.timeout = row->timeout,
		.status = row->status,
		.to_head = row->to_head,
		.marks = !row->no_marks,
		.answered = row->answered };

	if (row->body != NONE) {
		f.body_size = row->body == CUT ? 5 : 10;
		f.body_hash = row->body == WHOLE ? HASH : HASH + 1;
	}
	if (row->mark == UNMARKED)
		return f;
	f.mark = 7;
	f.mark_known = row->mark != UNKNOWN;
	f.mark_own = row->mark == OWN || row->mark == SAID;
	f.mark_said = row->mark == SAID || row->mark == SAID_TO_NOBODY;
	f.mark_status = row->mark_status != 0 ? row->mark_status : f.status;
	f.mark_body_size = 10;
	f.mark_body_hash = HASH;
	return f;
}

/* Every combination of facts gets a verdict that keeps what its word says. */
static bool
keeps_its_word(enum verdict_name v, const struct verdict_facts *f)
{
	bool success = f->complete && f->status < 400;

	switch (v) {
	case VERDICT_GARBLED:
		return f->complete;
	case VERDICT_TWICE:
		return f->executed >= 2;
	case VERDICT_PHANTOM:
		return f->executed == 0 && success;
	case VERDICT_HUNG:
		return f->timeout && !f->complete && f->executed < 2;
	case VERDICT_GHOST:
		return f->executed == 1 && !success;
	case VERDICT_REFUSED:
		return f->executed == 0 && !success;
	case VERDICT_CLEAN:
		return f->executed == 1 && f->complete;
	case VERDICT_UNKNOWN:
		return f->executed < f->executed_max && f->executed < 2;
	case N_VERDICTS:
		break;
	}
	return false;
}

/* A word that is given holds for every number of executions in the range. */
static bool
holds_throughout(enum verdict_name v, struct verdict_facts f)
{
	unsigned most = f.executed_max;

	for (; v != VERDICT_UNKNOWN && f.executed <= most; f.executed++) {
		f.executed_max = f.executed;
		if (verdict_judge(&f) != v)
			return false;
	}
	return true;
}

static void
test_every_combination(void)
{
	static const int statuses[] = { 0, 200, 304, 404, 408, 502 };
	size_t seen[N_VERDICTS] = { 0 }, n_bad = 0;
	struct row row = { 0 };

	for (unsigned n = 0; n < 3 * 3 * 6 * 6 * 4 * 2 * 2 * 2 * 2; n++) {
		unsigned i = n;
		struct verdict_facts f;
		enum verdict_name v;

		row.executed = i % 3, i /= 3;
		row.unsure = i % 3, i /= 3;
		row.status = statuses[i % 6], i /= 6;
		row.mark = i % 6, i /= 6;
		row.body = i % 4, i /= 4;
		row.timeout = i % 2, i /= 2;
		row.no_marks = i % 2, i /= 2;
		row.answered = i % 2, i /= 2;
		row.to_head = i % 2;
		f = facts_of(&row);
		v = verdict_judge(&f);
		n_bad += !keeps_its_word(v, &f) || !holds_throughout(v, f);
		seen[v]++;
	}
	CHECK(n_bad == 0, "no combination of facts gets a word it denies");
	for (int v = 0; v < N_VERDICTS; v++)
		CHECK(seen[v] > 0, "%s is met, %zu times", verdict_word(v),
		    seen[v]);
}

static void
test_words(void)
{
	static const char *const words[] = { "garbled", "twice", "phantom",
		"hung", "ghost", "refused", "clean", "unknown" };
	static const char *const orders[] = { "none", "settled", "crossing",
		"caused", "held" };

	for (int v = 0; v < N_VERDICTS; v++)
		CHECK(strcmp(verdict_word(v), words[v]) == 0 &&
			*verdict_meaning(v) != '\0',
		    "%s has its word and a meaning", words[v]);
	for (int o = 0; o < N_ORDERS; o++)
		CHECK(strcmp(verdict_order_word(o), orders[o]) == 0,
		    "the order %s has its word", orders[o]);
}

int
main(void)
{
	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
		struct verdict_facts f = facts_of(&rows[i]);
		enum verdict_name v = verdict_judge(&f);

		CHECK(v == rows[i].verdict, "%s (%s)", rows[i].name,
		    verdict_word(v));
	}
	test_every_combination();
	test_words();
	return CHECK_DONE();
}
