/* backend.h - an origin server that ends its connections where it is told to.
 *
 * libmicrohttpd serves requests on one end of a local connection.  The other
 * end, and the accepted TCP socket, belong to a *valve*, which relays, counts,
 * follows message boundaries and ends the TCP connection at exact places,
 * without libmicrohttpd ever knowing.
 *
 * Threads: none.  Every call and every callback happens on the thread that
 *          runs the event_base.
 * Times:   milliseconds, named *_ms.
 * Sizes:   bytes, size_t.
 */
#ifndef BACKEND_BACKEND_H
#define BACKEND_BACKEND_H

#include <stdbool.h>
#include <stddef.h>

#include "backend/clock.h"
#include "backend/fault.h"
#include "backend/ledger.h"
#include "backend/options.h"

struct event_base;
struct backend;

enum backend_what {
	BACKEND_ACCEPTED, /* fd is the TCP socket */
	/* bytes lie unread while reading is held; size tells how many in all */
	BACKEND_ARRIVED,
	BACKEND_READ, /* size bytes of a request were taken */
	/* size bytes lay unread when it ended, or came after its FIN */
	BACKEND_DISCARDED,
	BACKEND_EXECUTED, /* the handler ran */
	BACKEND_SENT,	  /* size bytes were sent */
	BACKEND_ANSWERED, /* the final response has left, whole */
	/* point, ending, by */
	BACKEND_ENDED,
	/* a server of the user's has ended its connection by itself: point,
	 * ending (FIN or RST) and idle_ms.  ENDED follows when that is passed
	 * on to the peer, which holding BACKEND_SENDING delays. */
	BACKEND_SERVER_ENDED,
	/* the peer's FIN or RST was read; error is the errno, 0 for FIN */
	BACKEND_PEER_CLOSED,
	BACKEND_CLOSED /* the TCP socket is closed */
};

/* Whose doing the end of a connection was: of the fault table or keep_alive_ms,
 * of a call, or of the user's server. */
enum backend_by { BACKEND_BY_FAULT, BACKEND_BY_HAND, BACKEND_BY_SERVER };

struct backend_event {
	enum backend_what what;
	unsigned conn;	  /* n-th accepted, from 1 */
	unsigned request; /* n-th on it; 0: none begun */
	int fd;
	const char *id;	   /* of the request, "" where not known */
	const void *bytes; /* READ, SENT: borrowed */
	size_t size;
	int error;
	enum close_point point; /* ENDED, SERVER_ENDED */
	enum ending ending;	/* ENDED, SERVER_ENDED */
	enum backend_by by;	/* ENDED */
	int64_t idle_ms;	/* SERVER_ENDED: for so long; 0: it was not */
};

/* Calls back: may call nothing of this header. */
typedef void backend_watch_fn(void *arg, const struct backend_event *);

/* Make a backend that listens nowhere yet.
 *
 * Owns:    copies options and clock; borrows base.  clock NULL means
 *          libevent's timers; watch may be NULL.
 * Returns: NULL with a sentence in error.
 */
struct backend *backend_new(struct event_base *, const struct backend_options *,
    const struct backend_clock *, backend_watch_fn *watch, void *watch_arg,
    char *error, size_t error_size);

/* Accept on fd, a listening TCP socket.  Owns: takes fd.  Errors: -1 with
 * errno, fd closed. */
int backend_listen(struct backend *, int fd);

/* Close every connection at once (by reset) and release everything. */
void backend_free(struct backend *);

/* Close every connection at once, as backend_free() does, those that have
 * vanished included, and begin anew: it listens where it did, with an empty
 * ledger and fault table, and counts from 1 again. */
void backend_reset(struct backend *);

/* Leave whoever connects in the kernel, which makes the connection and takes
 * what is sent over it; accept those who wait now, and tell how many that were;
 * accept again as they come.  Accepting those who wait needs it held. */
void backend_hold_accepting(struct backend *);
unsigned backend_accept_waiting(struct backend *);
void backend_release_accepting(struct backend *);
bool backend_holds_accepting(const struct backend *);

/* Reset whoever has connected and was not accepted yet. */
void backend_refuse_waiting(struct backend *);

/* Append to the fault table; the first entry that matches wins, one fault a
 * request.  Needs: fault_check() passed.  Returns: its index, or -1 when out
 * of memory. */
int backend_add_fault(struct backend *, const struct fault *);
size_t backend_n_faults(const struct backend *);
const struct fault *backend_fault(const struct backend *, size_t n);
void backend_clear_faults(struct backend *);

const struct ledger *backend_ledger(const struct backend *);

/* Keep no more than so many attempts; see ledger_bound().  Needs: no connection was
 * accepted yet. */
void backend_bound_ledger(struct backend *, size_t max);

/* What a connection is doing. */
struct backend_conn {
	unsigned n;	     /* n-th accepted */
	int fd;		     /* -1 once closed */
	unsigned n_requests; /* begun on it */
	unsigned n_finished; /* answered whole */
	size_t received;     /* bytes taken from the peer */
	size_t sent;	     /* bytes sent to the peer */
	unsigned peer_port;  /* TCP port of the peer: whose connection */
	bool reading_held;
	bool sending_held;
	bool idle;		   /* open, and no request begun */
	bool ended;		   /* see enum backend_by */
	bool server_ended;	   /* the server has; held back unless ended */
	bool closed;		   /* the socket is closed */
	enum close_point ended_on; /* N_POINTS unless ended */
	enum ending ending;	   /* N_ENDINGS unless ended */
	int64_t idle_ms;	   /* before the server ended it */
	bool peer_closed;
};

unsigned backend_n_conns(const struct backend *); /* accepted so far */

/* Returns: false where the n-th connection was not accepted yet.  Facts are
 * kept for closed connections too. */
bool backend_conn(const struct backend *, unsigned n, struct backend_conn *);

/* Ask the kernel how many bytes lie unread on the n-th connection; 0 once it
 * is closed. */
size_t backend_unread(const struct backend *, unsigned n);

enum backend_direction { BACKEND_READING, BACKEND_SENDING };

/* Hold a direction: READING leaves what arrives in the kernel, SENDING keeps
 * back response bytes, a fault's ending and the server's own.  Needs: an open connection;
 * release needs it held. */
void backend_hold(struct backend *, unsigned conn, enum backend_direction);
void backend_release(struct backend *, unsigned conn, enum backend_direction);

/* End a connection by hand, now, whatever is held, after saying say_size
 * bytes.  Its point in the ledger is what the connection is doing: ARRIVAL
 * where bytes lie unread and none of that request was taken, IDLE where
 * nothing has come, else the part of the exchange that was last completed.
 *
 * Needs:  an open connection that has not ended.
 * Errors: -1 with a sentence in error where the kernel refuses (vanish
 *         needs CAP_NET_ADMIN).
 */
int backend_end(struct backend *, unsigned conn, enum ending, const void *say,
    size_t say_size, char *error, size_t error_size);

/* After a fork, in the child: let go of what the process keeps for its next
 * backend; it is the parent's.  Needs: no backend open. */
void backend_forked(void);

/* Can this process make a connection vanish (TCP_REPAIR, CAP_NET_ADMIN)?  A
 * static sentence with the reason why not; NULL where it can. */
const char *backend_cannot_vanish(void);

/* Can this process see what is sent to a connection that is gone (a packet
 * socket, CAP_NET_RAW)?  As above. */
const char *backend_cannot_witness(void);

#endif
