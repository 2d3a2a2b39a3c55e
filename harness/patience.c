/* patience.c - see patience.h. */
#include "harness/patience.h"

void
patience_begin(struct patience *p, int64_t limit_ms)
{
	*p = (struct patience){ limit_ms, 0, -1, -1 };
}

bool
patience_is_over(struct patience *p, int64_t clock_ms, int64_t used_ms)
{
	if (p->moved_ms < 0 || used_ms != p->used_ms)
		p->moved_ms = clock_ms;
	if (p->used_ms >= 0 && used_ms > p->used_ms)
		p->spent_ms += used_ms - p->used_ms;
	p->used_ms = used_ms;
	return p->spent_ms >= p->limit_ms ||
	    clock_ms - p->moved_ms >= PATIENCE_STARVED_MS;
}

int64_t
patience_left_ms(int64_t limit_ms, int64_t gone_ms, int64_t waited_ms)
{
	int64_t most_ms = PATIENCE_DEADLINES * limit_ms - gone_ms;
	int64_t counted_ms = gone_ms, left_ms;

	if (waited_ms > 0)
		counted_ms -= waited_ms < gone_ms ? waited_ms : gone_ms;
	left_ms = limit_ms - counted_ms;
	return left_ms < most_ms ? left_ms : most_ms;
}
