/* request.c - see request.h. */
#include "proxy/request.h"

#include <arpa/inet.h>
#include <string.h>

struct fields { /* what is counted while reading */
	unsigned n_hosts, n_lengths, n_codings;
	bool bad_host, bad_length, is_chunked;
};

static bool
equals(struct span s, const char *word)
{
	return s.size == strlen(word) && memcmp(s.bytes, word, s.size) == 0;
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
	return method->size > 0 && target->size > 0 &&
	    memchr(target->bytes, '\t', target->size) == NULL;
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
	if (version.size != 8 || memcmp(version.bytes, "HTTP/", 5) != 0)
		return refuse(400, why, "a malformed request line");
	if (!equals(version, "HTTP/1.1") && !equals(version, "HTTP/1.0"))
		return refuse(505, why, "only HTTP/1.0 and HTTP/1.1 are known");
	if (equals(method, "CONNECT"))
		return refuse(501, why, "CONNECT is not offered");
	return 0;
}

static bool
read_field(struct request *r, struct fields *n, const struct head_field *f)
{
	if (head_is(f->name, "connection"))
		return head_add_hops(&r->hops, f->value);
	if (head_is(f->name, "host")) {
		n->n_hosts++;
		if (memchr(f->value.bytes, ' ', f->value.size) != NULL ||
		    memchr(f->value.bytes, '\t', f->value.size) != NULL)
			n->bad_host = true;
	} else if (head_is(f->name, "content-length")) {
		n->n_lengths++;
		if (!head_number(f->value, &r->length))
			n->bad_length = true;
	} else if (head_is(f->name, "transfer-encoding")) {
		n->n_codings++;
		n->is_chunked = head_is(f->value, "chunked");
	} else if (head_is(f->name, "expect")) {
		r->expects_continue |= head_is(f->value, "100-continue");
	} else if (head_is(f->name, "cookie") ||
	    head_is(f->name, "authorization")) {
		r->has_credentials = true;
	} else if (head_is(f->name, "idempotency-key")) {
		r->has_key = true;
	}
	return true;
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
	return 0;
}

int
request_read(struct request *r, const char *head, size_t size, const char **why)
{
	struct span line = head_start_line(head, size), version;
	struct fields n = { 0 };
	struct head_field f;
	size_t at = 0;
	int status;

	*r = (struct request){ 0 };
	*why = head_check(head, size);
	if (*why != NULL)
		return 400;
	status = request_check_line(line, why);
	if (status != 0)
		return status;
	split_line(line, &r->method, &r->target, &version);
	r->minor = version.bytes[7] - '0';
	while (head_next(head, size, &at, &f))
		if (!read_field(r, &n, &f))
			return refuse(400, why, "too many Connection options");
	status = judge_fields(r, &n, why);
	if (status != 0)
		return status;

	r->framing = n.n_codings > 0 ? FRAMING_CHUNKED
	    : r->length > 0	     ? FRAMING_LENGTH
				     : FRAMING_NONE;
	r->is_head = equals(r->method, "HEAD");
	r->has_host = n.n_hosts > 0;
	r->keep_alive = !r->hops.close && (r->minor == 1 || r->hops.keep_alive);
	if (r->minor == 0)
		r->expects_continue = false;
	return 0;
}

/* The path of the target: no authority, no query. */
static struct span
path_of(struct span target)
{
	const char *end = target.bytes + target.size, *at = target.bytes;
	const char *found;

	if (target.size > 0 && *at != '/' &&
	    (found = memmem(at, target.size, "://", 3)) != NULL) {
		found = memchr(found + 3, '/', (size_t)(end - found) - 3);
		at = found == NULL ? end : found;
	}
	found = memchr(at, '?', (size_t)(end - at));
	return (struct span){ at, (size_t)((found ? found : end) - at) };
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

/* HTTP/1.1 wants a Host; a client of HTTP/1.0 need not have sent one. */
static bool
write_host(const struct sockaddr_in *backend, struct buffer *out)
{
	char address[INET_ADDRSTRLEN];

	inet_ntop(AF_INET, &backend->sin_addr, address, sizeof address);
	return buffer_print(out, "Host: %s:%u\r\n", address,
	    (unsigned)ntohs(backend->sin_port));
}

bool
request_write(const struct request *r, const char *head, size_t size,
    const struct sockaddr_in *backend, bool close, struct buffer *out)
{
	const char *via = r->minor == 0 ? "Via: 1.0 closerace\r\n\r\n"
					: "Via: 1.1 closerace\r\n\r\n";
	bool chunked = r->framing == FRAMING_CHUNKED;

	/* An HTTP/1.0 client would not understand the 100. */
	return buffer_append(out, r->method.bytes, r->method.size) &&
	    buffer_add(out, " ") &&
	    buffer_append(out, r->target.bytes, r->target.size) &&
	    buffer_add(out, " HTTP/1.1\r\n") &&
	    (r->has_host || write_host(backend, out)) &&
	    head_forward(
		head, size, &r->hops, r->minor == 0 ? "expect" : NULL, out) &&
	    (!chunked || buffer_add(out, "Transfer-Encoding: chunked\r\n")) &&
	    (!close || buffer_add(out, "Connection: close\r\n")) &&
	    buffer_add(out, via);
}
