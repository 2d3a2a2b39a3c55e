/* clock.h - the lab's time: a heap of timers that only the lab fires.
 *
 * Virtual, time stands still until somebody jumps; real, it follows the
 * monotonic clock through one libevent timer.  Times are milliseconds since
 * the clock was made.
 */
#ifndef HARNESS_CLOCK_H
#define HARNESS_CLOCK_H

#include <stdbool.h>
#include <stdint.h>

struct event_base;
struct clock;
struct timer;

typedef void clock_fire_fn(void *arg);

/* Make a virtual clock.  Owns: borrows base.  Returns: NULL when out of
 * memory. */
struct clock *clock_new(struct event_base *);

/* Needs: every timer of clock_timer_new() freed. */
void clock_free(struct clock *);

/* It is 0 again, and nobody waits for a moment any more.
 * Needs: no other timer armed. */
void clock_reset(struct clock *);

/* From now on follow the real clock; there is no way back.  Armed timers keep
 * the time that they had left. */
void clock_go_real(struct clock *);
bool clock_is_real(const struct clock *);

int64_t clock_now_ms(const struct clock *);

/* When the next timer is due; -1 where none is armed. */
int64_t clock_next_ms(const struct clock *);

/* Virtual only: go to the next timer and fire it, just that one.
 * Returns: false where none is armed. */
bool clock_jump(struct clock *);

/* Let time make a stop at that moment, though nothing is to be fired. */
void clock_wake_at(struct clock *, int64_t ms);

/* What struct proxy_clock and struct backend_clock ask for; clock is the
 * struct clock. */
void *clock_timer_new(void *clock, clock_fire_fn *, void *fire_arg);
void clock_timer_arm(void *timer, int64_t ms);
void clock_timer_cancel(void *timer);
void clock_timer_free(void *timer);

#endif
