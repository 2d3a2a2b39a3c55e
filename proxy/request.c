/* request.c - see request.h. */
#include "proxy/request.h"

#include <string.h>

struct fields { /* what is counted while reading */
	unsigned n_hosts, n_lengths, n_codings, n_upgrades, n_forwards;
	bool bad_host, bad_length, bad_forwards, is_chunked, expects_continue;
	int forwards;
	unsigned seen; /* 1 << name */
	struct span upgrade;
};

static bool
equals(struct span s, const char *word)
{
	return s.size == strlen(word) && memcmp(s.bytes, word, s.size) == 0;
}

/* Visible ASCII only; what is not, must be percent-encoded (RFC 3986 2).  And
 * no fragment, which is the client's alone. */
static bool
is_target(struct span s)
{
	size_t n = 0;

	while (n < s.size && s.bytes[n] > ' ' && s.bytes[n] < 0x7f &&
	    s.bytes[n] != '#')
		n++;
	return n > 0 && n == s.size;
}

/* METHOD SP target SP HTTP/1.x, each exactly once. */
static bool
split_line(struct span line, struct span *method, struct span *target,
    struct span *version)
{
	const char *end = line.bytes + line.size, *a, *b;

	a = memchr(line.bytes, ' ', line.size);
	if (a == NULL)
		return false;
	b = memchr(a + 1, ' ', (size_t)(end - a - 1));
	if (b == NULL || memchr(b + 1, ' ', (size_t)(end - b - 1)) != NULL)
		return false;
	*method = (struct span){ line.bytes, (size_t)(a - line.bytes) };
	*target = (struct span){ a + 1, (size_t)(b - a - 1) };
	*version = (struct span){ b + 1, (size_t)(end - b - 1) };
	return head_is_token(*method) && is_target(*target);
}

static int
refuse(int status, const char **why, const char *text)
{
	*why = text;
	return status;
}

int
request_check_line(struct span line, const char **why)
{
	struct span method, target, version;

	if (!split_line(line, &method, &target, &version))
		return refuse(400, why, "a malformed request line");
	if (!head_is_version(version))
		return refuse(400, why, "a malformed request line");
	if (version.bytes[5] != '1')
		return refuse(505, why, "only HTTP/1 is known");
	if (equals(method, "CONNECT"))
		return refuse(501, why, "CONNECT is not offered");
	return 0;
}

/* What a host name may have (RFC 3986 3.2.2), but for the comma, which would
 * make a list of it. */
static bool
is_host_char(unsigned char c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
	    (c >= '0' && c <= '9') || c == '.' || c == '-' ||
	    (c != '\0' && strchr("_~%!$&'()*+;=", c) != NULL);
}

/* One host and perhaps a port. */
static bool
is_authority(struct span s)
{
	size_t n = 0;

	if (s.size > 0 && s.bytes[0] == '[') {
		const char *end = memchr(s.bytes, ']', s.size);

		for (n = 1; n < s.size &&
		     (is_host_char((unsigned char)s.bytes[n]) ||
			 s.bytes[n] == ':');)
			n++;
		if (end == NULL || s.bytes + n != end)
			return false;
		n++;
	} else {
		while (n < s.size && is_host_char((unsigned char)s.bytes[n]))
			n++;
	}
	if (n < s.size && s.bytes[n] == ':')
		for (n++; n < s.size && s.bytes[n] >= '0' && s.bytes[n] <= '9';)
			n++;
	return n == s.size;
}

/* Digits; of what is beyond counting, the most that is counted. */
static bool
read_forwards(struct span s, int *forwards)
{
	int n = 0;

	for (size_t i = 0; i < s.size; i++) {
		if (!head_is_digit(s.bytes[i]))
			return false;
		n = n > REQUEST_FORWARDS_MAX / 10 ? REQUEST_FORWARDS_MAX
						  : n * 10 + s.bytes[i] - '0';
	}
	*forwards = n;
	return s.size > 0;
}

