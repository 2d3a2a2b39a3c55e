/* crewman.c - see crewman.h.
 *
 * Orders come over the channel only.  Signals are the parent's: a terminal or
 * a service manager sends them to every process, and a worker that heeded them
 * as well would be told twice.
 */
#include "proxy/program/crewman.h"

#include <event2/buffer.h>
#include <event2/event.h>
#include <stdlib.h>
#include <unistd.h>

#include "proxy/program/channel.h"
#include "proxy/program/say.h"
#include "proxy/program/worker.h"

struct crewman {
	struct event_base *base;
	struct channel *channel;
	struct worker *worker;
	bool over;
};

static void
stop(void *arg)
{
	struct crewman *c = arg;

	c->over = true;
	event_base_loopbreak(c->base);
}

static void
answer(struct crewman *c, uint32_t number)
{
	struct evbuffer *text = evbuffer_new();
	struct report r = { 0 };

	if (text == NULL)
		return; /* the parent does not wait for ever */
	worker_report(c->worker, &r, text);
	channel_send(c->channel, CHANNEL_REPORT, number, &r.counters,
	    sizeof r.counters, r.status, r.status_size);
	evbuffer_free(text);
}

static void
on_message(void *arg, enum channel_kind kind, uint32_t number,
    const void *bytes, size_t size)
{
	struct crewman *c = arg;

	switch (kind) {
	case CHANNEL_ASK:
		answer(c, number);
		break;
	case CHANNEL_RELOAD:
		worker_reload(c->worker, size > 0 ? bytes : NULL);
		break;
	case CHANNEL_DRAIN:
		worker_drain(c->worker);
		break;
	case CHANNEL_STOP:
		stop(c);
		break;
	case CHANNEL_READY:
	case CHANNEL_REPORT:
		break; /* these it sends itself */
	}
}

/* What the parent has open is none of its business. */
static int
close_others(int a, int b)
{
	unsigned low = (unsigned)(a < b ? a : b);
	unsigned high = (unsigned)(a < b ? b : a);

	if (low > 3 && close_range(3, low - 1, 0) != 0)
		return -1;
	if (high > low + 1 && close_range(low + 1, high - 1, 0) != 0)
		return -1;
	return close_range(high + 1, ~0U, 0);
}

int
crewman_run(const struct arguments *a, int number, int listener, int channel)
{
	struct crewman c = { 0 };

	say_as_worker(number);
	if (close_others(listener, channel) != 0) {
		say("the parent's descriptors cannot be closed");
		return EXIT_FAILURE;
	}
	c.base = worker_base();
	if (c.base == NULL)
		return EXIT_FAILURE;
	c.worker = worker_new(c.base, a, listener, stop, &c);
	if (c.worker != NULL)
		c.channel = channel_new(c.base, channel, on_message, stop, &c);
	if (c.channel != NULL) {
		channel_send(c.channel, CHANNEL_READY, 0, NULL, 0, NULL, 0);
		event_base_dispatch(c.base);
	}
	worker_free(c.worker);
	channel_free(c.channel);
	event_base_free(c.base);
	return c.over ? EXIT_SUCCESS : EXIT_FAILURE;
}
