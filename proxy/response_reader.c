/* response_reader.c - see response_reader.h. */
#include "proxy/response_reader.h"

static enum response_progress
invalid(struct response_reader *r, const char *why)
{
	r->exchange->invalid = why;
	return RESPONSE_INVALID;
}

/* Hand over an interim response at the beginning of in, if it is whole.
 * Returns: BEGINS where something was used. */
static enum response_progress
take_interim(struct response_reader *r)
{
	const char *bytes = buffer_bytes(&r->in);
	size_t size = head_end(bytes, buffer_size(&r->in));
	struct response interim;
	const char *why;

	if (size > r->head_bytes ||
	    (size == 0 && buffer_size(&r->in) >= r->head_bytes))
		return invalid(r, "a response head that is too long");
	if (size == 0)
		return RESPONSE_MORE;
	why = response_read(&interim, bytes, size, false);
	if (why != NULL)
		return invalid(r, why);
	if (!exchange_add_interim(r->exchange, &interim, bytes, size))
		return RESPONSE_NO_MEMORY;
	buffer_consume(&r->in, size);
	return RESPONSE_BEGINS;
}

enum response_progress
response_reader_look(struct response_reader *r)
{
	enum response_progress progress;

	for (;;) {
		switch (
		    response_kind(buffer_bytes(&r->in), buffer_size(&r->in))) {
		case RESPONSE_UNKNOWN:
			return RESPONSE_MORE;
		case RESPONSE_FINAL:
			return RESPONSE_BEGINS;
		case RESPONSE_INTERIM:
			break;
		}
		progress = take_interim(r);
		if (progress != RESPONSE_BEGINS)
			return progress;
	}
}

static bool
take_content(void *arg, const char *bytes, size_t size)
{
	struct response_reader *r = arg;

	return exchange_add_content(r->exchange, bytes, size);
}

void
response_reader_begin(struct response_reader *r)
{
	r->n_fed = 0;
	message_expect_response(
	    &r->message, r->exchange->request.is_head, take_content, r);
}

/* The first n_fed bytes are the head.  Returns: MORE to go on. */
static enum response_progress
take_final_head(struct response_reader *r)
{
	struct exchange *x = r->exchange;
	const char *head = buffer_bytes(&r->in);
	struct response final;
	const char *why;

	why = response_read(&final, head, r->n_fed, x->request.is_head);
	if (why != NULL)
		return invalid(r, why);
	/* RFC 9110 15.5.9: it answers an idle connection, not this request. */
	if (final.status == 408 && x->now.reused &&
	    (final.announces_close || final.framing == FRAMING_CLOSE))
		return RESPONSE_STALE;
	if (!exchange_add_final(x, &final, head, r->n_fed))
		return RESPONSE_NO_MEMORY;
	buffer_consume(&r->in, r->n_fed);
	r->n_fed = 0;
	return RESPONSE_MORE;
}

/* Feed what is in `in`; a head no further than it may be long. */
static enum message_result
feed(struct response_reader *r)
{
	size_t size = buffer_size(&r->in) - r->n_fed, used;
	enum message_result result;

	if (!r->message.head_done && size > r->head_bytes - r->n_fed)
		size = r->head_bytes - r->n_fed;
	result = message_feed(
	    &r->message, buffer_bytes(&r->in) + r->n_fed, size, &used);
	if (result == MESSAGE_BAD)
		return result;
	if (r->message.head_done && result != MESSAGE_HEAD)
		buffer_consume(&r->in, used);
	else
		r->n_fed += used;
	return result;
}

enum response_progress
response_reader_read(struct response_reader *r)
{
	enum message_result result = feed(r);
	enum response_progress progress;

	if (result == MESSAGE_HEAD) {
		progress = take_final_head(r);
		if (progress != RESPONSE_MORE)
			return progress;
		result = feed(r);
	}
	if (result == MESSAGE_BAD)
		return invalid(r, message_error(&r->message));
	if (result == MESSAGE_DONE)
		return exchange_end_content(r->exchange) ? RESPONSE_WHOLE
							 : RESPONSE_NO_MEMORY;
	if (!r->message.head_done && r->n_fed == r->head_bytes)
		return invalid(r, "a response head that is too long");
	return RESPONSE_MORE;
}

enum response_progress
response_reader_finish(struct response_reader *r)
{
	if (!r->message.head_done ||
	    r->exchange->response.framing != FRAMING_CLOSE ||
	    message_finish(&r->message) != MESSAGE_DONE)
		return RESPONSE_MORE;
	return exchange_end_content(r->exchange) ? RESPONSE_WHOLE
						 : RESPONSE_NO_MEMORY;
}
