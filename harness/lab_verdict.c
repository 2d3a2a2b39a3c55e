/* lab_verdict.c - see lab_verdict.h. */
#include "harness/lab_verdict.h"

#include <string.h>

#include "harness/lab.h"
#include "harness/lab_backend.h"
#include "harness/lab_proxy.h"

/* Was the request held by one of our proxies, on that connection, when the
 * backend ended it? */
static bool
was_held(struct lab *lab, const char *id, unsigned port)
{
	struct lab_proxy *p;

	for (unsigned n = 1; (p = lab_actor(lab, LAB_PROXY, n)) != NULL; n++)
		if (port != 0 && lab_proxy_was_held(p, id, port))
			return true;
	return false;
}

/* Was it over before the exchange began? */
static bool
ended_before(
    const struct lab_backend *b, unsigned conn, const struct exchange *e)
{
	return lab_backend_end_seq(b, conn) <= exchange_start_seq(e);
}

/* What the request had to do with the end of its connection. */
static enum order
order_of(const struct lab_backend *b, const struct ledger_attempt *a,
    const struct exchange *e)
{
	/* Connecting brought it about. */
	if (a->ended_on == POINT_ACCEPT && !ended_before(b, a->conn, e))
		return ORDER_CAUSED;
	/* It came afterwards; that could be known, unless nobody was told. */
	if (a->after_end)
		return a->ending == ENDING_VANISH || a->ending == ENDING_STALL
		    ? ORDER_CROSSING
		    : ORDER_SETTLED;
	/* It lay unread; an idle connection may be closed all the same. */
	if (a->ended_on == POINT_ARRIVAL || a->ended_on == POINT_IDLE)
		return ORDER_CROSSING;
	return ORDER_CAUSED;
}

/* Orders from the weakest to the strongest: with two faults, the one that the
 * request met in the act says more than the one that was over before. */
static void
decide(struct lab_verdict *v, enum order order)
{
	if (order > v->order)
		v->order = order;
}

/* Another content than the client's was executed: then it was not this request
 * that was. */
static bool
is_altered(const struct ledger_attempt *a, const struct exchange *e)
{
	uint64_t size, hash;

	if (a->executed == 0 || !a->content_known ||
	    !exchange_content(e, &size, &hash))
		return false;
	return a->content_size != size || a->content_hash != hash;
}

static void
count_attempts(struct lab *lab, struct lab_backend *b, const char *id,
    struct lab_verdict *v, struct verdict_facts *f)
{
	const struct ledger *books = backend_ledger(lab_backend_facts(b));
	unsigned last_conn = 0;

	for (size_t i = 0; i < ledger_n_attempts(books); i++) {
		const struct ledger_attempt *a = ledger_attempt(books, i);

		/* Nobody knows whose request it was, or whether. */
		v->unseen = v->unseen || a->unseen;
		if (strcmp(a->id, id) != 0)
			continue;
		v->attempts++;
		if (is_altered(a, v->exchange)) {
			v->altered++;
		} else {
			v->executed += a->executed;
			v->executed_max += a->executed_max;
		}
		f->answered = f->answered || a->answered_whole;
		v->connections += a->conn != last_conn;
		last_conn = a->conn;
		if (!a->ended)
			continue;
		v->reached = true;
		decide(v,
		    was_held(lab, id, lab_backend_port(b, a->conn))
			? ORDER_HELD
			: order_of(b, a, v->exchange));
	}
}

/* Connections that ended without the request having arrived there: it may have
 * been chosen for one all the same, and met the reset before its first byte
 * left.  Only our own proxy can tell; but one that was opened meanwhile, and
 * ended as it was accepted, was opened for it. */
static void
look_at_ends(struct lab *lab, struct lab_backend *b, const char *id,
    struct lab_verdict *v)
{
	const struct backend *backend = lab_backend_facts(b);
	struct backend_conn c;

