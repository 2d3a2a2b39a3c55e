/* ledger.h - the backend's books: what arrived, was read, executed and
 * answered, per request id, and which response carries which mark.
 *
 * The id of a request is the value of its header X-Closerace-Id, or else the
 * path segment X of /id/X/…; a request without either has the id "".
 * Every response of the backend and every `say` carries a unique mark in the
 * header X-Closerace-Mark, so that a foreign, late or stale response is
 * recognised.
 */
#ifndef BACKEND_LEDGER_H
#define BACKEND_LEDGER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "backend/fault.h"

#define LEDGER_ID_HEADER   "X-Closerace-Id"
#define LEDGER_MARK_HEADER "X-Closerace-Mark"
#define LEDGER_ID_MAX	   64

struct ledger;

/* One sending of a request, as the backend met it. */
struct ledger_attempt {
	char id[LEDGER_ID_MAX];
	char method[16];
	char path[256];	  /* as received, with its query */
	unsigned conn;	  /* n-th accepted connection */
	unsigned request; /* n-th request on it */
	size_t unread;	  /* bytes that arrived and nobody read */
	size_t read;	  /* bytes taken */
	size_t head;	  /* of its head in all; 0: not known */
	bool whole;	  /* all of the request was taken */
	/* it arrived on a connection that the backend had already ended */
	bool after_end;
	/* whether it arrived cannot be known: nobody was there any more, by
	 * vanish or plain, and no CAP_NET_RAW; one entry, without an id, for
	 * all that may have been sent since */
	bool unseen;
	/* How often it was executed, at least and at most: 0 or 1.  They are
	 * the same but for a server of the user's own: a request whose head
	 * it was given whole, and that it has not answered, or answered with
	 * a status that denies it, may have been executed. */
	unsigned executed, executed_max;
	/* executed: the content it was given, without any chunked coding;
	 * content_known: not with a server of the user's own */
	bool content_known;
	uint64_t content_size, content_hash; /* ledger_hash() */
	size_t answered; /* bytes of the final response sent */
	bool answered_whole;
	/* of the final response: the size of its head, 0: not known; and that
	 * the end of its body is that of the connection (RFC 9112 6.3) */
	size_t response_head;
	bool until_close;
	unsigned long mark; /* of its response; 0: none yet */

	/* its connection was ended by a fault, by hand or by the user's
	 * server, during it or before it */
	bool ended;
	enum close_point ended_on; /* where; N_POINTS unless ended */
	enum ending ending;	   /* how; N_ENDINGS unless ended */
	bool by_hand;		   /* by a call, not by the fault table */
	/* the user's server ended its connection by itself, during it or as
	 * the next thing: how (N_ENDINGS: it did not), and after how long
	 * idle; 0: it was not idle */
	enum ending server_ending;
	int64_t server_idle_ms;
};

/* One response, or one `say`. */
struct ledger_mark {
	unsigned long mark;
	/* of the request it belongs to; a say before any byte of a request was
	 * taken belongs to none */
	char id[LEDGER_ID_MAX];
	bool belongs; /* there is such a request */
	bool said;
	int status;	    /* 0: a say that is no response */
	uint64_t body_size; /* as it was meant to be */
	uint64_t body_hash; /* ledger_hash() over the body; 0 if said */
};

/* Books, in the order in which requests came.  Owned by the backend; what the
 * functions below return is borrowed and stays valid until the next event is
 * processed. */
size_t ledger_n_attempts(const struct ledger *); /* ever entered */
/* Of these, the first ones that are not kept any more; see ledger_bound(). */
size_t ledger_n_forgotten(const struct ledger *);
/* NULL: it was forgotten, or there is no n-th (from 0). */
const struct ledger_attempt *ledger_attempt(const struct ledger *, size_t n);
const struct ledger_mark *ledger_find_mark(
    const struct ledger *, unsigned long mark); /* NULL: no such mark */
const struct ledger_mark *ledger_last_said(
    const struct ledger *); /* NULL: nothing was said */

/* FNV-1a, 64 bits.  Begin with LEDGER_HASH_INIT; may be fed in parts. */
#define LEDGER_HASH_INIT 0xcbf29ce484222325u
uint64_t ledger_hash(uint64_t hash, const void *bytes, size_t size);

/* The id of a request, from its head (however much of it there is).
 *
 * Returns: true where the id is certain (the head is complete, or the id
 *          header was seen); id is "" where there is none.
 */
bool ledger_id_of(const char *head, size_t size, char id[LEDGER_ID_MAX]);

/* What follows keeps the books; only the backend writes in them. */

struct ledger *ledger_new(void); /* NULL when out of memory */
void ledger_free(struct ledger *);
void ledger_clear(struct ledger *); /* begin empty again */

/* Keep the latest attempts only, max of them, and as many marks.  Without that
 * all are kept.  Needs: an empty ledger; max > 0. */
void ledger_bound(struct ledger *, size_t max);

#define LEDGER_NONE ((size_t)-1)

/* Enter an attempt, empty but for conn and request.  Returns: its index, or
 * LEDGER_NONE when out of memory. */
size_t ledger_enter(struct ledger *, unsigned conn, unsigned request);

/* The n-th attempt, to be written to.  LEDGER_NONE and one that was forgotten
 * are allowed and give an entry that is never read. */
struct ledger_attempt *ledger_edit(struct ledger *, size_t n);

/* Fill in what is known of the request by now. */
void ledger_name(struct ledger_attempt *, const char *method,
    const char *target, const char *id);

/* A mark that no response of this process bears yet; all have the same number
 * of digits, so that byte offsets in responses do not depend on it. */
unsigned long ledger_next_mark(void);

/* Enter a mark; a young one is the quickest.  Out of memory, it is not
 * entered. */
void ledger_enter_mark(struct ledger *, const struct ledger_mark *);

#endif
