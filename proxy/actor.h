/* actor.h - a state machine on a socket: what session and upstream share.
 *
 * Events, timers and pokes only set *latches*.  The driver steps the machine
 * while its state wants a latch that is set and nothing holds it.  A latch
 * stays until the state that can do something about it clears it: a hold, or
 * a full buffer on the other side, never loses one.
 *
 * The socket is registered once, edge-triggered.  So READABLE stays until a
 * read found nothing left, or less than it asked for and no end behind it;
 * WRITABLE until a write was not taken whole.
 */
#ifndef PROXY_ACTOR_H
#define PROXY_ACTOR_H

#include <stdbool.h>
#include <sys/queue.h>

#include "proxy/buffer.h"
#include "proxy/io.h"
#include "proxy/proxy.h"

struct event;
struct exchange;
struct proxy_actor;

TAILQ_HEAD(actor_list, proxy_actor);

enum actor_latch {
	LATCH_READABLE = 1,
	LATCH_WRITABLE = 2,
	LATCH_TIMER = 4, /* its timer has fired */
	LATCH_POKED = 8	 /* another actor changed something */
};

/* Do what can be done in a state.  Returns: the state to be in next; its own
 * means: wait. */
typedef int actor_step_fn(struct proxy_actor *);

struct actor_state {
	const char *checkpoint;
	actor_step_fn *step;
	unsigned wants; /* latches; LATCH_POKED wakes every state */
};

struct actor_machine {
	const struct actor_state *states;
	int last; /* in this state the driver releases it */
	/* Free all but what actor_close() does, then the memory. */
	void (*release)(struct proxy_actor *);
	bool is_upstream;
};

struct proxy_actor {
	struct proxy *proxy;
	const struct actor_machine *machine;
	struct exchange *exchange; /* that it serves, NULL: none */
	struct event *event;
	void *timer;
	TAILQ_ENTRY(proxy_actor) link, wait_link;
	struct actor_list *waits_in; /* the proxy's ready or later, or NULL */
	unsigned long deferred_in;   /* to `later` in that pass */
	unsigned long serial;
	int fd;
	int state;
	unsigned latches;
	bool entered;	  /* … and not yet stepped */
	bool wants_write; /* its event tells when it is writable */
	bool end_behind;  /* FIN or RST may stand behind what is readable */
	bool held;
	bool armed; /* the timer, and it has not fired */
	bool running;
	bool reset;	  /* close by reset */
	bool peer_closed; /* FIN or RST was seen */
	bool cut_short;	  /* a read was put off: its turn is over */
	int error;	  /* the first one of its socket */
};

/* Bring an actor to life in its first state; it steps from the event loop.
 *
 * Owns:    takes fd, unless it fails.
 * Needs:   all of the actor zero, but exchange.
 * Returns: false when out of memory; nothing was told to the watcher then.
 */
bool actor_open(struct proxy_actor *, struct proxy *, int fd,
    const struct actor_machine *, int first, unsigned long serial);

/* A new pass of the loop: those that were cut short before it have a turn. */
void actor_pass(struct proxy *);
/* Go on with another socket, fresh, in place of the one that it has, which is
 * closed.  Owns: takes fd. */
void actor_replace(struct proxy_actor *, int fd);

/* Tell CLOSED, close the socket, free event and timer, leave its list. */
void actor_close(struct proxy_actor *);

/* Step soon, from the event loop. */
void actor_poke(struct proxy_actor *);

/* Arm the actor's one timer, or disarm it; either forgets that it fired.  ms
 * 0 disarms. */
void actor_arm(struct proxy_actor *, int ms);

/* From now on its socket tells when it can be written to.  Where a write found
 * the kernel's buffer full, that has been seen to. */
void actor_ask_for_writable(struct proxy_actor *);

/* Read or write once; the watcher is told, the latches and the first error
 * are kept.  A peer that sends faster than it is read gets AGAIN when so much
 * was read in this turn, and cut_short is set: it steps again in the loop's
 * next pass. */
struct io_result actor_read(struct proxy_actor *, void *bytes, size_t size);
/* Read at most size bytes into a buffer.  Errors: ENOMEM, too.
 *
 * What is read goes through the proxy's scratch, so that a buffer grows only
 * by what there was.  An empty one that a lot was read into gets the scratch
 * itself; actor_drained() gives it back when that was used up.
 */
struct io_result actor_fill(struct proxy_actor *, struct buffer *, size_t size);
void actor_drained(struct proxy_actor *, struct buffer *);
struct io_result actor_write(
    struct proxy_actor *, const void *bytes, size_t size);
struct io_result actor_write_two(struct proxy_actor *, const void *first,
    size_t first_size, const void *second, size_t second_size);

/* Fill in an event and tell the watcher. */
struct proxy_event actor_event(struct proxy_actor *, enum proxy_what);
enum proxy_answer actor_tell(struct proxy_actor *, const struct proxy_event *);

#endif
