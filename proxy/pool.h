/* pool.h - the idle upstream connections, most recently used first.
 *
 * A warm connection at the front is the one least likely to have been closed
 * meanwhile; what lies long enough at the back, its idle timeout takes away.
 */
#ifndef PROXY_POOL_H
#define PROXY_POOL_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/queue.h>

/* What an upstream connection carries to be pooled. */
struct pool_entry {
	TAILQ_ENTRY(pool_entry) link;
	bool parked;
};

struct pool {
	TAILQ_HEAD(pool_list, pool_entry) idle;
	size_t n, max;
};

void pool_init(struct pool *, size_t max);

/* Give an idle connection to the pool.
 *
 * Needs:   not parked.
 * Returns: the entry that had to make room, no longer in the pool, or NULL.
 *          It is the least recently used one, or with a pool of size 0 the
 *          given one.
 */
struct pool_entry *pool_park(struct pool *, struct pool_entry *);

/* Borrow the most recently used connection.  NULL: there is none. */
struct pool_entry *pool_take(struct pool *);

/* Forget a connection; one that is not parked is ignored. */
void pool_remove(struct pool *, struct pool_entry *);

#endif
