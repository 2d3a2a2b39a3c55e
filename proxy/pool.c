/* pool.c - see pool.h. */
#include "proxy/pool.h"

#include <assert.h>

void
pool_init(struct pool *p, size_t max)
{
	TAILQ_INIT(&p->idle);
	p->n = 0;
	p->max = max;
}

struct pool_entry *
pool_park(struct pool *p, struct pool_entry *e)
{
	struct pool_entry *oldest;

	assert(!e->parked);
	TAILQ_INSERT_HEAD(&p->idle, e, link);
	e->parked = true;
	if (++p->n <= p->max)
		return NULL;
	oldest = TAILQ_LAST(&p->idle, pool_list);
	pool_remove(p, oldest);
	return oldest;
}

struct pool_entry *
pool_take(struct pool *p)
{
	struct pool_entry *e = TAILQ_FIRST(&p->idle);

	if (e != NULL)
		pool_remove(p, e);
	return e;
}

void
pool_remove(struct pool *p, struct pool_entry *e)
{
	if (!e->parked)
		return;
	TAILQ_REMOVE(&p->idle, e, link);
	e->parked = false;
	p->n--;
}
