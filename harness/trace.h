/* trace.h - one merged timeline of client, proxy and backend.
 *
 * The newest TRACE_ROOM entries are kept.  Sizes are bytes, times the lab's
 * milliseconds.
 */
#ifndef HARNESS_TRACE_H
#define HARNESS_TRACE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define TRACE_ROOM 4096
#define TRACE_TEXT 56

struct trace_entry {
	uint64_t seq; /* from 1 */
	int64_t time_ms;
	const char *who;  /* a word: "client", "upstream", "gate, conn" … */
	unsigned long n;  /* which one, from 1 */
	const char *what; /* a static word: "sent", "state", "ended" … */
	size_t size;	  /* bytes, where the event has any */
	char text[TRACE_TEXT];
};

struct trace;

struct trace *trace_new(void);
void trace_free(struct trace *);
void trace_clear(struct trace *); /* begin empty again */

/* Keep no entry from now on, and only count them.  Who would make up a text
 * for one can ask before. */
void trace_keep_nothing(struct trace *);
bool trace_keeps(const struct trace *);

/* Add an entry.  who must live as long as the timeline, and what must be a
 * static string; text is cut at TRACE_TEXT. */
void trace_add(struct trace *, int64_t time_ms, const char *who,
    unsigned long n, const char *what, size_t size, const char *text);

/* The first line of some bytes, printable, for an entry's text.  Returns:
 * text. */
const char *trace_snippet(
    char text[TRACE_TEXT], const void *bytes, size_t size);

/* The number of the newest entry, 0 for none: a point in the timeline. */
uint64_t trace_seq(const struct trace *);

/* Entries kept; the n-th of them, 0 being the oldest. */
size_t trace_n(const struct trace *);
const struct trace_entry *trace_entry(const struct trace *, size_t n);

/* One line, without a line end, as it is shown to people. */
void trace_line(const struct trace_entry *, char *line, size_t size);

#endif
