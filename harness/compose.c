/* compose.c - see compose.h. */
#include "harness/compose.h"

#include <stdio.h>

#include "backend/ledger.h"
#include "harness/bytes.h"
#include "harness/client.h"

static void
put_header(struct bytes *b, const char *name, const char *value)
{
	bytes_put(b, name);
	bytes_put(b, ": ");
	bytes_put(b, value);
	bytes_put(b, "\r\n");
}

void
compose_chunk(struct bytes *b, const char *bytes, size_t size)
{
	char line[32];

	snprintf(line, sizeof line, "%zx\r\n", size);
	bytes_put(b, line);
	bytes_append(b, bytes, size);
	bytes_put(b, "\r\n");
}

void
compose_last_chunk(struct bytes *b)
{
	bytes_put(b, "0\r\n\r\n");
}

static void
put_framing(struct bytes *b, const struct client_request *r)
{
	char length[32];

	if (r->open ? r->length < 0 : r->chunked) {
		put_header(b, "Transfer-Encoding", "chunked");
	} else if (r->open || r->body != NULL) {
		snprintf(length, sizeof length, "%zu",
		    r->open ? (size_t)r->length : r->body_size);
		put_header(b, "Content-Length", length);
	}
}

void
compose_request(struct bytes *b, const struct client_request *r)
{
	bytes_put(b, r->method);
	bytes_put(b, " ");
	bytes_put(b, r->path);
	bytes_put(b, " HTTP/1.1\r\n");
	put_header(b, "Host", "closerace.test");
	if (r->id != NULL)
		put_header(b, LEDGER_ID_HEADER, r->id);
	for (size_t i = 0; i < r->n_headers; i++)
		put_header(b, r->headers[i].name, r->headers[i].value);
	put_framing(b, r);
	bytes_put(b, "\r\n");
	if (r->open)
		return;
	if (r->chunked) {
		if (r->body_size > 0)
			compose_chunk(b, r->body, r->body_size);
		compose_last_chunk(b);
	} else if (r->body != NULL) {
		bytes_append(b, r->body, r->body_size);
	}
}
