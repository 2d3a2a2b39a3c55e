/* valve.h - one accepted connection, between the peer's TCP socket and the
 * inner end that is served: by the built-in origin over a local socket, or by a
 * server of the user's over TCP.
 *
 * Internal to the backend; backend.h is what others see.  Five files work on
 * struct valve: intake.c takes requests, outlet.c sends responses, finale.c
 * ends the connection, server.c knows the user's server, and valve.c has the
 * states, the driver and the life.
 */
#ifndef BACKEND_VALVE_H
#define BACKEND_VALVE_H

#include <netinet/in.h>
#include <stdbool.h>
#include <stddef.h>

#include "backend/backend.h"
#include "backend/ending.h"
#include "backend/follow.h"
#include "backend/origin.h"
#include "backend/pass.h"
#include "backend/unread.h"

#define VALVE_SCRATCH_SIZE (64 * 1024) /* also the longest head peeked at */
#define VALVE_OUT_SIZE	   (16 * 1024)
#define REMAINS_MAX	   64

struct event;
struct witness;
struct valve;

/* What the valves of one backend share.  Everything is borrowed by them. */
struct valve_home {
	struct event_base *base;
	struct backend_options options;
	struct backend_clock clock;
	struct ledger *ledger;
	struct origin *origin; /* NULL with options.upstream */
	struct fault *faults;
	size_t n_faults;
	struct backend_conn *conns; /* facts, by number, from 1 */
	char *scratch;		    /* VALVE_SCRATCH_SIZE */
	struct pass pass; /* of the loop; for those that had their turn */
	backend_watch_fn *watch;
	void *watch_arg;
	/* Returns: NULL where packets cannot be seen */
	struct witness *(*witness)(struct valve_home *);
	/* the valve is about to be freed */
	void (*gone)(struct valve_home *, unsigned conn);
	/* A connection to the origin that stands between two requests: to make
	 * one costs more than to serve a request.  fd -1: none. */
	int spare_fd;
	struct origin_conn *spare;
	/* of the newest connections; their peers may still have them when
	 * everything begins anew */
	struct remains remains[REMAINS_MAX];
	unsigned n_remains;
};

/*	state	    function	of the connection */
#define VALVE_STATES(X)         \
	X(RELAYING, relaying)   \
	X(MUTED, muted)         \
	X(LINGERING, lingering) \
	X(PARTING, parting)     \
	X(STALLED, stalled)     \
	X(GONE, gone)

enum valve_state {
#define X(name, fn) VALVE_##name,
	VALVE_STATES(X)
#undef X
	    N_VALVE_STATES
};

/* A request that a server was given, all of it, and has not answered, while the
 * next one is taken already. */
struct queued {
	size_t attempt;
	unsigned request; /* n-th on its connection */
	bool heads, connects;
	char id[FOLLOW_ID_MAX];
};

struct valve {
	struct valve_home *home;
	unsigned n;
	enum valve_state state;
	bool running;
	bool broken; /* nothing more can be done with it */
	struct pass_entry pass;
	struct sockaddr_in peer;

	/* the peer's socket; latches are set by events and cleared by the
	 * system call that finds nothing */
	int fd;
	bool fd_closed; /* by its ending */
	struct event *event;
	bool readable;
	bool writable;
	bool tells_writable; /* the event does */
	bool edge;	     /* something came since the last look */
	bool fin_behind;     /* a FIN stands behind what can be read … */
	bool end_behind;     /* … or a reset may */
	bool peer_fin;	     /* it was read */
	size_t arrived;	     /* told last, while reading was held */

	/* the inner end */
	int inner_fd;  /* -1: not open */
	size_t dial;   /* addresses of the upstream that were dialled … */
	bool dialling; /* … of which the last may refuse yet, and is not the
			  only one */
	struct event *inner_event;
	struct origin_conn *origin_conn;
	bool touched;	  /* the origin must be driven */
	bool inner_deaf;  /* it takes no more */
	bool inner_ready; /* it may have said something */
	bool inner_eof;
	int inner_error;
	/* a server's own end, where facts->server_ended */
	enum close_point server_on;
	enum ending server_ending;
	size_t late;	       /* bytes that it had not got when its FIN left */
	bool last_told;	       /* its latest response was to be the last */
	int64_t idle_since_ms; /* between two requests */
	size_t burst;	       /* bytes given since then */
	bool prefaced;	       /* what may stand before the first request … */
	size_t preface_left;   /* … is that long yet */
	struct queued *queue;  /* before the exchange in progress */
	size_t n_queued, queue_room;

