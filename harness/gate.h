/* gate.h - which actor of an embedded proxy is held at which checkpoint.
 *
 * Rules are armed in advance, each for a number of entries; an actor that
 * enters a state which a rule names is held there until it is released.
 */
#ifndef HARNESS_GATE_H
#define HARNESS_GATE_H

#include <stdbool.h>
#include <stddef.h>

#include "backend/ledger.h"
#include "proxy/proxy.h"

struct gate_rule {
	const char *checkpoint; /* one of proxy_checkpoints() */
	char id[LEDGER_ID_MAX]; /* "": any request */
	unsigned attempt;	/* 0: any */
	unsigned times;		/* entries that are still to be held */
	long after_bytes;	/* -1: hold on entry; else let pass so many */
};

/* An actor that stands held. */
struct gate_held {
	unsigned long key; /* unique in this gate, from 1 */
	struct proxy_actor *actor;
	const char *checkpoint;
	char id[LEDGER_ID_MAX];
	unsigned attempt;
	unsigned long serial; /* of the session or upstream */
	int fd;
};

struct gate {
	struct gate_rule *rules;
	size_t n_rules, rules_room;
	struct gate_held *held;
	size_t n_held, held_room;
	unsigned long last_key;
};

/* Find a checkpoint by its full name or by its bare state where that is
 * unique.  Returns: the name from proxy_checkpoints(), or NULL. */
const char *gate_checkpoint(const char *name);

/* Arm a rule.  Errors: -1 when out of memory. */
int gate_arm(struct gate *, const struct gate_rule *);

/* Disarm what was armed for a checkpoint (NULL: for all). */
void gate_disarm(struct gate *, const char *checkpoint);

/* Answer a watcher's event; id is that of the event's request. */
enum proxy_answer gate_answer(
    struct gate *, const struct proxy_event *, const char *id);

/* An actor is gone. */
void gate_forget(struct gate *, const struct proxy_actor *);

/* The held actor at a checkpoint, the one held longest first; attempt 0 and
 * id "" mean any.  NULL: none. */
const struct gate_held *gate_find(const struct gate *, const char *checkpoint,
    const char *id, unsigned attempt);
const struct gate_held *gate_by_key(const struct gate *, unsigned long key);

/* Release what is held at a checkpoint (NULL: everything).  Returns: how
 * many. */
size_t gate_release(struct gate *, const char *checkpoint);
void gate_release_key(struct gate *, unsigned long key);

void gate_free(struct gate *);

#endif
