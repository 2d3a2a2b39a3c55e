/* message.c - see message.h. */
#include "proxy/message.h"

#include <assert.h>

static struct message *
message_of(llhttp_t *parser)
{
	return parser->data;
}

static int
on_headers_complete(llhttp_t *parser)
{
	struct message *m = message_of(parser);
	int status = parser->status_code;

	m->head_done = true;
	/* No tunnels: what Upgrade or CONNECT would begin, never begins. */
	parser->upgrade = 0;
	/* The answer 1 (no body) would leave no room for the pause. */
	if (parser->type == HTTP_RESPONSE &&
	    (m->answers_head || status < 200 || status == 204 || status == 304))
		parser->flags |= F_SKIPBODY;
	return HPE_PAUSED;
}

static int
on_body(llhttp_t *parser, const char *bytes, size_t size)
{
	struct message *m = message_of(parser);

	if (m->body(m->arg, bytes, size))
		return 0;
	llhttp_set_error_reason(parser, "out of memory");
	return HPE_USER;
}

static int
on_message_complete(llhttp_t *parser)
{
	message_of(parser)->done = true;
	return HPE_PAUSED;
}

static const llhttp_settings_t settings = {
	.on_headers_complete = on_headers_complete,
	.on_body = on_body,
	.on_message_complete = on_message_complete,
};

static void
expect(struct message *m, llhttp_type_t type, message_body_fn *body, void *arg)
{
	llhttp_init(&m->parser, type, &settings);
	m->parser.data = m;
	m->body = body;
	m->arg = arg;
	m->head_done = m->done = m->answers_head = false;
}

void
message_expect_request(struct message *m, message_body_fn *body, void *arg)
{
	expect(m, HTTP_REQUEST, body, arg);
}

void
message_expect_response(
    struct message *m, bool answers_head, message_body_fn *body, void *arg)
{
	expect(m, HTTP_RESPONSE, body, arg);
	m->answers_head = answers_head;
}

enum message_result
message_feed(struct message *m, const char *bytes, size_t size, size_t *used)
{
	bool had_head = m->head_done;
	llhttp_errno_t error;

	assert(!m->done);
	*used = size;
	error = llhttp_execute(&m->parser, bytes, size);
	if (error == HPE_OK)
		return MESSAGE_MORE;
	if (error != HPE_PAUSED)
		return MESSAGE_BAD;
	*used = (size_t)(llhttp_get_error_pos(&m->parser) - bytes);
	llhttp_resume(&m->parser);
	if (m->done)
		return MESSAGE_DONE;
	assert(!had_head && m->head_done);
	(void)had_head;
	return MESSAGE_HEAD;
}

enum message_result
message_finish(struct message *m)
{
	(void)llhttp_finish(&m->parser);
	return m->done ? MESSAGE_DONE : MESSAGE_BAD;
}

const char *
message_error(const struct message *m)
{
	const char *why = llhttp_get_error_reason(&m->parser);

	return why == NULL || *why == '\0' ? "a malformed message" : why;
}

int
message_refusal(const struct message *m)
{
	switch (llhttp_get_errno(&m->parser)) {
	case HPE_INVALID_METHOD:
		return 501;
	case HPE_INVALID_VERSION:
		return 505;
	default:
		return 400;
	}
}
