/* response_reader.c - see response_reader.h. */
#include "proxy/response_reader.h"

#include "proxy/exchange.h"

void
response_reader_reset(struct response_reader *r)
{
	buffer_truncate(&r->in, 0);
	r->has_head = false;
	r->n_scanned = r->n_checked = 0;
}

static enum response_progress
invalid(struct exchange *x, const char *why)
{
	x->invalid = why;
	return RESPONSE_INVALID;
}

static const char *
read_head(
    struct response *r, const struct exchange *x, const char *head, size_t size)
{
	struct response_to to = { x->request.is_head, x->request.upgrade };

	return response_read(r, head, size, &to);
}

/* Hand over an interim response at the beginning of in, if it is whole.
 * Returns: WHOLE where it was; BEGINS where it is as good as final. */
static enum response_progress
take_interim(struct response_reader *r, struct exchange *x, size_t head_bytes)
{
	const char *bytes = buffer_bytes(&r->in);
	size_t size = head_end(bytes, buffer_size(&r->in));
	struct response interim;
	const char *why;

	if (size > head_bytes ||
	    (size == 0 && buffer_size(&r->in) >= head_bytes))
		return invalid(x, "a response head that is too long");
	if (size == 0)
		return RESPONSE_MORE;
	if (x->n_interim_bytes + size > head_bytes)
		return invalid(x, "interim responses that are too long");
	why = read_head(&interim, x, bytes, size);
	if (why != NULL)
		return invalid(x, why);
	if (interim.status == 101)
		return RESPONSE_BEGINS;
	if (!exchange_add_interim(x, &interim, bytes, size))
		return RESPONSE_NO_MEMORY;
	buffer_consume(&r->in, size);
	return RESPONSE_WHOLE;
}

enum response_progress
response_reader_look(
    struct response_reader *r, struct exchange *x, size_t head_bytes)
{
	enum response_progress progress;

	do {
		switch (
		    response_kind(buffer_bytes(&r->in), buffer_size(&r->in))) {
		case RESPONSE_UNKNOWN:
			return RESPONSE_MORE;
		case RESPONSE_FINAL:
			return RESPONSE_BEGINS;
		case RESPONSE_INTERIM:
			break;
		}
		progress = take_interim(r, x, head_bytes);
	} while (progress == RESPONSE_WHOLE);
	return progress;
}

static bool
take_content(void *exchange, const char *bytes, size_t size)
{
	return exchange_add_content(exchange, bytes, size);
}

/* Is it an answer to something else than what the client has asked?  A 408 to
 * a connection that was idle: behind an interim response it is none (RFC 9110
 * 15.5.9).  A 417 to an Expect that the client did not send (10.1.1). */
static bool
is_stray(struct exchange *x)
{
	const struct response *final = &x->response;

	x->now.stale_408 = final->status == 408 && x->n_interim_bytes == 0 &&
	    (x->now.reused || x->now.verified) &&
	    (final->announces_close || final->framing == FRAMING_CLOSE);
	x->now.expect_refused = final->status == 417 && x->expects_for_us;
	return x->now.stale_408 || x->now.expect_refused;
}

/* The final head, size bytes at the beginning of in.
 * Returns: MORE to go on. */
static enum response_progress
take_final_head(struct response_reader *r, struct exchange *x, size_t size)
{
	const char *head = buffer_bytes(&r->in);
	const struct response *final = &x->response;
	const char *why;

	why = read_head(&x->response, x, head, size);
	if (why != NULL)
		return invalid(x, why);
	if (is_stray(x))
		return RESPONSE_STRAY;
	if (!exchange_add_final(x, head, size))
		return RESPONSE_NO_MEMORY;
	buffer_consume(&r->in, size);
	r->has_head = true;
	body_begin(&r->body, final->framing, final->length, take_content, x);
	return RESPONSE_MORE;
}

/* Look for the end of the final head.  Returns: MORE, also where it was
 * found. */
static enum response_progress
find_head(struct response_reader *r, struct exchange *x, size_t head_bytes)
{
	const char *bytes = buffer_bytes(&r->in), *why;
	size_t size = buffer_size(&r->in), from, end;

	if (size > head_bytes)
		size = head_bytes;
	from = r->n_scanned > 3 ? r->n_scanned - 3 : 0;
	end = head_end(bytes + from, size - from);
	if (end > 0)
		return take_final_head(r, x, from + end);
	r->n_scanned = size;
	/* Seven bytes are enough to see that it is no response at all. */
	if (size > 0 && memcmp(bytes, "HTTP/1.", size < 7 ? size : 7) != 0)
		return invalid(x, "a malformed status line");
	why = head_check(bytes, size, &r->n_checked);
	if (why != NULL)
		return invalid(x, why);
	return size < head_bytes
	    ? RESPONSE_MORE
	    : invalid(x, "a response head that is too long");
}

enum response_progress
response_reader_read(
    struct response_reader *r, struct exchange *x, size_t head_bytes)
{
	enum response_progress progress;
	enum body_result result;
	size_t used;

	if (!r->has_head) {
		progress = find_head(r, x, head_bytes);
		if (progress != RESPONSE_MORE || !r->has_head)
			return progress;
	}
	result = body_feed(
	    &r->body, buffer_bytes(&r->in), buffer_size(&r->in), &used);
	if (result == BODY_BAD)
		return invalid(x, r->body.why);
	buffer_consume(&r->in, used);
	if (result == BODY_MORE)
		return RESPONSE_MORE;
	return exchange_end_content(x) ? RESPONSE_WHOLE : RESPONSE_NO_MEMORY;
}

bool
response_reader_has_news(const struct response_reader *r)
{
	return buffer_size(&r->in) > (r->has_head ? 0 : r->n_scanned);
}

enum response_progress
response_reader_finish(struct response_reader *r, struct exchange *x)
{
	if (!r->has_head ||
	    (r->body.framing != FRAMING_CLOSE &&
		r->body.framing != FRAMING_TUNNEL))
		return RESPONSE_MORE;
	return exchange_end_content(x) ? RESPONSE_WHOLE : RESPONSE_NO_MEMORY;
}
