/* follow.c - see follow.h.  llhttp does the parsing and is paused at the two
 * places whose offsets matter: behind the head, and behind the message. */
#include "backend/follow.h"

#include <string.h>
#include <strings.h>

#include "backend/ledger.h"

enum wanted { WANT_NOTHING, WANT_ID, WANT_EXPECT };

/* Append at most what fits, and keep it a string. */
static void
append(char *to, size_t *n, size_t to_size, const char *from, size_t size)
{
	if (size > to_size - 1 - *n)
		size = to_size - 1 - *n;
	memcpy(to + *n, from, size);
	*n += size;
	to[*n] = '\0';
}

static int
on_url(llhttp_t *p, const char *at, size_t size)
{
	struct follow *f = p->data;

	append(f->target, &f->n_target, sizeof f->target, at, size);
	return 0;
}

static int
on_url_complete(llhttp_t *p)
{
	struct follow *f = p->data;
	const char *name = llhttp_method_name((llhttp_method_t)p->method);
	size_t n = 0;

	append(f->method, &n, sizeof f->method, name, strlen(name));
	follow_path_id(f->target, f->id);
	f->target_known = true;
	return 0;
}

static int
on_field(llhttp_t *p, const char *at, size_t size)
{
	struct follow *f = p->data;

	append(f->name, &f->n_name, sizeof f->name, at, size);
	return 0;
}

static int
on_field_complete(llhttp_t *p)
{
	struct follow *f = p->data;

	f->wanted = WANT_NOTHING;
	if (strcasecmp(f->name, LEDGER_ID_HEADER) == 0 && !f->id_known)
		f->wanted = WANT_ID;
	else if (strcasecmp(f->name, "Expect") == 0)
		f->wanted = WANT_EXPECT;
	f->n_name = f->n_value = 0;
	f->name[0] = f->value[0] = '\0';
	return 0;
}

static int
on_value(llhttp_t *p, const char *at, size_t size)
{
	struct follow *f = p->data;

	if (f->wanted != WANT_NOTHING)
		append(f->value, &f->n_value, sizeof f->value, at, size);
	return 0;
}

static int
on_value_complete(llhttp_t *p)
{
	struct follow *f = p->data;

	while (f->n_value > 0 && strchr(" \t", f->value[f->n_value - 1]))
		f->value[--f->n_value] = '\0';
	if (f->wanted == WANT_ID) {
		memcpy(f->id, f->value, f->n_value + 1);
		f->id_known = true;
	} else if (f->wanted == WANT_EXPECT)
		f->expects_100 = strcasecmp(f->value, "100-continue") == 0;
	f->wanted = WANT_NOTHING;
	return 0;
}

static int
on_headers_complete(llhttp_t *p)
{
	struct follow *f = p->data;

	f->head_now = true;
	f->status = p->status_code;
	if (f->kind == FOLLOW_RESPONSE &&
	    (f->no_body || (f->connects && f->status / 100 == 2) ||
		f->status == 204 || f->status == 304 || f->status / 100 == 1))
		p->flags |= F_SKIPBODY;
	return HPE_PAUSED;
}

static int
on_message_complete(llhttp_t *p)
{
	struct follow *f = p->data;

	f->whole_now = true;
	return HPE_PAUSED;
}

static const llhttp_settings_t settings = {
	.on_url = on_url,
	.on_url_complete = on_url_complete,
	.on_header_field = on_field,
	.on_header_field_complete = on_field_complete,
	.on_header_value = on_value,
	.on_header_value_complete = on_value_complete,
	.on_headers_complete = on_headers_complete,
	.on_message_complete = on_message_complete,
};