	for (unsigned n = 1; backend_conn(backend, n, &c); n++) {
		bool before = ended_before(b, n, v->exchange);

		if (!c.ended)
			continue;
		if (was_held(lab, id, c.peer_port)) {
			v->reached = true;
			decide(v, ORDER_HELD);
		} else if (c.ended_on == POINT_IDLE && before) {
			decide(v, ORDER_SETTLED);
		} else if (c.ended_on == POINT_ACCEPT && !before &&
		    lab_backend_end_seq(b, n) <=
			exchange_end_seq(v->exchange)) {
			v->reached = true;
			decide(v, ORDER_CAUSED);
		}
	}
}

static void
look_up_mark(struct lab_backend *b, const char *id, unsigned long mark,
    struct verdict_facts *f)
{
	const struct ledger *books = backend_ledger(lab_backend_facts(b));
	const struct ledger_mark *m = ledger_find_mark(books, mark);

	if (m == NULL || f->mark_own)
		return;
	f->mark_known = true;
	f->mark_own = m->belongs && strcmp(m->id, id) == 0;
	f->mark_said = m->said;
	f->mark_status = m->status;
	f->mark_body_size = m->body_size;
	f->mark_body_hash = m->body_hash;
}

/* How likely was that taken for the answer? */
static int
likelihood(const struct ledger *books, const struct ledger_attempt *a,
    const struct verdict_facts *f, bool body_known)
{
	const struct ledger_mark *mark = ledger_find_mark(books, a->mark);
	bool is_same = body_known && mark != NULL &&
	    mark->body_size == f->body_size && mark->body_hash == f->body_hash;

	return 2 * a->answered_whole + is_same;
}

/* A program under test takes it for answered, and does not say by what: then
 * by the newest whole answer, one with the body that it hands out before all
 * others, or else by what was said, or else by a part of an answer, which is
 * not what it was meant to be. */
static void
take_from_books(struct lab_backend *b, const char *id, struct lab_verdict *v,
    struct verdict_facts *f)
{
	const struct ledger *books = backend_ledger(lab_backend_facts(b));
	const struct ledger_attempt *best = NULL;
	const struct ledger_mark *mark;
	bool body_known = v->told.body_known;
	int best_likelihood = 0;

	if (v->mark != 0)
		return;
	for (size_t i = 0; i < ledger_n_attempts(books); i++) {
		const struct ledger_attempt *a = ledger_attempt(books, i);
		int is_likely = likelihood(books, a, f, body_known);

		if (strcmp(a->id, id) != 0 || a->answered == 0 ||
		    is_likely < best_likelihood)
			continue;
		best = a;
		best_likelihood = is_likely;
	}
	mark = best != NULL && best->answered_whole
	    ? ledger_find_mark(books, best->mark)
	    : ledger_last_said(books);
	if (mark == NULL && best != NULL)
		mark = ledger_find_mark(books, best->mark);
	if (mark == NULL)
		return;
	v->mark = f->mark = mark->mark;
	v->status = f->status = mark->status;
	if (!body_known) {
		f->body_size = mark->body_size;
		f->body_hash = mark->body_hash;
	}
	if (!mark->said && !best->answered_whole)
		f->status = 0;
}

bool
lab_verdict(struct lab *lab, const char *id, struct lab_verdict *v)
{
	struct exchange *e = client_find(lab, id);
	const struct reply *r;
	struct verdict_facts f = { .marks = true };
	struct lab_backend *b;

	if (e == NULL)
		return false;
	*v = (struct lab_verdict){ .told = *exchange_told(e), .exchange = e };
	r = exchange_reply(e);
	v->status = r->status;
	v->mark = r->mark;
	f.complete = v->told.complete;
	f.timeout = v->told.timeout;
	f.status = r->status;
	f.mark = r->mark;
	f.to_head = r->to_head;
	f.body_size = r->body.size;
	f.body_hash = r->body_hash;
	for (unsigned n = 1; (b = lab_actor(lab, LAB_BACKEND, n)) != NULL;
	     n++) {
		f.marks = f.marks && lab_backend_marks(b);
		count_attempts(lab, b, id, v, &f);
		look_at_ends(lab, b, id, v);
		if (v->told.silent)
			take_from_books(b, id, v, &f);
		look_up_mark(b, id, v->mark, &f);
	}
	f.executed = v->executed;
	f.executed_max = v->executed_max;
	v->name = verdict_judge(&f);
	return true;
}
