/* reply.c - see reply.h. */
#include "proxy/reply.h"

#include <errno.h>
#include <stdio.h>

static const char *
reason_of(int status)
{
	switch (status) {
	case 200:
		return "OK";
	case 400:
		return "Bad Request";
	case 408:
		return "Request Timeout";
	case 414:
		return "URI Too Long";
	case 431:
		return "Request Header Fields Too Large";
	case 500:
		return "Internal Server Error";
	case 501:
		return "Not Implemented";
	case 502:
		return "Bad Gateway";
	case 503:
		return "Service Unavailable";
	case 504:
		return "Gateway Timeout";
	case 505:
		return "HTTP Version Not Supported";
	default:
		return "Error";
	}
}

struct reply
reply_to_failure(const struct attempt *a, const char *invalid, const char *why)
{
	struct reply r = { .status = 502, .details = why };

	if (invalid != NULL) {
		r.error = "http_protocol_error";
		r.details = invalid;
	} else if (a->shunned) {
		r.status = 503;
		r.error = "destination_unavailable";
	} else if (a->timed_out) {
		r.status = 504;
		r.error = a->sent == 0 ? "connection_timeout"
				       : "http_response_timeout";
	} else if (a->error == ECONNREFUSED) {
		r.error = "connection_refused";
	} else if (a->sent == 0 &&
	    (a->error == EHOSTUNREACH || a->error == ENETUNREACH ||
		a->error == ETIMEDOUT)) {
		r.status = 503;
		r.error = "destination_unavailable";
	} else if (a->error == ENOMEM || a->error == EMFILE ||
	    a->error == ENFILE || a->error == ENOBUFS ||
	    a->error == EADDRNOTAVAIL) {
		r.status = 503;
		r.error = "proxy_internal_error";
	} else if (a->expect_refused) {
		r.error = "http_protocol_error";
	} else if (a->received_final > 0 && !a->stale_408) {
		r.error = "http_response_incomplete";
	} else {
		r.error = "connection_terminated";
	}
	return r;
}

static bool
write_head(const struct reply *r, struct buffer *out)
{
	const char *connection = r->close ? "Connection: close\r\n"
	    : r->keep_alive		  ? "Connection: keep-alive\r\n"
					  : "";

	return buffer_print(out, "HTTP/1.1 %d %s\r\n", r->status,
		   reason_of(r->status)) &&
	    (r->type == NULL ||
		buffer_print(out, "Content-Type: %s\r\n", r->type)) &&
	    buffer_print(out,
		"Content-Length: %zu\r\nProxy-Status: closerace; ",
		r->content_size) &&
	    (r->error == NULL || buffer_print(out, "error=%s; ", r->error)) &&
	    buffer_print(
		out, "details=\"%s\"\r\n%s\r\n", r->details, connection);
}

bool
reply_write(const struct reply *r, struct buffer *out)
{
	struct reply full = *r;
	char text[512];
	int n;

	if (r->content == NULL) {
		n = snprintf(text, sizeof text, "%d %s: %s\n", r->status,
		    reason_of(r->status), r->details);
		if (n < 0 || (size_t)n >= sizeof text)
			n = (int)sizeof text - 1;
		full.type = "text/plain";
		full.content = text;
		full.content_size = (size_t)n;
	}
	return write_head(&full, out) &&
	    (r->to_head || buffer_append(out, full.content, full.content_size));
}
