/* exchange.c - see exchange.h. */
#include "proxy/exchange.h"

#include <assert.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

enum { GIVEN_MIN = 4096 };

void
exchange_reset(struct exchange *x)
{
	memset(&x->serial, 0, sizeof *x - offsetof(struct exchange, serial));
	x->request.minor = 1;
	buffer_truncate(&x->head, 0);
	buffer_truncate(&x->up, 0);
	buffer_truncate(&x->down, 0);
}

/* Move the head from the reader; mostly it is all that was read. */
static bool
take_head(struct exchange *x)
{
	struct request_reader *r = &x->reader;
	struct buffer empty = x->head;

	if (buffer_size(&r->in) == r->n_head) {
		x->head = r->in;
		r->in = empty;
		return true;
	}
	if (!buffer_append(&x->head, buffer_bytes(&r->in), r->n_head))
		return false;
	buffer_consume(&r->in, r->n_head);
	return true;
}

/* The head as the backend shall see it. */
static bool
write_request(
    const struct exchange *x, const struct proxy_options *o, struct buffer *out)
{
	return request_write(&x->request, buffer_bytes(&x->head),
	    buffer_size(&x->head), o->upstreams[0].host, x->asks_close,
	    x->expects_for_us, out);
}

int
exchange_begin(
    struct exchange *x, const struct proxy_options *o, const char **why)
{
	static const char no_memory[] = "out of memory";
	const char *head;
	size_t size;
	int status;

	x->replay_bytes = (size_t)o->replay_bytes;
	*why = no_memory;
	if (!take_head(x))
		return 503;
	head = buffer_bytes(&x->head);
	size = buffer_size(&x->head);
	status = request_read(&x->request, head, size, why);
	if (status != 0)
		return status;
	x->facts = request_facts(&x->request, o);
	x->close = !x->request.keep_alive || !o->persist_client;
	x->asks_close = o->reuse == REUSE_NEVER || o->pool_size == 0;
	*why = no_memory;
	x->expects_for_us = o->probe_unsafe == PROBE_EXPECT &&
	    !x->facts.idempotent && x->request.framing != FRAMING_NONE &&
	    !x->request.expects_continue;
	x->now.body_withheld = x->expects_for_us;
	if (!write_request(x, o, &x->up))
		return 503;
	x->up_head = buffer_size(&x->up);
	request_reader_begin_body(&x->reader, x);
	return 0;
}

bool
exchange_begin_probe(struct exchange *x, const struct place *backend)
{

	x->whole = true;
	x->state = ATTEMPT_RUNNING;
	x->attempt = 1;
	response_reader_reset(&x->answer);
	return request_write_probe(backend->host, &x->up);
}

void
exchange_free(struct exchange *x)
{
	buffer_free(&x->head);
	buffer_free(&x->up);
	buffer_free(&x->down);
	buffer_free(&x->reader.in);
	buffer_free(&x->answer.in);
	buffer_free(&x->reader.body.trailer);
	buffer_free(&x->answer.body.trailer);
	free(x);
}

size_t
exchange_memory(const struct exchange *x)
{
	return sizeof *x + x->head.capacity + x->up.capacity +
	    x->down.capacity + x->reader.in.capacity + x->answer.in.capacity +
	    x->reader.body.trailer.capacity + x->answer.body.trailer.capacity;
}

/* Append bytes, as a chunk where the other side gets chunks. */
static bool
append(struct buffer *b, bool chunked, const char *bytes, size_t size)
{
	if (size == 0)
		return true; /* an empty chunk would be the last one */
	if (!chunked)
		return buffer_append(b, bytes, size);
	return buffer_print(b, "%zx\r\n", size) &&
	    buffer_append(b, bytes, size) && buffer_append(b, "\r\n", 2);
}

/* It will not be sent again. */
static void
forget_sent(struct exchange *x)
{
	buffer_consume(&x->up, x->up_sent);
	x->up_head -= x->up_sent < x->up_head ? x->up_sent : x->up_head;
	x->up_sent = 0;
}

/* A body that waits for a 100 is kept: no byte of it was sent. */
static void
forget_long_body(struct exchange *x)
{
	if (x->n_body <= x->replay_bytes || !x->facts.replayable ||
	    x->now.body_withheld)
		return;
	x->facts.replayable = false;
	forget_sent(x);
}

bool
exchange_add_body(struct exchange *x, const char *bytes, size_t size)
{
	if (x->unwanted)
		return true;
	x->n_body += size;
	forget_long_body(x);
	return append(
	    &x->up, x->request.framing == FRAMING_CHUNKED, bytes, size);
}

bool
exchange_end_body(struct exchange *x)
{
	x->whole = true;
	if (x->unwanted || x->request.framing != FRAMING_CHUNKED)
		return true;
	return body_end_chunks(&x->reader.body, &x->up);
}

bool
exchange_takes_body(const struct exchange *x)
{
	return x->unwanted ||
	    buffer_size(&x->up) - x->up_sent < EXCHANGE_WINDOW;
}

const char *
exchange_unsent(const struct exchange *x, size_t *size)
{
	size_t end = x->now.body_withheld ? x->up_head : buffer_size(&x->up);

	*size = x->unwanted || end < x->up_sent ? 0 : end - x->up_sent;
	return buffer_bytes(&x->up) + x->up_sent;
}

void
exchange_was_sent(struct exchange *x, size_t size)
{
	x->now.sent += size;
	x->up_sent += size;
	if (!x->facts.replayable)
		forget_sent(x);
}

bool
exchange_all_sent(const struct exchange *x)
{
	return x->whole && !x->unwanted && x->up_sent == buffer_size(&x->up);
}

