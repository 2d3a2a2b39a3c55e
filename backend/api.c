/* api.c - see api.h.  A request is judged by its head: what is refused is read
 * to its end all the same, for a client that is still sending would lose the
 * answer to a reset; one that waits for a 100 is told at once. */
#include "backend/api.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "backend/guard.h"
#include "backend/json.h"

#define BODY_MAX    ((size_t)1 << 20)
#define SWALLOW_MAX ((size_t)64 << 20) /* of a body that is not used */
#define FAULT_TYPE  "text/x-closerace-fault"

struct request {
	struct json body;
	size_t size;	 /* of the body, what was dropped included */
	unsigned status; /* it is refused with that; 0: it is not */
	char why[512];
	const char *allow; /* with 405 */
};

static bool refuse(struct request *, unsigned status, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/* Returns: false. */
static bool
refuse(struct request *q, unsigned status, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	vsnprintf(q->why, sizeof q->why, format, args);
	va_end(args);
	q->status = status;
	return false;
}

/* --------------------------------------------------------------- answers -- */

static enum MHD_Result
respond(struct MHD_Connection *mhd, unsigned status, const char *type,
    const char *allow, struct MHD_Response *r)
{
	enum MHD_Result queued;

	if (r == NULL)
		return MHD_NO;
	MHD_add_response_header(r, "Content-Type", type);
	MHD_add_response_header(r, "Cache-Control", "no-store");
	if (allow != NULL)
		MHD_add_response_header(r, "Allow", allow);
	queued = MHD_queue_response(mhd, status, r);
	MHD_destroy_response(r);
	return queued;
}

/* Takes t->at. */
static enum MHD_Result
answer(struct MHD_Connection *mhd, struct json *t)
{
	struct MHD_Response *r = t->broken
	    ? NULL
	    : MHD_create_response_from_buffer(
		  t->size, t->at, MHD_RESPMEM_MUST_FREE);

	if (r == NULL)
		free(t->at);
	return respond(mhd, MHD_HTTP_OK, "application/json", NULL, r);
}

static enum MHD_Result
answer_refused(struct MHD_Connection *mhd, const struct request *q)
{
	char text[sizeof q->why + 1];
	int n = snprintf(text, sizeof text, "%s\n", q->why);

	return respond(mhd, q->status, "text/plain", q->allow,
	    MHD_create_response_from_buffer(
		(size_t)n, text, MHD_RESPMEM_MUST_COPY));
}

/* ---------------------------------------------------------------- faults -- */

static enum MHD_Result
show_faults(const struct backend *b, struct MHD_Connection *mhd, size_t first)
{
	struct json t = { 0 };

	json_print(&t, "[");
	for (size_t i = first; i < backend_n_faults(b); i++) {
		json_print(&t, "%s\n", i > first ? "," : "");
		json_fault(&t, backend_fault(b, i));
	}
	json_print(&t, "\n]\n");
	return answer(mhd, &t);
}

static bool
parse_line(struct request *q, struct fault *f, const char *text, unsigned line)
{
	const char *cannot;
	char error[256];

	if (fault_parse(f, text, error, sizeof error) != 0)
		return refuse(
		    q, MHD_HTTP_BAD_REQUEST, "line %u: %s", line, error);
	cannot = f->close == ENDING_VANISH ? backend_cannot_vanish() : NULL;
	return cannot == NULL ||
	    refuse(q, MHD_HTTP_BAD_REQUEST, "line %u: %s", line, cannot);
}

/* Each line of text, which is not changed.  Returns: false where one is
 * refused. */
static bool
each_line(struct request *q, struct backend *b, const char *text, bool add)
{
	char line[8 * FAULT_SAY_MAX];
	struct fault f;

	for (unsigned n = 1; *text != '\0'; n++) {
		size_t size = strcspn(text, "\n"), end = size;

		if (size >= sizeof line)
			return refuse(
			    q, MHD_HTTP_BAD_REQUEST, "line %u: too long", n);
		while (end > 0 && text[end - 1] == '\r')
			end--;
		memcpy(line, text, end);
		line[end] = '\0';
		if (end > 0 && !parse_line(q, &f, line, n))
			return false;
		if (end > 0 && add && backend_add_fault(b, &f) < 0)
			return refuse(
			    q, MHD_HTTP_SERVICE_UNAVAILABLE, "out of memory");
		text += size + (text[size] == '\n');
	}
	return true;
}

/* Add all lines, or none. */
static enum MHD_Result
add_faults(struct request *q, struct backend *b, struct MHD_Connection *mhd)
{
	const char *text = q->body.at != NULL ? q->body.at : "";
	size_t first = backend_n_faults(b);

	if (strlen(text) != q->body.size)
		refuse(q, MHD_HTTP_BAD_REQUEST,
		    "byte %zu of the body is NUL; a say has it as \\0",
		    strlen(text) + 1);
	else if (each_line(q, b, text, false) && each_line(q, b, text, true) &&
	    backend_n_faults(b) == first)
		refuse(q, MHD_HTTP_BAD_REQUEST,
		    "no fault in the body; allowed: a line of KEYS each");
	return q->status != 0 ? answer_refused(mhd, q)
			      : show_faults(b, mhd, first);
}

/* ---------------------------------------------------------------- ledger -- */

enum { LOOKS = 256 }; /* attempts looked at in one go */

/* The ledger as it goes out, a few attempts at a time: as a whole it may be
 * larger than is good for anybody who waits. */
struct pages {
	const struct ledger *ledger;
	char *id; /* NULL: any */
	size_t next, end;
	size_t n; /* attempts written */
	bool begun, over;
	struct json text;
	size_t sent;
};

static void
write_page(struct pages *p, size_t size)
{
	p->text.size = p->sent = 0;
	/* Never nothing: libmicrohttpd would wait for something to happen. */
	json_print(&p->text, p->begun ? " " : "[");
	p->begun = true;
	for (int i = 0; i < LOOKS && p->next < p->end && p->text.size < size;
	     i++) {
		const struct ledger_attempt *a =
		    ledger_attempt(p->ledger, p->next++);

		if (a == NULL || (p->id != NULL && strcmp(a->id, p->id) != 0))
			continue;
		json_print(&p->text, "%s\n", p->n++ > 0 ? "," : "");
		json_attempt(&p->text, a);
	}
	if (p->next == p->end) {
		json_print(&p->text, "\n]\n");
		p->over = true;
	}
}

static ssize_t
next_bytes(void *arg, uint64_t position, char *to, size_t size)
{
	struct pages *p = arg;
	size_t n;

	if (p->sent == p->text.size && p->over)
		return MHD_CONTENT_READER_END_OF_STREAM;
	if (p->sent == p->text.size)
		write_page(p, size);
	if (p->text.broken)
		return MHD_CONTENT_READER_END_WITH_ERROR;
	n = p->text.size - p->sent < size ? p->text.size - p->sent : size;
	memcpy(to, p->text.at + p->sent, n);
	p->sent += n;
	return (ssize_t)n;
}

static void
free_pages(void *arg)
{
	struct pages *p = arg;

	free(p->id);
	free(p->text.at);
	free(p);
}

static enum MHD_Result
show_ledger(const struct backend *b, struct MHD_Connection *mhd)
{
	const char *id =
	    MHD_lookup_connection_value(mhd, MHD_GET_ARGUMENT_KIND, "id");
	struct pages *p = calloc(1, sizeof *p);
	struct MHD_Response *r;
	char forgotten[32];

	if (p == NULL)
		return MHD_NO;
	p->ledger = backend_ledger(b);
	p->next = ledger_n_forgotten(p->ledger);
	p->end = ledger_n_attempts(p->ledger);
	p->id = id != NULL ? strdup(id) : NULL;
	r = id != NULL && p->id == NULL
	    ? NULL
	    : MHD_create_response_from_callback(
		  MHD_SIZE_UNKNOWN, 32768, next_bytes, p, free_pages);
	if (r == NULL) {
		free_pages(p);
		return MHD_NO;
	}
	snprintf(forgotten, sizeof forgotten, "%zu", p->next);
	MHD_add_response_header(r, "X-Closerace-Forgotten", forgotten);
	return respond(mhd, MHD_HTTP_OK, "application/json", NULL, r);
}

/* -------------------------------------------------------------- the head -- */

#define HEADERS(X)                \
	X(HOST, "Host")           \
	X(ORIGIN, "Origin")       \
	X(SITE, "Sec-Fetch-Site") \
	X(TYPE, "Content-Type")   \
	X(EXPECT, "Expect")       \
	X(LENGTH, "Content-Length")

enum header {
#define X(symbol, name) HEADER_##symbol,
	HEADERS(X)
#undef X
	    N_HEADERS
};

struct head {
	const char *value[N_HEADERS]; /* NULL: missing */
	const char *twice;	      /* one that was sent more than once */
};

static enum MHD_Result
note_header(
    void *arg, enum MHD_ValueKind kind, const char *name, const char *value)
{
	static const char *const names[N_HEADERS] = {
#define X(symbol, text) text,
		HEADERS(X)
#undef X
	};
	struct head *h = arg;

	for (int i = 0; i < N_HEADERS; i++) {
		if (strcasecmp(name, names[i]) != 0)
			continue;
		if (h->value[i] != NULL)
			h->twice = names[i];
		h->value[i] = value != NULL ? value : "";
	}
	return MHD_YES;
}

/* Does it come from somebody who may ask? */
static bool
check_sender(
    struct request *q, const struct api_place *place, const struct head *h)
{
	const char *host = h->value[HEADER_HOST];

	if (h->twice != NULL)
		return refuse(
		    q, MHD_HTTP_BAD_REQUEST, "%s is given twice", h->twice);
	if (place->names != NULL && !guard_host(host, place->names))
		return refuse(q, MHD_HTTP_FORBIDDEN,
		    "Host: '%s' is not allowed; allowed: a loopback address, "
		    "localhost, the address asked, the host of --control",
		    host != NULL ? host : "");
	if (!guard_origin(h->value[HEADER_ORIGIN], h->value[HEADER_SITE], host))
		return refuse(q, MHD_HTTP_FORBIDDEN,
		    "pages of other sites may not ask (Origin, "
		    "Sec-Fetch-Site)");
	return true;
}

static bool
check_resource(struct request *q, const char *url, const char *method)
{
	bool ledger = strcmp(url, "/ledger") == 0;

	if (!ledger && strcmp(url, "/faults") != 0)
		return refuse(q, MHD_HTTP_NOT_FOUND,
		    "GET /ledger, /ledger?id=ID; GET, POST or DELETE "
		    "/faults");
	if (strcmp(method, "GET") == 0 || strcmp(method, "HEAD") == 0 ||
	    (!ledger &&
		(strcmp(method, "POST") == 0 || strcmp(method, "DELETE") == 0)))
		return true;
	q->allow = ledger ? "GET, HEAD" : "GET, HEAD, POST, DELETE";
	return refuse(q, MHD_HTTP_METHOD_NOT_ALLOWED,
	    "%.32s is not allowed; allowed: %s", method, q->allow);
}

/* Of a query: one id of the ledger. */
struct query {
	struct request *request;
	bool ledger, has_id;
};

static enum MHD_Result
note_parameter(void *arg, enum MHD_ValueKind kind, const char *name,
    size_t name_size, const char *value, size_t value_size)
{
	struct query *y = arg;
	bool good = y->ledger && strcmp(name, "id") == 0 && name_size == 2 &&
	    value != NULL && !y->has_id && strlen(value) == value_size;

	y->has_id = true;
	if (!good)
		refuse(y->request, MHD_HTTP_BAD_REQUEST,
		    "'%.64s' is not a parameter of this request; allowed: %s",
		    name, y->ledger ? "one id=ID" : "none");
	return good ? MHD_YES : MHD_NO;
}

static bool
check_query(struct request *q, const char *url, struct MHD_Connection *mhd)
{
	struct query y = { q, strcmp(url, "/ledger") == 0, false };

	MHD_get_connection_values_n(
	    mhd, MHD_GET_ARGUMENT_KIND, note_parameter, &y);
	return q->status == 0;
}

static bool
check_body(struct request *q, const char *method, const struct head *h)
{
	const char *expect = h->value[HEADER_EXPECT];
	const char *length = h->value[HEADER_LENGTH];

	if (strcmp(method, "POST") == 0 && guard_is_form(h->value[HEADER_TYPE]))
		return refuse(q, MHD_HTTP_UNSUPPORTED_MEDIA_TYPE,
		    "Content-Type: allowed: " FAULT_TYPE ", or another that a "
		    "form cannot send; curl -H 'Content-Type: " FAULT_TYPE
		    "' --data-binary KEYS");
	if (expect != NULL && strcasecmp(expect, "100-continue") != 0)
		return refuse(q, MHD_HTTP_EXPECTATION_FAILED,
		    "Expect: allowed: 100-continue");
	if (length != NULL && strtoull(length, NULL, 10) > BODY_MAX)
		return refuse(q, MHD_HTTP_CONTENT_TOO_LARGE,
		    "the body: allowed: at most %zu bytes", BODY_MAX);
	return true;
}

/* Must the answer go out before the body has come? */
static bool
cannot_wait(const struct head *h)
{
	const char *length = h->value[HEADER_LENGTH];

	return h->value[HEADER_EXPECT] != NULL ||
	    (length != NULL && strtoull(length, NULL, 10) > SWALLOW_MAX);
}

static enum MHD_Result
begin(const struct api_place *place, struct MHD_Connection *mhd,
    const char *url, const char *method, struct request *q)
{
	struct head h = { 0 };

	MHD_get_connection_values(mhd, MHD_HEADER_KIND, note_header, &h);
	if (check_sender(q, place, &h) && check_resource(q, url, method) &&
	    check_query(q, url, mhd) && check_body(q, method, &h))
		return MHD_YES;
	return cannot_wait(&h) ? answer_refused(mhd, q) : MHD_YES;
}

/* -------------------------------------------------------------- requests -- */

static enum MHD_Result
take(struct request *q, const char *bytes, size_t size)
{
	q->size += size;
	if (q->size > SWALLOW_MAX)
		return MHD_NO;
	if (q->status == 0 && q->size > BODY_MAX)
		refuse(q, MHD_HTTP_CONTENT_TOO_LARGE,
		    "the body: allowed: at most %zu bytes", BODY_MAX);
	if (q->status == 0)
		json_bytes(&q->body, bytes, size);
	return q->body.broken ? MHD_NO : MHD_YES;
}

enum MHD_Result
api_handle(const struct api_place *place, struct MHD_Connection *mhd,
    const char *url, const char *method, const char *upload,
    size_t *upload_size, void **context)
{
	struct request *q = *context;
	size_t size = *upload_size;

	if (q == NULL) {
		*context = q = calloc(1, sizeof *q);
		return q != NULL ? begin(place, mhd, url, method, q) : MHD_NO;
	}
	*upload_size = 0;
	if (size > 0)
		return take(q, upload, size);
	if (q->status != 0)
		return answer_refused(mhd, q);
	if (strcmp(url, "/ledger") == 0)
		return show_ledger(place->backend, mhd);
	if (strcmp(method, "POST") == 0)
		return add_faults(q, place->backend, mhd);
	if (strcmp(method, "DELETE") == 0)
		backend_clear_faults(place->backend);
	return show_faults(place->backend, mhd, 0);
}

void
api_completed(void **context)
{
	struct request *q = *context;

	if (q != NULL)
		free(q->body.at);
	free(q);
	*context = NULL;
}
