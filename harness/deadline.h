/* deadline.h - how long a lab may take: real time, without the time that its
 * thread, or a program of its own, waited for a processor.
 *
 * Threads: of the one that has made it.
 */
#ifndef HARNESS_DEADLINE_H
#define HARNESS_DEADLINE_H

#include <stdbool.h>
#include <stdint.h>

struct event_base;
struct tree;
struct deadline;

/* Make one that is not set.
 *
 * priority: of its event, which ends the loop of base.
 * Returns:  NULL when out of memory.
 */
struct deadline *deadline_new(struct event_base *, int priority);
void deadline_free(struct deadline *);

/* Begin; ms: 0 for none. */
void deadline_set(struct deadline *, int ms);
int deadline_ms(const struct deadline *);

/* Is it over?  It stays so until it is set again.  As long as its time has not
 * gone by, this costs a look at the clock. */
bool deadline_is_over(struct deadline *);

/* The same, as the loop found it last. */
bool deadline_was_over(const struct deadline *);

/* A program whose processes may wait for a processor.  Owns: borrowed. */
void deadline_add_tree(struct deadline *, struct tree *);
void deadline_drop_tree(struct deadline *, struct tree *);

#endif
