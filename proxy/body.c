/* body.c - see body.h. */
#include "proxy/body.h"

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

	if (b->in_value && !buffer_add(&b->trailer, "\r\n"))
		return HPE_USER;
	b->done = true;
	return HPE_PAUSED;
}

static int
add_trailer(struct body *b, const char *bytes, size_t size)
{
	b->why = "a trailer section that is too long";
	if (buffer_size(&b->trailer) + size > BODY_TRAILER_MAX)
		return HPE_USER;
	b->why = "out of memory";
	if (!buffer_append(&b->trailer, bytes, size))
		return HPE_USER;
	b->why = NULL;
	return 0;
}

/* Names and values may come in pieces, and values not at all. */
static int
on_name(llhttp_t *parser, const char *bytes, size_t size)
{
	struct body *b = parser->data;
	bool ends_line = b->in_value;

	b->in_value = false;
	if (ends_line && add_trailer(b, "\r\n", 2) != 0)
		return HPE_USER;
	return add_trailer(b, bytes, size);
}

static int
on_name_end(llhttp_t *parser)
{
	struct body *b = parser->data;

	b->in_value = true;
	return add_trailer(b, ": ", 2);
}

static int
on_value(llhttp_t *parser, const char *bytes, size_t size)
{
	return add_trailer(parser->data, bytes, size);
}

/* The head below is llhttp's first; what follows it is the trailer's. */
static const llhttp_settings_t head_settings = { 0 };
static const llhttp_settings_t settings = {
	.on_header_field = on_name,
	.on_header_field_complete = on_name_end,
	.on_header_value = on_value,
	.on_body = on_content,
	.on_message_complete = on_end,
};

/* The head was read already; this one says of it what matters. */
static void
begin_chunks(struct body *b)
{
	static const char head[] =
	    "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n";

	llhttp_init(&b->parser, HTTP_RESPONSE, &head_settings);
	(void)llhttp_execute(&b->parser, head, sizeof head - 1);
	b->parser.settings = (void *)&settings;
	b->parser.data = b;
	b->in_value = false;
	b->why = NULL;
	buffer_truncate(&b->trailer, 0);
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

const char *
body_error(const struct body *b)
{
	const char *why = b->framing != FRAMING_CHUNKED ? "out of memory"
	    : b->why != NULL				? b->why
			     : llhttp_get_error_reason(&b->parser);

	return why == NULL || *why == '\0' ? "a malformed body" : why;
}

static bool
may_trail(const struct head_field *f)
{
	static const char *const never[] = { "content-encoding",
		"content-range", "content-type", "set-cookie",
		"proxy-authorization", "www-authenticate", "cache-control",
		"max-forwards", "age", "expires", "date", "location",
		"retry-after", "vary", "range", "if-match", "if-none-match",
		"if-modified-since", "if-unmodified-since", "if-range" };

	if (f->id != NAME_OTHER)
		return false;
	for (size_t i = 0; i < sizeof never / sizeof *never; i++)
		if (head_is(f->name, never[i]))
			return false;
	return true;
}

bool
body_end_chunks(const struct body *b, struct buffer *out)
{
	const char *bytes = buffer_bytes(&b->trailer), *why;
	size_t size = buffer_size(&b->trailer), at = 0;
	struct head_field f;

	if (!buffer_add(out, "0\r\n"))
		return false;
	while (b->framing == FRAMING_CHUNKED && at < size &&
	    head_next(bytes, size, &at, &f, &why) == HEAD_FIELD)
		if (may_trail(&f) &&
		    !buffer_append(out, f.line.bytes, f.line.size))
			return false;
	return buffer_add(out, "\r\n");
}
