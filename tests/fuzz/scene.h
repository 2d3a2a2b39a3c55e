/* scene.h - the real proxy between one client and a backend, both of which the
 * fuzz target plays; over loopback TCP, in one thread, without the clock.
 *
 * Nothing sleeps.  scene_settle() runs the proxy's loop until nothing moves any
 * more; time goes by only in scene_fire().  All that was said is kept, so that
 * it can be judged when the play is over.
 */
#ifndef TESTS_FUZZ_SCENE_H
#define TESTS_FUZZ_SCENE_H

#include <event2/event.h>

#include "proxy/proxy.h"
#include "strict.h"

enum {
	SCENE_OPTIONS = 3, /* bytes of an input that are options */
	SCENE_CONNS = 512,
	SCENE_ARRIVALS = 256, /* on one connection */
	SCENE_EXCHANGES = 512,
	SCENE_FLIGHTS = 2048,
	SCENE_HELD = 16
};

struct scene_bytes {
	char *p;
	size_t size, room;
};

/* One end of a connection, of those that the target plays. */
struct scene_peer {
	int fd;			    /* -1: closed or reset by us */
	struct scene_bytes in, out; /* all that came; all to be sent */
	size_t sent;		    /* of out */
	bool deaf;		    /* it does not read */
	bool fin_wanted, fin_sent;
	bool eof, reset; /* what the proxy did */
	bool broken;	 /* a send failed */
};

/* A request that came to the backend, perhaps not whole. */
struct scene_arrival {
	unsigned long exchange; /* whose bytes the proxy says these are */
	unsigned long order;	/* of all that came */
	size_t in_at, in_end;	/* where it begins, and ends once whole */
	size_t out_at;		/* where its response begins */
	bool head, whole, is_head;
	int mode; /* the target's */
	bool faulty;
};

/* Where, in what went to the backend over a connection, the bytes of an attempt
 * begin, as the proxy tells it. */
struct scene_flight {
	unsigned long upstream, exchange;
	unsigned attempt;
	unsigned short port;
	size_t begin, out_at; /* out_at: what the backend had said by then */
};

/* A connection to the backend. */
struct scene_conn {
	struct scene_peer peer;
	unsigned short port;
	struct scene_arrival arrivals[SCENE_ARRIVALS];
	size_t n_arrivals;
};

struct scene {
	struct event_base *base;
	struct proxy *proxy;
	struct proxy_options options;
	int listener; /* the backend's */
	unsigned short front;
	struct scene_peer client;
	struct scene_conn *conns[SCENE_CONNS];
	size_t n_conns;
	unsigned long n_arrivals;

	struct scene_timer *timers;
	int64_t now_ms;
	unsigned long n_moves, n_seen; /* anything that happened */

	const char *hold; /* checkpoint; NULL: none */
	struct proxy_actor *held[SCENE_HELD];
	size_t n_held, limit; /* limit: of the next sending; 0: none */
	int small_buffers;    /* of the proxy's sockets; 0: no */

	/* Of each exchange: attempts of which a byte left, and the newest. */
	unsigned n_tries[SCENE_EXCHANGES], last_try[SCENE_EXCHANGES];
	struct scene_flight flights[SCENE_FLIGHTS];
	size_t n_flights, flown[SCENE_CONNS]; /* bytes, by upstream */

	bool was_held, was_fired, is_calm;
	/* The target: a request has come so far; each is called once. */
	void (*on_begin)(
	    struct scene *, struct scene_conn *, struct scene_arrival *);
	void (*on_head)(struct scene *, struct scene_conn *,
	    struct scene_arrival *, const struct strict_message *);
	void (*on_whole)(struct scene *, struct scene_conn *,
	    struct scene_arrival *, const struct strict_message *);
	bool plain; /* the backend answers by itself, and well */
};

/* Say what is wrong and abort. */
#define FAIL(...) scene_fail(__FILE__, __LINE__, __VA_ARGS__)
#define MUST(cond, ...)                    \
	do {                               \
		if (!(cond))               \
			FAIL(__VA_ARGS__); \
	} while (0)
_Noreturn void scene_fail(const char *file, int line, const char *format, ...);

/* Begin, with the options that SCENE_OPTIONS bytes say. */
void scene_open(struct scene *, const uint8_t *options);
void scene_close(struct scene *);

/* A new client takes the place of the one before, which is reset. */
void scene_connect(struct scene *);

void scene_settle(struct scene *);

/* Let time go on to the next timer.  Returns: false: there is none. */
bool scene_fire(struct scene *);

void scene_send(struct scene *, struct scene_peer *, const void *, size_t);
void scene_fin(struct scene *, struct scene_peer *);
void scene_rst(struct scene *, struct scene_peer *);

/* The next actor that comes there is held; the number may be any. */
void scene_hold(struct scene *, unsigned checkpoint);
void scene_release(struct scene *);

/* The n-th request of a client's stream, from 0; not past one that is not
 * whole, or the last.  Returns: false: there is none.
 * Owns: strict_free(). */
bool scene_request(const struct scene_peer *client, size_t n, size_t head_bytes,
    struct strict_message *);

/* Are the fields of the message that came out those of the one that went in,
 * apart from what belongs to one hop and to the proxy? */
void scene_same_fields(
    const struct strict_message *in, const struct strict_message *out);

/* Is the response the proxy's own?  Where it only passes one on, it may say of it
 * that it took more than one attempt. */
bool scene_is_own(const struct strict_message *);

/* May a request be sent more than once, and how often (0: for ever)? */
unsigned scene_tries_max(
    const struct proxy_options *, const struct strict_message *request);

/* When the play is over: each request that came to the backend is one that the
 * client sent, none too often. */
void scene_check_arrivals(struct scene *, const struct scene_peer *client);

/* Everybody reads, nobody is held any more. */
void scene_calm(struct scene *);

/* What the backend answered to an arrival. */
struct scene_answer {
	struct strict_message final;
	unsigned n_interim;
	const char *bytes; /* behind the interim responses, n_bytes of them */
	size_t n_bytes;
};

/* Owns: strict_free() of final. */
void scene_answer(const struct scene *, const struct scene_conn *,
    const struct scene_arrival *, struct scene_answer *);

/* The newest request of that exchange that came to the backend.
 * Returns: false: none did. */
bool scene_last_arrival(const struct scene *, unsigned long exchange,
    const struct scene_conn **, const struct scene_arrival **);

/* Then: the next client is served, and everything comes to an end. */
void scene_check_end(struct scene *);

/* A sum over a request, for the backend's answers. */
uint64_t scene_sum(const struct strict_message *, bool with_body);

#endif
