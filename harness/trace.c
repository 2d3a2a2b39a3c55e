/* trace.c - see trace.h. */
#include "harness/trace.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct trace {
	uint64_t n_added;
	bool keeps_nothing;
	size_t room;
	struct trace_entry *ring;
};

struct trace *
trace_new(void)
{
	return calloc(1, sizeof(struct trace));
}

void
trace_free(struct trace *t)
{
	if (t == NULL)
		return;
	free(t->ring);
	free(t);
}

void
trace_clear(struct trace *t)
{
	t->n_added = 0;
}

void
trace_keep_nothing(struct trace *t)
{
	t->keeps_nothing = true;
	t->n_added = 0;
	t->room = 0;
}

bool
trace_keeps(const struct trace *t)
{
	return !t->keeps_nothing;
}

/* Most labs live for a few dozen entries only: the ring grows up to its
 * limit, then turns. */
static int
make_room(struct trace *t)
{
	size_t room = t->room == 0 ? 64 : 2 * t->room;
	struct trace_entry *ring;

	if (t->n_added < t->room || t->room == TRACE_ROOM)
		return 0;
	ring = realloc(t->ring, room * sizeof *ring);
	if (ring == NULL)
		return -1;
	t->ring = ring;
	t->room = room;
	return 0;
}

void
trace_add(struct trace *t, int64_t time_ms, const char *who, unsigned long n,
    const char *what, size_t size, const char *text)
{
	struct trace_entry *e;

	if (t->keeps_nothing) {
		t->n_added++;
		return;
	}
	if (make_room(t) != 0)
		return;
	e = &t->ring[t->n_added % t->room];
	e->seq = ++t->n_added;
	e->time_ms = time_ms;
	e->who = who;
	e->n = n;
	e->what = what;
	e->size = size;
	memcpy(e->text, text, strnlen(text, sizeof e->text - 1) + 1);
	e->text[sizeof e->text - 1] = '\0';
}

const char *
trace_snippet(char text[TRACE_TEXT], const void *bytes, size_t size)
{
	const unsigned char *p = bytes;
	size_t i;

	for (i = 0; i < size && i < TRACE_TEXT - 1; i++) {
		if (p[i] == '\r' || p[i] == '\n')
			break;
		text[i] = p[i] < ' ' || p[i] > '~' ? '.' : (char)p[i];
	}
	text[i] = '\0';
	return text;
}

uint64_t
trace_seq(const struct trace *t)
{
	return t->n_added;
}

size_t
trace_n(const struct trace *t)
{
	return t->n_added < t->room ? t->n_added : t->room;
}

const struct trace_entry *
trace_entry(const struct trace *t, size_t n)
{
	size_t oldest = t->n_added > t->room ? t->n_added % t->room : 0;

	return &t->ring[(oldest + n) % t->room];
}

void
trace_line(const struct trace_entry *e, char *line, size_t size)
{
	char who[40], bytes[32] = "";

	snprintf(who, sizeof who, "%s %lu", e->who, e->n);
	if (e->size > 0)
		snprintf(bytes, sizeof bytes, "%zu B", e->size);
	snprintf(line, size, "%4llu %8lld ms  %-12s %-9s %9s  %s",
	    (unsigned long long)e->seq, (long long)e->time_ms, who, e->what,
	    bytes, e->text);
	for (size_t n = strlen(line); n > 0 && line[n - 1] == ' '; n--)
		line[n - 1] = '\0';
}