static void
read_field(struct request *r, struct fields *n, const struct head_field *f)
{
	n->seen |= 1u << f->id;
	switch (f->id) {
	case NAME_HOST:
		n->n_hosts++;
		n->bad_host |= !is_authority(f->value);
		break;
	case NAME_CONTENT_LENGTH:
		n->n_lengths++;
		n->bad_length |= !head_number(f->value, &r->length);
		break;
	case NAME_TRANSFER_ENCODING:
		n->n_codings++;
		n->is_chunked = head_is(f->value, "chunked");
		break;
	case NAME_EXPECT:
		n->expects_continue |= head_is(f->value, "100-continue");
		break;
	case NAME_MAX_FORWARDS:
		n->n_forwards++;
		n->bad_forwards |= !read_forwards(f->value, &n->forwards);
		break;
	case NAME_UPGRADE:
		n->n_upgrades++;
		n->upgrade = f->value;
		break;
	default:
		break;
	}
}

/* scheme "://" authority path-and-query (RFC 9112 3.2.2): what is asked is the
 * authority's, and the rest goes on as its path.
 * Returns: false where it is malformed. */
static bool
split_target(struct request *r)
{
	const char *end = r->target.bytes + r->target.size, *slash;
	const char *scheme = memmem(r->target.bytes, r->target.size, "://", 3);
	struct span s;

	if (scheme == NULL)
		return r->target.bytes[0] == '*' && r->target.size == 1 &&
		    equals(r->method, "OPTIONS");
	s = (struct span){ r->target.bytes,
		(size_t)(scheme - r->target.bytes) };
	if (!head_is(s, "http") && !head_is(s, "https"))
		return false;
	slash = scheme + 3;
	while (slash < end && *slash != '/' && *slash != '?')
		slash++;
	r->authority =
	    (struct span){ scheme + 3, (size_t)(slash - scheme) - 3 };
	r->target = (struct span){ slash, (size_t)(end - slash) };
	return r->authority.size > 0 && is_authority(r->authority);
}

/* RFC 9110 7.6.2: what other methods say of it may be ignored, and is. */
static int
judge_forwards(struct request *r, const struct fields *n, const char **why)
{
	r->forwards = -1;
	if (n->n_forwards == 0 || (r->hops.drops >> NAME_MAX_FORWARDS & 1) == 0)
		return 0;
	if (n->n_forwards > 1)
		return refuse(400, why, "several Max-Forwards fields");
	if (n->bad_forwards)
		return refuse(400, why, "a malformed Max-Forwards");
	r->forwards = n->forwards;
	return 0;
}

static int
judge_fields(struct request *r, const struct fields *n, const char **why)
{
	if (n->n_hosts > 1)
		return refuse(400, why, "several Host fields");
	if (n->n_hosts == 0 && r->minor == 1)
		return refuse(400, why, "no Host field");
	if (n->bad_host)
		return refuse(400, why, "a malformed Host field");
	if (n->n_lengths > 1)
		return refuse(400, why, "several Content-Length fields");
	if (n->bad_length)
		return refuse(400, why, "a malformed Content-Length");
	if (n->n_codings > 0 && n->n_lengths > 0)
		return refuse(
		    400, why, "both Transfer-Encoding and Content-Length");
	if (n->n_codings > 0 && r->minor == 0)
		return refuse(400, why, "Transfer-Encoding in HTTP/1.0");
	if (n->n_codings > 1 || (n->n_codings == 1 && !n->is_chunked))
		return refuse(
		    501, why, "a transfer coding that is not just chunked");
	return judge_forwards(r, n, why);
}

