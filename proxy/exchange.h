/* exchange.h - one request and its response on their way through the proxy,
 * with the bytes that are under way in both directions.
 *
 * Pure: no I/O.  A session owns it and moves bytes between it and the client;
 * an upstream borrows it for one attempt and moves bytes between it and the
 * backend.  Neither of the two looks into the other.
 *
 * All memory that a request needs is here.  A connection that is idle has no
 * exchange; the proxy keeps some for the next requests (proxy_take_exchange()).
 */
#ifndef PROXY_EXCHANGE_H
#define PROXY_EXCHANGE_H

#include "proxy/buffer.h"
#include "proxy/proxy.h"
#include "proxy/request.h"
#include "proxy/request_reader.h"
#include "proxy/response.h"
#include "proxy/response_reader.h"

struct proxy_actor;
struct upstream;

/* Bytes waiting in one direction at which its reader stops reading. */
#define EXCHANGE_WINDOW 65536

enum exchange_attempt {
	ATTEMPT_NONE,
	ATTEMPT_RUNNING,
	ATTEMPT_GOOD,  /* the response is whole */
	ATTEMPT_FAILED /* see now */
};

struct exchange {
	/* Kept from one request to the next. */
	struct exchange *next;	     /* while nobody has it */
	struct proxy_actor *session; /* poked when something changed */
	/* Give the client what is in down and then these bytes, now, as far as
	 * it takes them.  Returns: how many of these it took.  NULL: nobody is
	 * there. */
	size_t (*give)(struct proxy_actor *session, const char *, size_t);
	struct request_reader reader;  /* the session's */
	struct response_reader answer; /* the upstream's */
	struct buffer head;	       /* as the client sent it */

	/* Towards the backend: from up_sent on still to be sent, before it
	 * kept for another attempt as long as facts.replayable. */
	struct buffer up;
	/* Towards the client: the first down_interim bytes belong to interim
	 * responses. */
	struct buffer down;

	/* From here on all is zero at first: see exchange_reset(). */
	unsigned long serial; /* n-th request of this proxy, from 1 */
	struct request request;
	struct request_facts facts;
	bool asks_close;     /* the backend is asked to close */
	bool tunnel;	     /* both sides have switched: bytes only */
	bool expects_for_us; /* the Expect in its head is our own */

	size_t up_sent;
	size_t up_head;	     /* bytes of up that are the request's head */
	size_t replay_bytes; /* of body, at most */
	size_t n_body;	     /* so far */
	bool whole;	     /* the client has sent all of it */
	bool unwanted;	     /* answered already: no more of it is sent */

	size_t down_interim;
	bool final_given;	  /* a byte of the final response has left */
	bool chunked;		  /* the client is sent chunks */
	bool ends_by_close;	  /* … or only the close tells the end */
	bool close;		  /* the client's connection ends after it */
	struct response response; /* its final one, once it has a status */

	/* The attempt. */
	enum exchange_attempt state;
	unsigned attempt;	  /* from 1 */
	const char *again;	  /* why there was more than one; NULL */
	unsigned long upstream;	  /* serial of its connection; 0: none */
	struct upstream *carrier; /* while RUNNING; the upstream clears it */
	struct attempt now;
	bool proven; /* the server that is asked has answered a probe */
	size_t n_interim_bytes; /* of now.received */
	int64_t date_s;		/* when a final response came; -1: no clock */
	bool odd_interim;	/* one of them was odd */
	const char *invalid;	/* why the response is none; NULL */

	/* Except for its last two times, status and sent, the session's. */
	struct proxy_account account;
};

/* Forget the previous exchange; the buffers keep their memory, and the reader
 * what it has read.  All zero is fine too. */
void exchange_reset(struct exchange *);

/* Begin with the complete request head that the reader has found, and take it
 * from there.
 *
 * Needs:   reset.
 * Returns: 0, or the status to refuse with and a static sentence in *why.
 */
int exchange_begin(
    struct exchange *, const struct proxy_options *, const char **why);
void exchange_free(struct exchange *);

/* Bytes that it occupies. */
size_t exchange_memory(const struct exchange *);

/* Request body from the client, and its end.  Returns: false when out of
 * memory. */
bool exchange_add_body(struct exchange *, const char *bytes, size_t size);
bool exchange_end_body(struct exchange *);

/* The proxy's own question to a backend, whether it is alive: OPTIONS *.
 *
 * Needs:   reset; nobody is behind it, and what is answered goes nowhere.
 * Returns: false when out of memory.
 */
bool exchange_begin_probe(struct exchange *, const struct place *backend);

/* Do not wait for a 100 any more. */
void exchange_release_body(struct exchange *);

/* The backend refused the Expect that was not the client's: from now on the
 * request goes without.
 *
 * Needs:   the Expect is our own; facts.replayable; no attempt under way.
 * Returns: false when out of memory.
 */
bool exchange_drop_expect(struct exchange *, const struct proxy_options *);

/* May the client send more? */
bool exchange_takes_body(const struct exchange *);

/* What the backend is to be sent next; size 0: nothing at present. */
const char *exchange_unsent(const struct exchange *, size_t *size);
void exchange_was_sent(struct exchange *, size_t size);
bool exchange_all_sent(const struct exchange *);

/* What is going on, as struct proxy_account has it. */
char exchange_phase(const struct exchange *);

/* Begin an attempt: the request is to be sent from its first byte.
 * Needs: facts.replayable or nothing sent. */
void exchange_attempt(
    struct exchange *, bool reused, struct upstream *, unsigned long serial);

/* Response heads from the backend; the final one is response.
 * Returns: false when out of memory. */
bool exchange_add_interim(
    struct exchange *, const struct response *, const char *head, size_t size);
bool exchange_add_final(struct exchange *, const char *head, size_t size);

/* Response body, and its end. */
bool exchange_add_content(struct exchange *, const char *bytes, size_t size);
bool exchange_end_content(struct exchange *);

/* May the backend send more? */
bool exchange_takes_content(const struct exchange *);

/* size bytes of down have gone to the client; or of what never was there. */
void exchange_was_given(struct exchange *, size_t size);
void exchange_gave(struct exchange *, size_t size);

/* Take back the final response.  Needs: nothing of it was given. */
void exchange_withdraw(struct exchange *);

#endif
