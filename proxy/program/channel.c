/* channel.c - see channel.h. */
#include "proxy/program/channel.h"

#include <event2/buffer.h>
#include <event2/bufferevent.h>
#include <event2/event.h>
#include <stdlib.h>

struct channel {
	struct bufferevent *bev;
	channel_message_fn *message;
	channel_closed_fn *closed;
	void *arg;
};

struct header {
	uint32_t kind, number;
	uint64_t size; /* of what follows */
};

static void
on_read(struct bufferevent *bev, void *arg)
{
	struct evbuffer *in = bufferevent_get_input(bev);
	struct channel *c = arg;
	struct header h;

	while (evbuffer_copyout(in, &h, sizeof h) == sizeof h &&
	    evbuffer_get_length(in) - sizeof h >= h.size) {
		evbuffer_drain(in, sizeof h);
		c->message(c->arg, (enum channel_kind)h.kind, h.number,
		    evbuffer_pullup(in, (ev_ssize_t)h.size), h.size);
		evbuffer_drain(in, h.size);
	}
}

static void
on_event(struct bufferevent *bev, short what, void *arg)
{
	struct channel *c = arg;

	bufferevent_disable(bev, EV_READ | EV_WRITE);
	c->closed(c->arg);
}

struct channel *
channel_new(struct event_base *base, int fd, channel_message_fn *message,
    channel_closed_fn *closed, void *arg)
{
	struct channel *c = malloc(sizeof *c);

	if (c == NULL)
		return NULL;
	*c = (struct channel){
		.message = message, .closed = closed, .arg = arg
	};
	c->bev = bufferevent_socket_new(base, fd, BEV_OPT_CLOSE_ON_FREE);
	if (c->bev == NULL) {
		free(c);
		return NULL;
	}
	bufferevent_setcb(c->bev, on_read, NULL, on_event, c);
	bufferevent_enable(c->bev, EV_READ);
	return c;
}

void
channel_send(struct channel *c, enum channel_kind kind, uint32_t number,
    const void *first, size_t first_size, const void *second,
    size_t second_size)
{
	struct evbuffer *out = bufferevent_get_output(c->bev);
	struct header h = { kind, number, first_size + second_size };

	/* All of it or nothing: half a message would be read as others. */
	if (evbuffer_expand(out, sizeof h + h.size) != 0)
		return;
	evbuffer_add(out, &h, sizeof h);
	evbuffer_add(out, first, first_size);
	evbuffer_add(out, second, second_size);
}

void
channel_free(struct channel *c)
{
	if (c == NULL)
		return;
	bufferevent_free(c->bev);
	free(c);
}