/* The request line.  Returns: 0, or the status to refuse with. */
static int
read_line(struct request *r, struct span line, const char **why)
{
	int status = request_check_line(line, why);
	struct span version;

	if (status != 0)
		return status;
	split_line(line, &r->method, &r->target, &version);
	r->said_minor = version.bytes[7];
	r->minor = r->said_minor != '0'; /* RFC 9110 6.2 */
	r->is_head = equals(r->method, "HEAD");
	r->is_trace = equals(r->method, "TRACE");
	if (r->target.bytes[0] != '/' && !split_target(r))
		return refuse(400, why, "a malformed request target");
	return 0;
}

/* With a body it would not be clear where the tunnel begins; and through one
 * of HTTP/2 any number of requests would pass unseen. */
static bool
may_upgrade(const struct request *r, const struct fields *n)
{
	struct span token;
	size_t at = 0;

	if (n->n_upgrades != 1 || !r->hops.upgrade || r->minor == 0 ||
	    r->framing != FRAMING_NONE)
		return false;
	while (head_next_token(n->upgrade, &at, &token))
		if (head_is(token, "h2c"))
			return false;
	return n->upgrade.size > 0;
}

/* Has it a field of that name, as the backend will see it? */
static bool
sends(const struct request *r, const struct fields *n, enum head_name name)
{
	return (n->seen >> name & 1) && head_goes_on(&r->hops, name);
}

int
request_read(struct request *r, const char *head, size_t size, const char **why)
{
	struct fields n = { 0 };
	struct head_field f;
	struct span line;
	size_t at;
	int status;

	*r = (struct request){ .hops.drops = HEAD_DROPS };
	*why = head_start_line(head, size, &line);
	if (*why != NULL)
		return 400;
	status = read_line(r, line, why);
	if (status != 0)
		return status;
	/* RFC 9112 3.2.2; an HTTP/1.0 client would not understand the 100. */
	if (r->authority.size > 0)
		r->hops.drops |= 1u << NAME_HOST;
	if (r->minor == 0)
		r->hops.drops |= 1u << NAME_EXPECT;
	/* It is counted down, and written anew. */
	if (r->is_trace || equals(r->method, "OPTIONS"))
		r->hops.drops |= 1u << NAME_MAX_FORWARDS;
	at = r->fields_at = line.size + 2;
	while (head_next(head, size, &at, &f, why) == HEAD_FIELD) {
		read_field(r, &n, &f);
		if (!head_note_hop(&r->hops, head, &f))
			return refuse(400, why, "too many Connection options");
	}
	if (*why != NULL)
		return 400;
	status = judge_fields(r, &n, why);
	if (status != 0)
		return status;

	r->framing = n.n_codings > 0 ? FRAMING_CHUNKED
	    : r->length > 0	     ? FRAMING_LENGTH
				     : FRAMING_NONE;
	r->has_host = n.n_hosts > 0 && r->authority.size == 0;
	r->keep_alive = !r->hops.close && (r->minor == 1 || r->hops.keep_alive);
	r->has_credentials =
	    sends(r, &n, NAME_COOKIE) || sends(r, &n, NAME_AUTHORIZATION);
	r->has_key = sends(r, &n, NAME_IDEMPOTENCY_KEY);
	r->expects_continue = n.expects_continue && sends(r, &n, NAME_EXPECT);
	if (may_upgrade(r, &n))
		r->upgrade = n.upgrade;
	return 0;
}

/* The path of the target, without its query. */
static struct span
path_of(struct span target)
{
	const char *query = memchr(target.bytes, '?', target.size);

	if (query != NULL)
		target.size = (size_t)(query - target.bytes);
	return target;
}

static bool
is_listed(const struct request *r, const struct proxy_options *o)
{
	struct span path;

	if (o->retry_list.n == 0)
		return false;
	path = path_of(r->target);
	return retry_list_has(&o->retry_list, r->method.bytes, r->method.size,
	    path.bytes, path.size);
}

