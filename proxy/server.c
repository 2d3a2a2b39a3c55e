/* server.c - see server.h. */
#include "proxy/server.h"

static void
on_pause_over(void *arg)
{
	struct server *s = arg;

	if (s->reach == SERVER_PAUSED)
		s->reach = SERVER_DUE;
}

bool
server_open(struct server *s, const struct place *place,
    const struct proxy_clock *clock, size_t pool_size)
{
	s->place = place;
	s->clock = clock;
	pool_init(&s->pool, pool_size);
	s->timer = clock->timer_new(clock->arg, on_pause_over, s);
	return s->timer != NULL;
}

void
server_close(struct server *s)
{
	if (s->timer != NULL)
		s->clock->timer_free(s->timer);
	s->timer = NULL;
}

bool
server_admits(struct server *s)
{
	if (s->reach == SERVER_OPEN)
		return true;
	if (s->reach != SERVER_DUE)
		return false;
	s->reach = SERVER_TRIED;
	return true;
}

void
server_replied(struct server *s)
{
	if (s->reach == SERVER_OPEN)
		return;
	s->reach = SERVER_OPEN;
	s->clock->timer_cancel(s->timer);
}

void
server_timed_out(struct server *s, int pause_ms)
{
	/* What was begun before the pause does not make it longer. */
	if (s->reach == SERVER_PAUSED || pause_ms == 0)
		return;
	s->reach = SERVER_PAUSED;
	s->clock->timer_arm(s->timer, pause_ms);
}

void
server_gave_up(struct server *s)
{
	if (s->reach == SERVER_TRIED)
		s->reach = SERVER_DUE;
}