void
follow_start(struct follow *f, enum follow_kind kind, bool no_body)
{
	/* The long buffers need no clearing. */
	f->kind = kind;
	f->size = f->line_end = f->head_end = f->end = 0;
	f->lost = f->until_eof = f->target_known = f->id_known = false;
	f->expects_100 = f->begun = f->head_now = f->whole_now = false;
	f->no_body = no_body;
	f->connects = false;
	f->method[0] = f->target[0] = f->id[0] = '\0';
	f->name[0] = f->value[0] = '\0';
	f->status = 0;
	f->n_target = f->n_name = f->n_value = 0;
	f->wanted = WANT_NOTHING;
	llhttp_init(&f->parser,
	    kind == FOLLOW_REQUEST ? HTTP_REQUEST : HTTP_RESPONSE, &settings);
}

/* The first line ends at the first line feed that has anything before it;
 * empty lines in front of a message belong to it. */
static void
find_line_end(struct follow *f, const char *bytes, size_t size)
{
	for (size_t i = 0; i < size && f->line_end == 0; i++) {
		if (bytes[i] == '\n' && f->begun)
			f->line_end = f->size + i + 1;
		else if (bytes[i] != '\r' && bytes[i] != '\n')
			f->begun = true;
	}
}

static void
settle_head(struct follow *f)
{
	f->head_now = false;
	f->head_end = f->size;
	f->id_known = true;
	if (f->kind == FOLLOW_RESPONSE)
		f->until_eof = llhttp_message_needs_eof(&f->parser);
}

/* One go of the parser.  Out: bytes used. */
static size_t
execute(struct follow *f, const char *bytes, size_t size)
{
	enum llhttp_errno err;
	size_t used = size;

	f->parser.data = f;
	err = llhttp_execute(&f->parser, bytes, size);
	if (err != HPE_OK)
		used = (size_t)(llhttp_get_error_pos(&f->parser) - bytes);
	find_line_end(f, bytes, used);
	f->size += used;
	if (f->line_end != 0)
		f->status = f->parser.status_code;
	if (f->head_now)
		settle_head(f);
	if (f->whole_now) {
		f->whole_now = false;
		f->end = f->size;
	} else if (err == HPE_PAUSED)
		llhttp_resume(&f->parser);
	else if (err != HPE_OK)
		f->lost = true;
	return used;
}

size_t
follow_feed(struct follow *f, const void *bytes, size_t size)
{
	const char *at = bytes;
	size_t used = 0;
	size_t head_end;

	while (f->end == 0 && !f->lost && used < size) {
		head_end = f->head_end;
		used += execute(f, at + used, size - used);
		/* A message without a body is complete with its head, but the
		 * parser says so only when it is asked again. */
		if (f->head_end != head_end && f->end == 0 && used == size)
			execute(f, at + used, 0);
	}
	return used;
}

void
follow_eof(struct follow *f)
{
	if (f->end != 0 || f->lost)
		return;
	if (f->until_eof && f->head_end != 0)
		f->end = f->size;
}

bool
follow_longer_than(const struct follow *f, size_t n)
{
	if (f->size > n)
		return true;
	return f->size == n && f->end == 0 && !f->lost && !f->until_eof;
}

/* Skip scheme and authority of an absolute target. */
static const char *
origin_form(const char *target)
{
	const char *colon = strstr(target, "://");
	const char *slash;

	if (target[0] == '/' || colon == NULL)
		return target;
	slash = strchr(colon + 3, '/');
	return slash != NULL ? slash : "/";
}

void
follow_path(const char *target, char *path, size_t path_size)
{
	size_t n;

	target = origin_form(target);
	n = strcspn(target, "?#");
	if (n > path_size - 1)
		n = path_size - 1;
	memcpy(path, target, n);
	path[n] = '\0';
}

const char *
follow_path_id(const char *target, char id[FOLLOW_ID_MAX])
{
	const char *path = origin_form(target);
	size_t n, kept;

	id[0] = '\0';
	if (strncmp(path, "/id/", 4) != 0)
		return path;
	path += 4;
	n = strcspn(path, "/?#");
	kept = n < FOLLOW_ID_MAX ? n : FOLLOW_ID_MAX - 1;
	memcpy(id, path, kept);
	id[kept] = '\0';
	return path + n;
}
