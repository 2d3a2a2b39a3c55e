/* Patience and deadlines, from numbers alone. */
#include <stdbool.h>
#include <stdint.h>

#include "check.h"
#include "harness/patience.h"

/* A look each second, at a program that gets so much of it.  Returns: after how
 * many seconds it was over. */
static int
seconds(int64_t limit_ms, int64_t used_each_ms)
{
	struct patience p;
	int n = 0;

	patience_begin(&p, limit_ms);
	while (!patience_is_over(&p, 5000 + n * 1000, 70 + n * used_each_ms))
		n++;
	return n;
}

static void
programs(void)
{
	struct patience p;
	int n;

	CHECK(seconds(10000, 1000) == 10,
	    "a program that runs for ever is "
	    "caught by its processor time");
	CHECK(seconds(10000, 4000) == 3, "with four threads, sooner");
	CHECK(seconds(10000, 50) == 200,
	    "on a busy machine, not before it had that time");
	CHECK(seconds(10000, 0) == PATIENCE_STARVED_MS / 1000,
	    "one that gets no processor at all is given up at last");
	patience_begin(&p, 1000);
	n = patience_is_over(&p, 1000000, 86400000);
	CHECK(!n,
	    "what it has used, and the clock, before the first look do "
	    "not count");
	n = patience_is_over(&p, 1000010, 10);
	CHECK(!n, "a part that has gone takes its time with it");
	n = patience_is_over(&p, 1000020, 1000);
	CHECK(!n, "what is left goes on from there");
	n = patience_is_over(&p, 1000030, 1010);
	CHECK(n, "and is counted");
	patience_begin(&p, 1000);
	for (n = 0; n < 99 && !patience_is_over(&p, n * 50000, n % 2); n++)
		continue;
	CHECK(n == 99, "who gets on, however slowly, does not starve");
}

static void
deadlines(void)
{
	CHECK(patience_left_ms(1000, 0, 0) == 1000, "at first, all is left");
	CHECK(patience_left_ms(1000, 1000, 0) == 0,
	    "on a quiet machine, a deadline is over when its time has gone by");
	CHECK(patience_left_ms(1000, 1000, 300) == 300,
	    "time spent waiting for a processor is given back");
	CHECK(patience_left_ms(1000, 1000, -5) == 0,
	    "what has gone with a thread is not taken away");
	CHECK(patience_left_ms(1000, 1500, 9000) == 1000,
	    "never more than has gone by, however many waited");
	CHECK(patience_left_ms(1000, 29800, 29800) == 200,
	    "thirty times its length is the most");
	CHECK(patience_left_ms(1000, 30000, 30000) <= 0, "and then it is over");
}

int
main(void)
{
	programs();
	deadlines();
	return CHECK_DONE();
}
