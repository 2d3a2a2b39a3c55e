/* The gate: which actor is held where.  The proxy here is a puppet: it only
 * writes down what it was told. */
#include "harness/gate.h"

#include <stdio.h>
#include <string.h>

#include "check.h"

struct proxy_actor {
	char name;
};

static char told[256];
static size_t n_told;

static void
tell(const char *what, const struct proxy_actor *a)
{
	n_told += (size_t)snprintf(
	    told + n_told, sizeof told - n_told, "%s %c; ", what, a->name);
}

static const char *
take_told(void)
{
	static char taken[sizeof told];

	memcpy(taken, told, sizeof told);
	n_told = 0;
	told[0] = '\0';
	return taken;
}

/* The puppet, in the place of proxy/. */

const char *const *
proxy_checkpoints(void)
{
	static const char *const names[] = { "session.waiting",
		"session.closing", "upstream.sending", "upstream.closing",
		NULL };

	return names;
}

void
proxy_release(struct proxy_actor *a)
{
	tell("release", a);
}

void
proxy_limit(struct proxy_actor *a, size_t size)
{
	char what[32];

	snprintf(what, sizeof what, "limit %zu", size);
	tell(what, a);
}

static struct proxy_actor a = { 'a' }, b = { 'b' };

static enum proxy_answer
event(struct gate *g, enum proxy_what what, struct proxy_actor *actor,
    const char *checkpoint, const char *id, unsigned attempt)
{
	struct proxy_event e = { .what = what,
		.actor = actor,
		.fd = actor->name,
		.serial = actor->name,
		.checkpoint = checkpoint,
		.attempt = attempt };

	return gate_answer(g, &e, id);
}

static enum proxy_answer
enter(struct gate *g, struct proxy_actor *actor, const char *checkpoint,
    const char *id, unsigned attempt)
{
	return event(g, PROXY_ENTERED, actor, checkpoint, id, attempt);
}

static void
arm(struct gate *g, const char *checkpoint, const char *id, unsigned attempt,
    unsigned times, long after_bytes)
{
	struct gate_rule rule = { .checkpoint = checkpoint,
		.attempt = attempt,
		.times = times,
		.after_bytes = after_bytes };

	snprintf(rule.id, sizeof rule.id, "%s", id);
	gate_arm(g, &rule);
}

static void
test_names(void)
{
	const char *full = gate_checkpoint("upstream.sending");

	CHECK(full != NULL && strcmp(full, "upstream.sending") == 0,
	    "a checkpoint has a full name");
	CHECK(gate_checkpoint("sending") == full,
	    "a bare state will do where it is unique");
	CHECK(gate_checkpoint("closing") == NULL,
	    "a bare state that two machines have will not");
	CHECK(gate_checkpoint("session.closing") != NULL,
	    "… but its full name does");
	CHECK(gate_checkpoint("session.sending") == NULL &&
		gate_checkpoint("send") == NULL && gate_checkpoint("") == NULL,
	    "nothing else is a checkpoint");
}

static void
test_rules(void)
{
	struct gate g = { 0 };

	CHECK(enter(&g, &a, "upstream.sending", "", 1) == PROXY_GO,
	    "without a rule everybody goes");
	arm(&g, "upstream.sending", "", 0, 1, -1);
	CHECK(enter(&g, &a, "session.waiting", "", 1) == PROXY_GO,
	    "another checkpoint is not held");
	CHECK(event(&g, PROXY_SENT, &a, "upstream.sending", "", 1) == PROXY_GO,
	    "only an entry is held");
	CHECK(enter(&g, &a, "upstream.sending", "x", 3) == PROXY_HOLD,
	    "a rule without id and attempt holds anybody");
	CHECK(enter(&g, &b, "upstream.sending", "x", 3) == PROXY_GO,
	    "a rule for one entry holds one");
	arm(&g, "upstream.sending", "p1", 0, 5, -1);
	CHECK(enter(&g, &b, "upstream.sending", "p2", 1) == PROXY_GO &&
		enter(&g, &b, "upstream.sending", "", 1) == PROXY_GO,
	    "a rule with an id lets other requests go");
	CHECK(enter(&g, &b, "upstream.sending", "p1", 1) == PROXY_HOLD,
	    "… and holds its own");
	gate_disarm(&g, NULL);
	CHECK(enter(&g, &b, "upstream.sending", "p1", 1) == PROXY_GO,
	    "what is disarmed holds nobody");
	arm(&g, "upstream.sending", "", 2, 2, -1);
	CHECK(enter(&g, &b, "upstream.sending", "p1", 1) == PROXY_GO &&
		enter(&g, &b, "upstream.sending", "p1", 2) == PROXY_HOLD,
	    "a rule with an attempt waits for it");
	arm(&g, "session.waiting", "", 0, 1, -1);
	gate_disarm(&g, "upstream.sending");
	CHECK(enter(&g, &a, "upstream.sending", "", 2) == PROXY_GO &&
		enter(&g, &a, "session.waiting", "", 2) == PROXY_HOLD,
	    "one checkpoint can be disarmed without the others");
	gate_free(&g);
}

