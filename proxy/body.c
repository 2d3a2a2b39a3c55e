/* body.c - see body.h. */
#include "proxy/body.h"

#include <assert.h>

static int
on_content(llhttp_t *parser, const char *bytes, size_t size)
{
	struct body *b = parser->data;

	if (b->content(b->arg, bytes, size))
		return 0;
	llhttp_set_error_reason(parser, "out of memory");
	return HPE_USER;
}

static int
on_end(llhttp_t *parser)
{
	struct body *b = parser->data;

	b->done = true;
	return HPE_PAUSED;
}

static const llhttp_settings_t settings = {
	.on_body = on_content,
	.on_message_complete = on_end,
};

/* The head was read already; this one says of it what matters. */
static void
begin_chunks(struct body *b)
{
	static const char head[] =
	    "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n";

	llhttp_init(&b->parser, HTTP_RESPONSE, &settings);
	b->parser.data = b;
	(void)llhttp_execute(&b->parser, head, sizeof head - 1);
}

void
body_begin(struct body *b, enum framing framing, uint64_t length,
    body_content_fn *content, void *arg)
{
	b->framing = framing;
	b->done = framing == FRAMING_NONE;
	b->left = length;
	b->content = content;
	b->arg = arg;
	if (framing == FRAMING_CHUNKED)
		begin_chunks(b);
}

static enum body_result
feed_chunks(struct body *b, const char *bytes, size_t size, size_t *used)
{
	llhttp_errno_t error = llhttp_execute(&b->parser, bytes, size);

	*used = size;
	if (error == HPE_OK)
		return BODY_MORE;
	if (error != HPE_PAUSED)
		return BODY_BAD;
	*used = (size_t)(llhttp_get_error_pos(&b->parser) - bytes);
	return BODY_DONE;
}

enum body_result
body_feed(struct body *b, const char *bytes, size_t size, size_t *used)
{
	*used = 0;
	if (b->done)
		return BODY_DONE;
	if (b->framing == FRAMING_CHUNKED)
		return feed_chunks(b, bytes, size, used);
	if (b->framing == FRAMING_LENGTH && size > b->left)
		size = (size_t)b->left;
	if (!b->content(b->arg, bytes, size))
		return BODY_BAD;
	*used = size;
	b->left -= size;
	b->done = b->framing == FRAMING_LENGTH && b->left == 0;
	return b->done ? BODY_DONE : BODY_MORE;
}

uint64_t
body_certain(const struct body *b)
{
	if (b->done)
		return 0;
	if (b->framing == FRAMING_LENGTH)
		return b->left;
	return b->framing == FRAMING_CHUNKED ? 0 : UINT64_MAX;
}

enum body_result
body_skip(struct body *b, size_t size)
{
	assert(size <= body_certain(b));
	b->left -= size;
	b->done = b->framing == FRAMING_LENGTH && b->left == 0;
	return b->done ? BODY_DONE : BODY_MORE;
}

const char *
body_error(const struct body *b)
{
	const char *why = b->framing == FRAMING_CHUNKED
	    ? llhttp_get_error_reason(&b->parser)
	    : "out of memory";

	return why == NULL || *why == '\0' ? "a malformed body" : why;
}
