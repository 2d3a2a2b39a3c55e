/* session_states.h - what the files of the session state machine share.
 *
 * session.c is a client connection's life; session_serve.c is what it does for
 * a request whose head is known.
 */
#ifndef PROXY_SESSION_STATES_H
#define PROXY_SESSION_STATES_H

#include "proxy/exchange.h"
#include "proxy/internal.h"
#include "proxy/session.h"

enum session_state {
#define X(symbol, function, wants) SESSION_##symbol,
	SESSION_STATES(X)
#undef X
};

struct session {
	struct proxy_actor actor; /* first */
	struct exchange *x;	  /* NULL between two requests */
	bool client_eof;	  /* it sends no more; it may still read */
	bool cut;		  /* end short of the response's end */
	bool approved;		  /* a good attempt was told */
	bool accounted;		  /* the exchange's account is open */
	bool lingers;
	unsigned n_empty_lines; /* in front of the next request */
	unsigned n_retries;
	unsigned n_dead;   /* connections that proved dead */
	bool fresh_unsent; /* … and one of them was fresh */
	bool only_fresh;
	struct server *server; /* to be asked */
	size_t n_servers;      /* asked for this request */
};

/* One function per state: it returns the next one. */
#define X(symbol, function, wants) \
	enum session_state session_##function(struct session *);
SESSION_STATES(X)
#undef X

static inline const struct proxy_options *
session_options(const struct session *s)
{
	return &s->actor.proxy->options;
}

/* The clock runs against the client. */
void session_expect_client(struct session *);

/* Read once into the exchange's reader, where there is room.  AGAIN also where
 * there is none, or where nothing more can come. */
struct io_result session_fill(struct session *);

/* Why does the exchange not come to its end?  The first reason counts. */
void session_blame(struct session *, char who, const char *why);

/* The ends of an exchange.  Each returns the next state. */
struct reply;
enum session_state session_gone(struct session *);
enum session_state session_next_request(struct session *);
/* Answer in the backend's stead.  Needs: nothing of a final response given. */
enum session_state session_answer(struct session *, struct reply);
/* The request itself is at fault: what follows it cannot be trusted. */
enum session_state session_refuse(
    struct session *, int status, const char *why);

/* A request's head was taken: what came with it goes with it, and it is one
 * server's turn.  Returns: the next state. */
enum session_state session_serve(struct session *);

/* Give the client what there is.  Returns: false: it is gone. */
bool session_give(struct session *, bool *progress);
size_t session_give_now(struct proxy_actor *, const char *, size_t);
enum session_state session_client_timed_out(struct session *);

#endif
