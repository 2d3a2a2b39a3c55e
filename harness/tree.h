/* tree.h - the processes and threads that a program consists of: are they all
 * at rest, and stopping them.
 *
 * At rest is a thread that sleeps in the kernel until something happens, and
 * is not due to go on.  Whoever wakes a thread makes it runnable before the
 * call that woke it returns; so when a program rests, it has dealt with all
 * that was done to it, and only something new, or time, can move it.
 *
 * It reads /proc (CONFIG_PROC_CHILDREN).  Threads: none.
 */
#ifndef HARNESS_TREE_H
#define HARNESS_TREE_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

struct tree;

/* Can the processes of a program be seen here?  Returns: NULL, or a sentence
 * about what is lacking. */
const char *tree_lacks(void);

/* Everything that descends from root, which is not part of it itself.
 * Returns: NULL when out of memory. */
struct tree *tree_new(pid_t root);
void tree_free(struct tree *);

/* Is every thread at rest (or stopped)?  Never blocks.  TREE_RUNS is always a
 * safe answer. */
enum tree_rest {
	TREE_RUNS = 0,
	TREE_RESTS,
	TREE_HAS_RESTED /* ever since it was last seen at rest */
};

enum tree_rest tree_rests(struct tree *);

/* Has any thread been given a processor since tree_rests() last looked? */
bool tree_ran(const struct tree *);

/* How much processor time has it had, with all that has ended and was waited
 * for?  It falls where a part has ended and was not. */
int64_t tree_used_ms(const struct tree *);

/* How long have its threads waited for a processor, one added to the other?
 *
 * afresh: look for threads; else, those are meant that were found last.
 */
int64_t tree_waited_ms(struct tree *, bool afresh);

/* The same of one thread, from its schedstat file; 0 where fd is -1. */
int64_t tree_read_waited_ms(int fd);

/* Is that processor the only one that any thread may run on, and did run on?
 * As tree_rests() last found them. */
bool tree_is_confined(const struct tree *, int cpu);

/* Let its threads run in order from now on (rank.h), and those that they
 * start. */
void tree_line_up(struct tree *);

/* Has that process of it ended, although nobody was told so yet?  As it was
 * when tree_rests() looked. */
bool tree_has_ended(const struct tree *, pid_t);

/* Stop every process that is not stopped yet, and wait until none of their
 * threads runs any more. */
void tree_stop(struct tree *);

/* The same right after tree_rests() said so: whoever rests starts nobody, so
 * the list of them need not be made again.  Much cheaper. */
void tree_stop_resting(struct tree *);

/* Let those go on that tree_stop() has stopped, and no other: some programs
 * have a helper that stops itself. */
void tree_continue(struct tree *);

#endif
