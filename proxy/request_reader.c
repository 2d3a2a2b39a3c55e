/* request_reader.c - see request_reader.h. */
#include "proxy/request_reader.h"

#include <string.h>

static bool
take_body(void *arg, const char *bytes, size_t size)
{
	struct request_reader *r = arg;

	return exchange_add_body(r->exchange, bytes, size);
}

bool
request_reader_begin(struct request_reader *r)
{
	const char *bytes = buffer_bytes(&r->in);

	while (buffer_size(&r->in) >= 2 && memcmp(bytes, "\r\n", 2) == 0) {
		buffer_consume(&r->in, 2);
		bytes = buffer_bytes(&r->in);
	}
	/* Half an empty line says nothing yet. */
	if (buffer_size(&r->in) == 0 ||
	    (buffer_size(&r->in) == 1 && *bytes == '\r'))
		return false;
	r->n_head = 0;
	r->line_checked = false;
	message_expect_request(&r->message, take_body, r);
	return true;
}

/* A line of HTTP/0.9 would make llhttp wait for ever. */
static int
check_line(struct request_reader *r, const char **why)
{
	const char *bytes = buffer_bytes(&r->in);
	const char *lf = memchr(bytes, '\n', r->n_head);

	if (r->line_checked || lf == NULL)
		return 0;
	r->line_checked = true;
	*why = "a line that does not end in CRLF";
	if (lf == bytes || lf[-1] != '\r')
		return 400;
	return request_check_line(
	    (struct span){ bytes, (size_t)(lf - bytes) - 1 }, why);
}

/* Could it be a method that is not known here, or is it none at all? */
static bool
begins_with_token(const struct request_reader *r)
{
	unsigned char c = (unsigned char)buffer_bytes(&r->in)[0];

	return c > ' ' && c < 127 && strchr("\"(),/:;<=>?@[\\]{}", c) == NULL;
}

static enum request_progress
bad(int *status, int with, const char **why, const char *text)
{
	*status = with;
	*why = text;
	return REQUEST_BAD;
}

enum request_progress
request_reader_head(struct request_reader *r, int *status, const char **why)
{
	size_t size = buffer_size(&r->in) - r->n_head, used;
	enum message_result result;

	if (size > r->head_bytes - r->n_head)
		size = r->head_bytes - r->n_head;
	result = message_feed(
	    &r->message, buffer_bytes(&r->in) + r->n_head, size, &used);
	r->n_head += used;
	*status = check_line(r, why);
	if (*status != 0)
		return REQUEST_BAD;
	if (result == MESSAGE_BAD)
		return bad(status,
		    begins_with_token(r) ? message_refusal(&r->message) : 400,
		    why, message_error(&r->message));
	if (result == MESSAGE_HEAD)
		return REQUEST_HEAD;
	if (r->n_head < r->head_bytes)
		return REQUEST_MORE;
	if (!r->line_checked)
		return bad(status, 414, why, "a request line that is too long");
	return bad(status, 431, why, "a request head that is too long");
}

enum request_progress
request_reader_body(
    struct request_reader *r, size_t *used, int *status, const char **why)
{
	enum message_result result = message_feed(
	    &r->message, buffer_bytes(&r->in), buffer_size(&r->in), used);

	if (result == MESSAGE_BAD)
		return bad(status, 400, why, message_error(&r->message));
	buffer_consume(&r->in, *used);
	if (result == MESSAGE_MORE)
		return REQUEST_MORE;
	if (!exchange_end_body(r->exchange))
		return bad(status, 503, why, "out of memory");
	return REQUEST_WHOLE;
}