struct request_facts
request_facts(const struct request *r, const struct proxy_options *o)
{
	/* RFC 9110 9.2.2, of the methods that it defines */
	static const char *const idempotent[] = { "GET", "HEAD", "OPTIONS",
		"TRACE", "PUT", "DELETE" };
	struct request_facts facts = { .replayable = true };

	for (size_t i = 0; i < sizeof idempotent / sizeof *idempotent; i++)
		facts.idempotent |= equals(r->method, idempotent[i]);
	facts.is_static = (r->is_head || equals(r->method, "GET")) &&
	    r->framing == FRAMING_NONE && !r->has_credentials &&
	    memchr(r->target.bytes, '?', r->target.size) == NULL;
	facts.listed = r->has_key || is_listed(r, o);
	return facts;
}

static bool
write_target(const struct request *r, struct buffer *out)
{
	/* An absolute-form target need not have a path. */
	bool bare = r->target.size == 0 || r->target.bytes[0] == '?';

	if (r->target.size == 0 && equals(r->method, "OPTIONS"))
		return buffer_add(out, "*");
	return (!bare || buffer_add(out, "/")) &&
	    buffer_append(out, r->target.bytes, r->target.size);
}

static bool
write_own_host(const char *backend, struct buffer *out)
{
	return buffer_print(out, "Host: %s\r\n", backend);
}

/* HTTP/1.1 wants a Host; a client of HTTP/1.0 need not have sent one, and one
 * beside an absolute-form target does not count. */
static bool
write_host(const struct request *r, const char *backend, struct buffer *out)
{
	if (r->has_host)
		return true;
	if (r->authority.size == 0)
		return write_own_host(backend, out);
	return buffer_add(out, "Host: ") &&
	    buffer_append(out, r->authority.bytes, r->authority.size) &&
	    buffer_add(out, "\r\n");
}

static bool
write_connection(const struct request *r, bool close, struct buffer *out)
{
	if (r->upgrade.size > 0)
		return buffer_add(out, "Connection: upgrade\r\nUpgrade: ") &&
		    buffer_append(out, r->upgrade.bytes, r->upgrade.size) &&
		    buffer_add(out, "\r\n");
	return !close || buffer_add(out, "Connection: close\r\n");
}

bool
request_write(const struct request *r, const char *head, size_t size,
    const char *backend, bool close, bool expect, struct buffer *out)
{
	bool chunked = r->framing == FRAMING_CHUNKED;

	return buffer_append(out, r->method.bytes, r->method.size) &&
	    buffer_add(out, " ") && write_target(r, out) &&
	    buffer_add(out, " HTTP/1.1\r\n") && write_host(r, backend, out) &&
	    head_forward(head, size, r->fields_at, &r->hops, out) &&
	    (r->forwards <= 0 ||
		buffer_print(out, "Max-Forwards: %d\r\n", r->forwards - 1)) &&
	    (!chunked || buffer_add(out, "Transfer-Encoding: chunked\r\n")) &&
	    (!expect || buffer_add(out, "Expect: 100-continue\r\n")) &&
	    write_connection(r, close, out) &&
	    head_write_via(r->said_minor, out);
}

static bool
is_secret(const struct head_field *f)
{
	return f->id == NAME_COOKIE || f->id == NAME_AUTHORIZATION ||
	    head_is(f->name, "proxy-authorization");
}

bool
request_reflect(
    const struct request *r, const char *head, size_t size, struct buffer *out)
{
	size_t at = r->fields_at;
	struct head_field f;
	const char *why;

	if (!buffer_append(out, head, at))
		return false;
	while (head_next(head, size, &at, &f, &why) == HEAD_FIELD)
		if (!is_secret(&f) &&
		    !buffer_append(out, f.line.bytes, f.line.size))
			return false;
	return buffer_add(out, "\r\n");
}

bool
request_write_probe(const char *backend, struct buffer *out)
{
	return buffer_add(out, "OPTIONS * HTTP/1.1\r\n") &&
	    write_own_host(backend, out) &&
	    buffer_add(out, "Via: 1.1 closerace\r\n\r\n");
}
