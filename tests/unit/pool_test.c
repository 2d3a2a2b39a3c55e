#include "proxy/pool.h"
#include "check.h"

int
main(void)
{
	struct pool pool;
	struct pool_entry a = { .parked = false }, b = a, c = a;

	pool_init(&pool, 2);
	CHECK(pool_take(&pool) == NULL, "an empty pool has nothing to give");
	CHECK(pool_park(&pool, &a) == NULL && a.parked, "one is parked");
	CHECK(pool_park(&pool, &b) == NULL && pool.n == 2, "and another");
	CHECK(pool_take(&pool) == &b && !b.parked,
	    "the most recently used one is taken first");
	pool_park(&pool, &b);
	CHECK(pool_park(&pool, &c) == &a && !a.parked && pool.n == 2,
	    "a full pool lets the least recently used one go");
	pool_remove(&pool, &a);
	CHECK(pool.n == 2, "one that is not parked is not removed again");
	pool_remove(&pool, &c);
	CHECK(pool.n == 1 && !c.parked, "one in use elsewhere is forgotten");
	CHECK(pool_take(&pool) == &b && pool_take(&pool) == NULL,
	    "what is left comes out once");
	pool_init(&pool, 0);
	CHECK(pool_park(&pool, &a) == &a && pool.n == 0,
	    "a pool of size 0 keeps nothing");
	return CHECK_DONE();
}
