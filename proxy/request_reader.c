/* request_reader.c - see request_reader.h. */
#include "proxy/request_reader.h"

#include <string.h>

#include "proxy/exchange.h"

bool
request_reader_begin(struct request_reader *r, unsigned *n_empty)
{
	const char *bytes = buffer_bytes(&r->in);

	while (*n_empty < REQUEST_EMPTY_LINES_MAX && buffer_size(&r->in) >= 2 &&
	    memcmp(bytes, "\r\n", 2) == 0) {
		buffer_consume(&r->in, 2);
		bytes = buffer_bytes(&r->in);
		++*n_empty;
	}
	/* Half an empty line says nothing yet. */
	if (buffer_size(&r->in) == 0 ||
	    (buffer_size(&r->in) == 1 && *bytes == '\r'))
		return false;
	r->n_head = r->n_scanned = r->n_checked = 0;
	return true;
}

static enum request_progress
bad(int *status, int with, const char **why, const char *text)
{
	*status = with;
	*why = text;
	return REQUEST_BAD;
}

/* Half a head: what is wrong already need not be waited for. */
static enum request_progress
look_at_half(
    struct request_reader *r, size_t size, int *status, const char **why)
{
	const char *bytes = buffer_bytes(&r->in);
	bool had_line = r->n_checked > 0;
	struct span line;

	if (!head_is_token((struct span){ bytes, 1 }))
		return bad(status, 400, why, "a malformed request line");
	*why = head_check(bytes, size, &r->n_checked);
	if (*why != NULL)
		return bad(status, 400, why, *why);
	if (!had_line && r->n_checked > 0) {
		head_start_line(bytes, size, &line);
		*status = request_check_line(line, why);
		if (*status != 0)
			return REQUEST_BAD;
	}
	return REQUEST_MORE;
}

enum request_progress
request_reader_head(
    struct request_reader *r, size_t head_bytes, int *status, const char **why)
{
	size_t size = buffer_size(&r->in), from;
	enum request_progress progress;

	if (size > head_bytes)
		size = head_bytes;
	/* Its end may have begun in what was there before. */
	from = r->n_scanned > 3 ? r->n_scanned - 3 : 0;
	r->n_head = head_end(buffer_bytes(&r->in) + from, size - from);
	if (r->n_head > 0) {
		r->n_head += from;
		return REQUEST_HEAD;
	}
	r->n_scanned = size;
	progress = look_at_half(r, size, status, why);
	if (progress != REQUEST_MORE || size < head_bytes)
		return progress;
	if (r->n_checked == 0)
		return bad(status, 414, why, "a request line that is too long");
	return bad(status, 431, why, "a request head that is too long");
}

static bool
take_body(void *exchange, const char *bytes, size_t size)
{
	return exchange_add_body(exchange, bytes, size);
}

void
request_reader_begin_body(struct request_reader *r, struct exchange *x)
{
	body_begin(
	    &r->body, x->request.framing, x->request.length, take_body, x);
}

enum request_progress
request_reader_body(struct request_reader *r, struct exchange *x, size_t *used,
    int *status, const char **why)
{
	enum body_result result = body_feed(
	    &r->body, buffer_bytes(&r->in), buffer_size(&r->in), used);

	if (result == BODY_BAD)
		return bad(status, 400, why, r->body.why);
	buffer_consume(&r->in, *used);
	if (result == BODY_MORE)
		return REQUEST_MORE;
	if (!exchange_end_body(x))
		return bad(status, 503, why, "out of memory");
	return REQUEST_WHOLE;
}