	/* the exchange in progress */
	struct follow request;
	size_t taken; /* bytes of the request */
	size_t given; /* … that the inner end took */
	bool raw;     /* no boundaries any more: relay what comes */
	bool decided;
	int fault;	      /* -1: none */
	struct fault *orphan; /* instead: its table was emptied meanwhile */
	bool whole;	      /* the request was taken, all of it */
	bool executed;
	bool executed_now;   /* by the latest drive */
	bool marked;	     /* its response bears a mark */
	bool interim;	     /* a 1xx was sent */
	bool answered;	     /* its final response was sent, all of it */
	bool announced;	     /* Connection: close */
	size_t attempt;	     /* in the ledger */
	size_t last_attempt; /* the newest that was begun */
	char *kept;	     /* request bytes kept back from the inner end */
	size_t n_kept, kept_room;

	/* the response: out[start, parsed) is of the present message,
	 * out[parsed, filled) not yet looked at */
	struct follow response;
	size_t passed; /* bytes of the present message sent */
	size_t start, parsed, filled;

	/* between two requests */
	bool resting; /* that has been seen to */
	void *idle_timer, *keep_timer;
	int idle_fault; /* -1: none */
	bool waiting;	/* it does, for the response to leave first */
	bool leaving;	/* the socket tells when that has happened */
	bool idle_over; /* its time is */
	bool keep_armed, keep_over;

	/* the ending */
	bool due;
	enum close_point due_on;
	enum ending due_ending;
	int due_fault; /* -1: keep_alive_ms */
	char *say;
	size_t say_size, say_sent;
	struct unread unread; /* what came after */
	bool unread_open;     /* some may be in it */
	size_t seen;	      /* bytes in the kernel that are entered */

	char out[VALVE_OUT_SIZE];
};

/* Wrap an accepted socket; its facts are home->conns[n - 1].  Owns: takes fd.
 * Returns: NULL when out of memory, fd closed. */
struct valve *valve_new(
    struct valve_home *, unsigned n, int fd, const struct sockaddr_in *peer);

/* Reset the connection, free everything. */
void valve_free(struct valve *);

/* Do what can be done now, at most a turn's share of it.  The valve may be gone
 * afterwards. */
void valve_run(struct valve *);
void valve_run_entry(struct pass_entry *);

/* Do so from the event loop. */
void valve_wake(struct valve *);

/* Have the socket tell when it can be written to, now and from now on. */
void valve_ask_for_writable(struct valve *);

/* As backend_end(). */
int valve_end_by_hand(struct valve *, enum ending, const void *say,
    size_t say_size, char *error, size_t error_size);

/* Close the spare connection to the origin. */
void valve_home_close_spare(struct valve_home *);

/* The fault table was emptied, or has a new entry. */
void valve_faults_cleared(struct valve *);
void valve_faults_changed(struct valve *);

/* The callbacks of the origin. */
void valve_executed(
    void *valve, const struct origin_request *, struct origin_reply *);
void valve_ready(void *valve);

/* ---- shared by valve.c, intake.c, outlet.c, finale.c and server.c ---- */

struct backend_conn *valve_facts(const struct valve *);
const struct fault *valve_fault(const struct valve *); /* NULL: none */
struct ledger_attempt *valve_attempt(const struct valve *);
/* Tell the watcher; conn, request, fd and id are filled in. */
void valve_tell(const struct valve *, struct backend_event);
/* A byte of a request was taken, and the exchange is not over. */
bool valve_busy(const struct valve *);
/* All exchanges are over. */
void valve_become_idle(struct valve *);
/* The peer's FIN (error 0) or reset was read. */
void valve_peer_closed(struct valve *, int error);
bool valve_open_inner(struct valve *);
void valve_close_inner(struct valve *);

/* intake.c: take what may be taken.  Returns: something moved. */
bool intake_step(struct valve *);
/* Reading is held: tell the watcher what has come. */
void intake_held(struct valve *);
/* Be ready for the next request. */
void intake_reset(struct valve *);

/* outlet.c: drive the inner end and send what may be sent.  Returns:
 * something moved. */
bool outlet_step(struct valve *);
/* Send what stands before a due ending.  Returns: it is all sent. */
bool outlet_flush(struct valve *);
bool outlet_empty(const struct valve *);
void outlet_drop(struct valve *);
/* Say something of the valve's own, as if the inner end had. */
void outlet_interject(struct valve *, const char *text);

/* finale.c: the fault that was chosen is due.  prefix: said before its say.
 * Returns: false where it has fired its times meanwhile. */
bool finale_due(struct valve *, enum close_point, const char *prefix);
/* Between two requests: see to idle faults and keep_alive_ms. */
void finale_rest(struct valve *);
/* A request has come. */
void finale_wake(struct valve *);
/* Carry out what is due.  Returns: the next state. */
enum valve_state finale_carry_out(struct valve *);
/* The inner end has closed: do likewise.  Returns: the next state. */
enum valve_state finale_polite(struct valve *);
/* The user's server has ended the connection by itself: end it likewise.
 * Returns: the next state. */
enum valve_state finale_pass_on(struct valve *, enum close_point, enum ending);
/* What the connection is doing. */
enum close_point finale_point(const struct valve *);
/* Enter what lies unread in the ledger before the socket is closed. */
void finale_note_unread(struct valve *);

#endif