static void
test_times(void)
{
	struct gate g = { 0 };
	unsigned n_held = 0;

	arm(&g, "upstream.sending", "", 0, 3, -1);
	for (int i = 0; i < 10; i++)
		n_held +=
		    enter(&g, &a, "upstream.sending", "", 1) == PROXY_HOLD;
	CHECK(n_held == 3, "a rule for three entries holds three (%u)", n_held);
	arm(&g, "upstream.sending", "p1", 0, 1, -1);
	arm(&g, "upstream.sending", "", 0, 1, -1);
	CHECK(enter(&g, &a, "upstream.sending", "p1", 1) == PROXY_HOLD &&
		enter(&g, &a, "upstream.sending", "p1", 1) == PROXY_HOLD &&
		enter(&g, &a, "upstream.sending", "p1", 1) == PROXY_GO,
	    "rules are used up one after the other");
	gate_free(&g);
}

static void
test_limit(void)
{
	struct gate g = { 0 };

	arm(&g, "upstream.sending", "", 0, 1, 20);
	CHECK(enter(&g, &a, "upstream.sending", "p1", 1) == PROXY_GO &&
		strcmp(take_told(), "limit 20 a; ") == 0,
	    "after so many bytes: it goes on, limited");
	CHECK(g.n_held == 0, "… and is not held yet");
	CHECK(event(&g, PROXY_LIMITED, &a, "upstream.sending", "p1", 1) ==
		    PROXY_HOLD &&
		gate_find(&g, "upstream.sending", "p1", 1) != NULL,
	    "it is held when the bytes have gone");
	arm(&g, "upstream.sending", "", 0, 1, 0);
	CHECK(enter(&g, &b, "upstream.sending", "p1", 1) == PROXY_GO &&
		strcmp(take_told(), "limit 0 b; ") == 0,
	    "no byte at all is a limit too");
	gate_free(&g);
}

/* Two actors held at two checkpoints, one of them twice. */
static void
hold_three(struct gate *g)
{
	arm(g, "upstream.sending", "", 0, 2, -1);
	arm(g, "session.waiting", "", 0, 1, -1);
	enter(g, &a, "upstream.sending", "p1", 1);
	enter(g, &b, "upstream.sending", "p2", 2);
	enter(g, &b, "session.waiting", "p2", 2);
}

static void
test_find(void)
{
	struct gate g = { 0 };
	const struct gate_held *h;

	hold_three(&g);
	h = gate_find(&g, "upstream.sending", "", 0);
	CHECK(h != NULL && h->actor == &a && h->key == 1 && h->attempt == 1 &&
		h->serial == 'a' && h->fd == 'a' && strcmp(h->id, "p1") == 0,
	    "who is held longest is found first, with all facts");
	h = gate_find(&g, "upstream.sending", "p2", 0);
	CHECK(h != NULL && h->actor == &b, "or by the id of its request");
	h = gate_find(&g, "upstream.sending", "", 2);
	CHECK(h != NULL && h->actor == &b, "or by the attempt");
	CHECK(gate_find(&g, "upstream.sending", "p1", 2) == NULL &&
		gate_find(&g, "session.closing", "", 0) == NULL,
	    "who does not fit is not found");
	h = gate_by_key(&g, 3);
	CHECK(h != NULL && strcmp(h->checkpoint, "session.waiting") == 0,
	    "a key finds its own");
	CHECK(gate_by_key(&g, 4) == NULL && gate_by_key(&g, 0) == NULL,
	    "a key that was never given finds nobody");
	gate_free(&g);
}

static void
test_release(void)
{
	struct gate g = { 0 };

	hold_three(&g);
	CHECK(gate_release(&g, "upstream.sending") == 2 &&
		strcmp(take_told(), "release a; release b; ") == 0,
	    "all at a checkpoint are released, in order");
	CHECK(gate_release(&g, "upstream.sending") == 0 && n_told == 0,
	    "nobody is released twice");
	CHECK(gate_release(&g, NULL) == 1 && g.n_held == 0 &&
		strcmp(take_told(), "release b; ") == 0,
	    "or everybody, wherever");
	hold_three(&g);
	gate_release_key(&g, 5);
	CHECK(strcmp(take_told(), "release b; ") == 0 && g.n_held == 2,
	    "or one alone, by its key");
	CHECK(gate_by_key(&g, 1) == NULL && gate_by_key(&g, 4) != NULL,
	    "keys are not given twice");
	gate_release_key(&g, 5);
	CHECK(n_told == 0, "a key that is over releases nobody");
	gate_forget(&g, &b);
	CHECK(g.n_held == 1 && gate_release(&g, NULL) == 1 &&
		strcmp(take_told(), "release a; ") == 0,
	    "who is gone is not released");
	gate_free(&g);
}

/* More than there was room for at first. */
static void
test_many(void)
{
	struct gate g = { 0 };
	char id[16];
	unsigned n = 0;

	for (int i = 0; i < 100; i++) {
		snprintf(id, sizeof id, "r%d", i);
		arm(&g, "upstream.sending", id, 0, 1, -1);
	}
	for (int i = 99; i >= 0; i--) {
		snprintf(id, sizeof id, "r%d", i);
		n += enter(&g, i % 2 ? &a : &b, "upstream.sending", id, 1) ==
		    PROXY_HOLD;
	}
	CHECK(n == 100 && g.n_held == 100, "a hundred can be held");
	gate_forget(&g, &a);
	CHECK(g.n_held == 50, "one actor is forgotten wherever it was held");
	CHECK(strcmp(g.held[0].id, "r98") == 0 &&
		strcmp(g.held[49].id, "r0") == 0,
	    "the others keep their order");
	gate_free(&g);
}

int
main(void)
{
	test_names();
	test_rules();
	test_times();
	test_limit();
	test_find();
	test_release();
	test_many();
	return CHECK_DONE();
}