char
exchange_phase(const struct exchange *x)
{
	if (x->account.n_attempts == 0)
		return 'R';
	if (x->tunnel)
		return 'T';
	if (x->final_given || x->now.received > x->n_interim_bytes)
		return 'D';
	if (x->now.sent == 0)
		return 'C';
	return exchange_all_sent(x) || x->unwanted ? 'H' : 'S';
}

void
exchange_attempt(struct exchange *x, bool reused, struct upstream *carrier,
    unsigned long serial)
{
	assert(x->facts.replayable || x->now.sent == 0);
	x->attempt++;
	x->account.n_attempts++;
	x->account.n_reused += reused;
	x->account.reused = reused;
	x->state = ATTEMPT_RUNNING;
	x->carrier = carrier;
	x->upstream = serial;
	x->now = (struct attempt){ .reused = reused,
		.body_withheld = x->expects_for_us };
	x->n_interim_bytes = 0;
	x->odd_interim = false;
	x->invalid = NULL;
	x->up_sent = 0;
	response_reader_reset(&x->answer);
}

void
exchange_release_body(struct exchange *x)
{
	x->now.body_withheld = false;
	forget_long_body(x);
}

bool
exchange_drop_expect(struct exchange *x, const struct proxy_options *o)
{
	const char *body = buffer_bytes(&x->up) + x->up_head;
	size_t size = buffer_size(&x->up) - x->up_head, n_head;
	struct buffer up = { 0 };
	bool made;

	assert(x->expects_for_us && x->facts.replayable);
	x->expects_for_us = false;
	made = write_request(x, o, &up);
	n_head = buffer_size(&up);
	if (!made || !buffer_append(&up, body, size)) {
		buffer_free(&up);
		return false;
	}
	buffer_free(&x->up);
	x->up = up;
	x->up_head = n_head;
	x->up_sent = 0;
	return true;
}

/* Both sides switch: what is left of the request is no message any more. */
static void
become_tunnel(struct exchange *x)
{
	x->tunnel = x->close = true;
	x->whole = x->facts.replayable = false;
	x->request.framing = FRAMING_TUNNEL;
	buffer_consume(&x->up, x->up_sent);
	x->up_sent = 0;
	request_reader_begin_body(&x->reader, x);
}

bool
exchange_add_interim(
    struct exchange *x, const struct response *r, const char *head, size_t size)
{
	const struct response_extras extras = { 0 };
	size_t before = buffer_size(&x->down);

	x->n_interim_bytes += size;
	x->odd_interim |= r->odd;
	if (r->status == 100)
		exchange_release_body(x);
	/* RFC 9110 15.2: HTTP/1.0 knows no 1xx; nor is a 100 for a client that
	 * did not ask for it. */
	if (x->request.minor == 0 || (r->status == 100 && x->expects_for_us))
		return true;
	if (!response_write(r, head, size, &extras, &x->down))
		return false;
	x->down_interim += buffer_size(&x->down) - before;
	return true;
}

/* A backend that answers before it has the whole request may go on reading it
 * (a stream that is answered as it comes), unless it was an error, or nobody
 * waits for the body (RFC 9112 9.5, RFC 9110 10.1.1). */
static bool
refuses_body(const struct exchange *x)
{
	return x->response.status >= 300 || x->now.body_withheld ||
	    (x->request.expects_continue && x->n_body == 0);
}

bool
exchange_add_final(struct exchange *x, const char *head, size_t size)
{
	struct response_extras extras = { .again = x->again,
		.attempt = x->attempt };
	const struct response *r = &x->response;

	x->account.status = r->status;
	if (r->framing == FRAMING_TUNNEL)
		become_tunnel(x);
	if (r->framing == FRAMING_CHUNKED || r->framing == FRAMING_CLOSE) {
		x->chunked = x->request.minor == 1;
		x->ends_by_close = !x->chunked;
	}
	/* What is left of the request would be read as the next one. */
	if (x->ends_by_close || !x->whole)
		x->close = true;
	if (!x->tunnel && !exchange_all_sent(x) && refuses_body(x))
		x->unwanted = true;
	if (x->close)
		extras.connection = RESPONSE_CLOSE;
	else if (x->request.minor == 0)
		extras.connection = RESPONSE_KEEP_ALIVE;
	extras.chunked = x->chunked;
	/* RFC 9110 6.6.1; a 101 is interim there. */
	if (!r->has_date && r->status >= 200 && x->date_s > 0)
		extras.date_s = x->date_s;
	return response_write(r, head, size, &extras, &x->down);
}

bool
exchange_add_content(struct exchange *x, const char *bytes, size_t size)
{
	size_t given = 0;

	/* A lot is given at once, rather than copied and given later. */
	if (size >= GIVEN_MIN && !x->chunked && x->give != NULL)
		given = x->give(x->session, bytes, size);
	return append(&x->down, x->chunked, bytes + given, size - given);
}

bool
exchange_end_content(struct exchange *x)
{
	return !x->chunked || body_end_chunks(&x->answer.body, &x->down);
}

bool
exchange_takes_content(const struct exchange *x)
{
	return buffer_size(&x->down) < EXCHANGE_WINDOW;
}

void
exchange_was_given(struct exchange *x, size_t size)
{
	size_t interim = size < x->down_interim ? size : x->down_interim;

	x->down_interim -= interim;
	buffer_consume(&x->down, size);
	x->account.sent += interim;
	if (size > interim)
		exchange_gave(x, size - interim);
}

void
exchange_gave(struct exchange *x, size_t size)
{
	x->account.sent += size;
	x->final_given = true;
}

void
exchange_withdraw(struct exchange *x)
{
	assert(!x->final_given);
	buffer_truncate(&x->down, x->down_interim);
	x->chunked = x->ends_by_close = false;
}
