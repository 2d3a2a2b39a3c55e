/* ledger.c - see ledger.h. */
#include "backend/ledger.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "backend/follow.h"

struct ledger {
	struct ledger_attempt *attempts;
	size_t n_attempts, attempts_size;
	size_t max;		   /* attempts kept, in a ring; 0: no limit */
	struct ledger_mark *marks; /* ascending */
	size_t n_marks, marks_size;
	struct ledger_attempt spill; /* stands in for what has no room */
};

struct ledger *
ledger_new(void)
{
	return calloc(1, sizeof(struct ledger));
}

void
ledger_free(struct ledger *l)
{
	if (l == NULL)
		return;
	free(l->attempts);
	free(l->marks);
	free(l);
}

void
ledger_clear(struct ledger *l)
{
	l->n_attempts = l->n_marks = 0;
}

void
ledger_bound(struct ledger *l, size_t max)
{
	assert(l->n_attempts == 0 && l->n_marks == 0 && max > 0);
	l->max = max;
}

/* Room for one more element in an array that doubles.  Returns: the array, or
 * NULL, with the old one still valid. */
static void *
room(void *array, size_t n, size_t *size, size_t element)
{
	size_t more = *size == 0 ? 8 : *size * 2;
	void *grown;

	if (n < *size)
		return array;
	grown = realloc(array, more * element);
	if (grown != NULL)
		*size = more;
	return grown;
}

static struct ledger_attempt *
slot(const struct ledger *l, size_t n)
{
	return &l->attempts[l->max > 0 ? n % l->max : n];
}

size_t
ledger_enter(struct ledger *l, unsigned conn, unsigned request)
{
	size_t n_kept = l->n_attempts - ledger_n_forgotten(l);
	struct ledger_attempt *a;

	if (l->max == 0 || n_kept < l->max) {
		a = room(l->attempts, n_kept, &l->attempts_size,
		    sizeof *l->attempts);
		if (a == NULL)
			return LEDGER_NONE;
		l->attempts = a;
	}
	a = slot(l, l->n_attempts);
	memset(a, 0, sizeof *a);
	a->conn = conn;
	a->request = request;
	a->ended_on = N_POINTS;
	a->ending = a->server_ending = N_ENDINGS;
	return l->n_attempts++;
}

struct ledger_attempt *
ledger_edit(struct ledger *l, size_t n)
{
	assert(n < l->n_attempts || n == LEDGER_NONE);
	if (n != LEDGER_NONE && n >= ledger_n_forgotten(l))
		return slot(l, n);
	memset(&l->spill, 0, sizeof l->spill);
	return &l->spill;
}

size_t
ledger_n_attempts(const struct ledger *l)
{
	return l->n_attempts;
}

size_t
ledger_n_forgotten(const struct ledger *l)
{
	return l->max > 0 && l->n_attempts > l->max ? l->n_attempts - l->max
						    : 0;
}

const struct ledger_attempt *
ledger_attempt(const struct ledger *l, size_t n)
{
	return n < l->n_attempts && n >= ledger_n_forgotten(l) ? slot(l, n)
							       : NULL;
}

static void
copy(char *to, size_t to_size, const char *from)
{
	size_t n = strnlen(from, to_size - 1);

	memcpy(to, from, n);
	to[n] = '\0';
}

void
ledger_name(struct ledger_attempt *a, const char *method, const char *target,
    const char *id)
{
	copy(a->method, sizeof a->method, method);
	copy(a->path, sizeof a->path, target);
	copy(a->id, sizeof a->id, id);
}

unsigned long
ledger_next_mark(void)
{
	static unsigned long last = 1000000000;

	return ++last;
}

void
ledger_enter_mark(struct ledger *l, const struct ledger_mark *mark)
{
	/* A bounded ledger drops half of them at once, when there are twice as
	 * many as it has to keep: not one for each that comes. */
	bool full = l->max > 0 && l->n_marks >= 2 * l->max;
	struct ledger_mark *grown = full
	    ? l->marks
	    : room(l->marks, l->n_marks, &l->marks_size, sizeof *l->marks);
	size_t at = l->n_marks;

	if (grown == NULL)
		return;
	l->marks = grown;
	if (full) {
		l->n_marks = at = l->max;
		memmove(l->marks, l->marks + l->max, at * sizeof *l->marks);
	}
	/* A delayed answer comes behind younger ones. */
	while (at > 0 && l->marks[at - 1].mark > mark->mark)
		at--;
	memmove(&l->marks[at + 1], &l->marks[at],
	    (l->n_marks - at) * sizeof *l->marks);
	l->marks[at] = *mark;
	l->n_marks++;
}

static int
compare_mark(const void *key, const void *element)
{
	unsigned long a = *(const unsigned long *)key;
	unsigned long b = ((const struct ledger_mark *)element)->mark;

	return a < b ? -1 : a > b;
}

const struct ledger_mark *
ledger_last_said(const struct ledger *l)
{
	for (size_t i = l->n_marks; i > 0; i--)
		if (l->marks[i - 1].said)
			return &l->marks[i - 1];
	return NULL;
}

const struct ledger_mark *
ledger_find_mark(const struct ledger *l, unsigned long mark)
{
	if (l->n_marks == 0)
		return NULL;
	return bsearch(
	    &mark, l->marks, l->n_marks, sizeof *l->marks, compare_mark);
}

uint64_t
ledger_hash(uint64_t hash, const void *bytes, size_t size)
{
	const unsigned char *at = bytes;

	for (size_t i = 0; i < size; i++)
		hash = (hash ^ at[i]) * 0x100000001b3u;
	return hash;
}

bool
ledger_id_of(const char *head, size_t size, char id[LEDGER_ID_MAX])
{
	struct follow f;

	follow_start(&f, FOLLOW_REQUEST, false);
	follow_feed(&f, head, size);
	memcpy(id, f.id, LEDGER_ID_MAX);
	return f.id_known;
}
