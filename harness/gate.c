/* gate.c - see gate.h. */
#include "harness/gate.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

const char *
gate_checkpoint(const char *name)
{
	const char *found = NULL;

	for (const char *const *p = proxy_checkpoints(); *p != NULL; p++) {
		const char *dot = strchr(*p, '.');

		if (strcmp(*p, name) == 0)
			return *p;
		if (dot == NULL || strcmp(dot + 1, name) != 0)
			continue;
		if (found != NULL)
			return NULL;
		found = *p;
	}
	return found;
}

static bool
grow(void **array, size_t n, size_t *room, size_t each)
{
	void *bigger;

	if (n < *room)
		return true;
	bigger = realloc(*array, (*room + 8) * each);
	if (bigger == NULL)
		return false;
	*array = bigger;
	*room += 8;
	return true;
}

int
gate_arm(struct gate *g, const struct gate_rule *rule)
{
	if (!grow((void **)&g->rules, g->n_rules, &g->rules_room,
		sizeof *g->rules))
		return -1;
	g->rules[g->n_rules++] = *rule;
	return 0;
}

void
gate_disarm(struct gate *g, const char *checkpoint)
{
	size_t kept = 0;

	for (size_t i = 0; i < g->n_rules; i++)
		if (checkpoint != NULL &&
		    strcmp(g->rules[i].checkpoint, checkpoint) != 0)
			g->rules[kept++] = g->rules[i];
	g->n_rules = kept;
}

static struct gate_rule *
rule_for(struct gate *g, const struct proxy_event *e, const char *id)
{
	for (size_t i = 0; i < g->n_rules; i++) {
		struct gate_rule *r = &g->rules[i];

		if (r->times > 0 && strcmp(r->checkpoint, e->checkpoint) == 0 &&
		    (r->id[0] == '\0' || strcmp(r->id, id) == 0) &&
		    (r->attempt == 0 || r->attempt == e->attempt))
			return r;
	}
	return NULL;
}

static enum proxy_answer
hold(struct gate *g, const struct proxy_event *e, const char *id)
{
	struct gate_held *h;

	if (!grow((void **)&g->held, g->n_held, &g->held_room, sizeof *g->held))
		return PROXY_GO;
	h = &g->held[g->n_held++];
	*h = (struct gate_held){ .key = ++g->last_key,
		.actor = e->actor,
		.checkpoint = e->checkpoint,
		.attempt = e->attempt,
		.serial = e->serial,
		.fd = e->fd };
	snprintf(h->id, sizeof h->id, "%s", id);
	return PROXY_HOLD;
}

enum proxy_answer
gate_answer(struct gate *g, const struct proxy_event *e, const char *id)
{
	struct gate_rule *r;

	if (e->what == PROXY_LIMITED)
		return hold(g, e, id);
	if (e->what != PROXY_ENTERED || (r = rule_for(g, e, id)) == NULL)
		return PROXY_GO;
	r->times--;
	if (r->after_bytes < 0)
		return hold(g, e, id);
	proxy_limit(e->actor, (size_t)r->after_bytes);
	return PROXY_GO;
}

static void
remove_held(struct gate *g, size_t i)
{
	memmove(&g->held[i], &g->held[i + 1],
	    (g->n_held - i - 1) * sizeof *g->held);
	g->n_held--;
}

void
gate_forget(struct gate *g, const struct proxy_actor *actor)
{
	for (size_t i = g->n_held; i-- > 0;)
		if (g->held[i].actor == actor)
			remove_held(g, i);
}

const struct gate_held *
gate_find(const struct gate *g, const char *checkpoint, const char *id,
    unsigned attempt)
{
	for (size_t i = 0; i < g->n_held; i++) {
		const struct gate_held *h = &g->held[i];

		if (strcmp(h->checkpoint, checkpoint) == 0 &&
		    (id[0] == '\0' || strcmp(h->id, id) == 0) &&
		    (attempt == 0 || h->attempt == attempt))
			return h;
	}
	return NULL;
}

const struct gate_held *
gate_by_key(const struct gate *g, unsigned long key)
{
	for (size_t i = 0; i < g->n_held; i++)
		if (g->held[i].key == key)
			return &g->held[i];
	return NULL;
}

size_t
gate_release(struct gate *g, const char *checkpoint)
{
	size_t i = 0, n = 0;

	while (i < g->n_held) {
		struct proxy_actor *actor = g->held[i].actor;

		if (checkpoint != NULL &&
		    strcmp(g->held[i].checkpoint, checkpoint) != 0) {
			i++;
			continue;
		}
		remove_held(g, i);
		proxy_release(actor);
		n++;
	}
	return n;
}

void
gate_release_key(struct gate *g, unsigned long key)
{
	for (size_t i = 0; i < g->n_held; i++)
		if (g->held[i].key == key) {
			struct proxy_actor *actor = g->held[i].actor;

			remove_held(g, i);
			proxy_release(actor);
			return;
		}
}

void
gate_free(struct gate *g)
{
	free(g->rules);
	free(g->held);
}
