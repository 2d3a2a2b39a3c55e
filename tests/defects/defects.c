/* defects.c - the proxy with a mistake in it, to see whether the matrix finds
 * it.
 *
 * The proxy itself knows nothing of this: the linker puts the functions below
 * in front of its own (--wrap), in a program that is never shipped,
 * build/defects/closerace.  CLOSERACE_DEFECT names the mistake; without it, the
 * program is the one that is shipped.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "proxy/exchange.h"
#include "proxy/internal.h"
#include "proxy/response_reader.h"
#include "proxy/retry.h"

/*	symbol		word		*/
#define DEFECTS(X)                                                            \
	X(NONE, "none")                                                       \
	X(RETRIES_POST, "retries-post")		/* whatever the method */     \
	X(RETRIES_ANSWERED, "retries-answered") /* after a response byte */   \
	X(RETRIES_FOREVER, "retries-forever")	/* retries never run out */   \
	X(EOF_COMPLETES, "eof-completes")	/* a cut response is whole */ \
	X(FORGETS_RESET, "forgets-reset")	/* a reset is a FIN */        \
	X(LATE_RESPONSE, "late-response")   /* it goes to the next request */ \
	X(LOSES_BODY, "loses-body")	    /* a retry has none */            \
	X(KEEPS_DEAD, "keeps-dead")	    /* a dead connection is pooled */ \
	X(IGNORES_SECOND, "ignores-second") /* the second failure */          \
	X(FLICKERS, "flickers") /* retries a POST every second time */

#define X(symbol, word) symbol,
enum defect { DEFECTS(X) N_DEFECTS };
#undef X

static enum defect defect;

__attribute__((constructor)) static void
choose(void)
{
#define X(symbol, word) word,
	static const char *const words[] = { DEFECTS(X) };
#undef X
	const char *name = getenv("CLOSERACE_DEFECT");

	if (name == NULL)
		return;
	while (defect < N_DEFECTS && strcmp(words[defect], name) != 0)
		defect++;
	if (defect < N_DEFECTS)
		return;
	fprintf(stderr, "CLOSERACE_DEFECT: '%s' is none; allowed:", name);
	for (int i = 0; i < N_DEFECTS; i++)
		fprintf(stderr, " %s", words[i]);
	fprintf(stderr, "\n");
	exit(2);
}

/* What is wrapped, and what it is wrapped by. */
struct retry_decision __real_retry_decide(enum retry_policy,
    const struct request_facts *, const struct attempt *, unsigned);
struct retry_decision __wrap_retry_decide(enum retry_policy,
    const struct request_facts *, const struct attempt *, unsigned);
enum response_progress __real_response_reader_finish(
    struct response_reader *, struct exchange *);
enum response_progress __wrap_response_reader_finish(
    struct response_reader *, struct exchange *);
struct io_result __real_io_read(int, void *, size_t);
struct io_result __wrap_io_read(int, void *, size_t);
int __real_io_take_error(int);
int __wrap_io_take_error(int);
bool __real_io_is_silent(int);
bool __wrap_io_is_silent(int);
struct io_result __real_actor_read(struct proxy_actor *, void *, size_t);
struct io_result __wrap_actor_read(struct proxy_actor *, void *, size_t);
void __real_actor_poke(struct proxy_actor *);
void __wrap_actor_poke(struct proxy_actor *);
void __real_exchange_attempt(
    struct exchange *, bool, struct upstream *, unsigned long);
void __wrap_exchange_attempt(
    struct exchange *, bool, struct upstream *, unsigned long);

struct retry_decision
__wrap_retry_decide(enum retry_policy policy, const struct request_facts *r,
    const struct attempt *a, unsigned retries_left)
{
	static unsigned n;
	struct request_facts facts = *r;
	struct attempt attempt = *a;

	facts.idempotent |= defect == RETRIES_POST ||
	    (defect == FLICKERS && !r->idempotent && n++ % 2 == 1);
	if (defect == RETRIES_ANSWERED && a->received_final > 0) {
		facts.idempotent = true;
		attempt.received_final = 0;
	}
	if (defect == RETRIES_FOREVER)
		retries_left = 1;
	return __real_retry_decide(policy, &facts, &attempt, retries_left);
}

enum response_progress
__wrap_response_reader_finish(struct response_reader *r, struct exchange *x)
{
	enum response_progress progress = __real_response_reader_finish(r, x);

	if (defect != EOF_COMPLETES || progress != RESPONSE_MORE ||
	    !r->has_head)
		return progress;
	return exchange_end_content(x) ? RESPONSE_WHOLE : RESPONSE_NO_MEMORY;
}

struct io_result
__wrap_io_read(int fd, void *bytes, size_t size)
{
	struct io_result r = __real_io_read(fd, bytes, size);

	if (defect == FORGETS_RESET && r.outcome == IO_FAILED &&
	    r.error == ECONNRESET)
		r = (struct io_result){ IO_EOF, 0, 0 };
	return r;
}

int
__wrap_io_take_error(int fd)
{
	int error = __real_io_take_error(fd);

	return defect == FORGETS_RESET ? 0 : error;
}

bool
__wrap_io_is_silent(int fd)
{
	return defect == LATE_RESPONSE || defect == KEEPS_DEAD ||
	    __real_io_is_silent(fd);
}

/* Does an idle connection to the backend have something to say that the
 * defect does not listen to? */
static bool
is_overheard(const struct proxy_actor *a)
{
	char byte;
	ssize_t n;

	if (!a->machine->is_upstream || a->exchange != NULL)
		return false;
	n = recv(a->fd, &byte, 1, MSG_PEEK | MSG_DONTWAIT);
	return (defect == LATE_RESPONSE && n > 0) ||
	    (defect == KEEPS_DEAD && n == 0);
}

struct io_result
__wrap_actor_read(struct proxy_actor *a, void *bytes, size_t size)
{
	if (is_overheard(a))
		return (struct io_result){ IO_AGAIN, 0, 0 };
	return __real_actor_read(a, bytes, size);
}

void
__wrap_actor_poke(struct proxy_actor *a)
{
	struct exchange *x = a->exchange;

	if (defect == IGNORES_SECOND && !a->machine->is_upstream && x != NULL &&
	    x->state == ATTEMPT_FAILED && x->attempt > 1)
		x->state = ATTEMPT_NONE;
	__real_actor_poke(a);
}

/* Leave of a request its head, as if it had an empty body. */
static void
lose_body(struct buffer *b)
{
	static const char length[] = "Content-Length: ";
	char *head = b->bytes + b->begin, *digit;
	size_t size = head_end(head, buffer_size(b));

	if (size == 0 || size == buffer_size(b))
		return;
	buffer_truncate(b, size);
	digit = memmem(head, size, length, sizeof length - 1);
	if (digit == NULL) { /* it is chunked */
		buffer_append(b, "0\r\n\r\n", 5);
		return;
	}
	for (digit += sizeof length - 1; *digit != '\r'; digit++)
		*digit = '0';
}

void
__wrap_exchange_attempt(
    struct exchange *x, bool reused, struct upstream *u, unsigned long serial)
{
	__real_exchange_attempt(x, reused, u, serial);
	if (defect == LOSES_BODY && x->attempt > 1)
		lose_body(&x->up);
}
