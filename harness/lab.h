/* lab.h - the stage on which everything embedded plays: one thread, one
 * event loop, one clock, one timeline.
 *
 * Actors (clients, proxies, backends, systems under test) are made in a lab
 * and are closed with it.  Nothing moves except inside lab_settle() and
 * lab_pass_time(), so a caller always acts on a world that stands still.
 *
 * Times: milliseconds of the lab's clock, which is virtual until an external
 *        program takes part.
 */
#ifndef HARNESS_LAB_H
#define HARNESS_LAB_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct event_base;
struct clock;
struct trace;
struct tree;
struct lab;

enum lab_outcome {
	LAB_MOVED,    /* go on */
	LAB_STUCK,    /* nothing can happen any more, ever */
	LAB_DEADLINE, /* deadline_ms are over */
	LAB_SCARCE,   /* descriptors run out: what happens is not the actors' */
	LAB_INTERRUPTED /* lab_interrupt() was called */
};

/* Make an empty lab.
 *
 * deadline_ms: real time that one lab may take, 0 for none; what it, or a
 *              program of it, has waited for a processor is given back.
 * Returns:     NULL when out of memory or descriptors.
 */
struct lab *lab_new(int deadline_ms);

/* Close every actor, the youngest first, and release everything. */
void lab_free(struct lab *);

/* Begin anew with the same actors: each closes its connections by reset, also
 * those that it has closed before and whose peer may not have looked, and
 * forgets what it has done, the timeline is empty, time is 0, the deadline
 * begins again.  What stays is what an actor was made with, and where it
 * listens; a backend's faults go, and an external program runs on.  Much
 * cheaper than another lab. */
void lab_reset(struct lab *);

/* Begin the deadline again. */
void lab_set_deadline(struct lab *, int deadline_ms);

/* Is it over?  For who waits outside the lab's loop. */
bool lab_is_overdue(struct lab *);

/* Keep no timeline: its texts are made for people, and cost time. */
void lab_keep_no_trace(struct lab *);

/* Nobody but its own actors will touch the lab's sockets, and what becomes of
 * its requests is its owner's business alone. */
void lab_make_private(struct lab *);
bool lab_is_private(const struct lab *);

/* From now on time is real: external programs do not wait for us. */
void lab_go_real(struct lab *);
bool lab_is_real(const struct lab *);
int64_t lab_now_ms(const struct lab *);

/* Run until nothing more can happen without time going by.  With real time:
 * until there is nothing to handle; whoever is outside may still be busy.
 *
 * Returns: LAB_MOVED, or why it was cut short.
 */
enum lab_outcome lab_settle(struct lab *);

/* Has nobody done anything since lab_settle() found that nothing more can
 * happen?  Then it would find the same again.  False is always a safe answer,
 * and the only one where the lab is not private: others might have. */
bool lab_is_still(const struct lab *);

/* Let time go by to the next thing that it brings: virtual, the next timer;
 * real, the next event of any kind.
 *
 * Returns: LAB_STUCK where time would bring nothing.
 */
enum lab_outcome lab_pass_time(struct lab *);

/* Let time make a stop at that moment, for whoever waits for it. */
void lab_wake_at(struct lab *, int64_t ms);

/* Is that moment over, with every timer that was due by then? */
bool lab_has_passed(const struct lab *, int64_t ms);

/* Make the running or next lab call return LAB_INTERRUPTED, in every lab of
 * the process.  May be called from a signal handler. */
void lab_interrupt(void);
bool lab_is_interrupted(void);

/* After a fork, in the child: let go of the sockets that a process keeps from
 * one lab to the next; they are the parent's.  Needs: no lab open. */
void lab_forked(void);

/* --------------------------------------------------- for actors of a lab --- */

/* Somebody is about to do something, or may: the lab is not still.  Every
 * function through which an actor can be made to act calls it. */
void lab_touch(struct lab *);

/* Is the timeline kept?  Where it is not, a note's text need not be made. */
bool lab_is_traced(const struct lab *);

struct event_base *lab_base(struct lab *);
struct clock *lab_clock(struct lab *);
struct trace *lab_trace(struct lab *);

/* Add to the timeline; see trace_add(). */
void lab_note(struct lab *, const char *who, unsigned long n, const char *what,
    size_t size, const char *text);

/* Bytes that an actor has sent on such a socket, or taken from one.  As long as
 * all that was sent was taken, nothing is in flight, and the kernel need not be
 * asked. */
void lab_count_sent(struct lab *, size_t);
void lab_count_taken(struct lab *, size_t);

/* A TCP socket whose bytes in flight keep the lab from being quiet. */
void lab_add_fd(struct lab *, int fd);
void lab_drop_fd(struct lab *, int fd);

/* A program of the lab: see deadline.h. */
void lab_add_tree(struct lab *, struct tree *);
void lab_drop_tree(struct lab *, struct tree *);

/* Acknowledge at once whatever has come on those sockets: a peer's kernel may
 * keep back the rest of what it was given until then (RFC 896, 1122 4.2.3.2),
 * and would be told some 40 ms later. */
void lab_acknowledge(struct lab *);

/* Enrol an actor; it is closed, and reset, with the lab, the youngest first.
 *
 * Calls back: reset where the lab begins anew.
 * Returns:    its number, the n-th of its kind, from 1; 0 when out of memory.
 */
enum lab_kind { LAB_CLIENT, LAB_PROXY, LAB_BACKEND, LAB_SUT };
typedef void lab_actor_fn(void *actor);
unsigned lab_enrol(struct lab *, enum lab_kind, void *actor,
    lab_actor_fn *close, lab_actor_fn *reset);

/* The n-th actor of a kind, from 1; NULL where there is none. */
void *lab_actor(const struct lab *, enum lab_kind, unsigned n);

/* A socket that listens on a port of 127.0.0.1.
 *
 * Owns:   the caller closes it; by the end of the lab it must be closed.
 * Errors: -1 with errno.
 */
struct sockaddr_in;
int lab_listen(struct lab *, struct sockaddr_in *address);

#endif
