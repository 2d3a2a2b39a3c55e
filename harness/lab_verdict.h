/* lab_verdict.h - gather the facts about one request of a lab, and judge. */
#ifndef HARNESS_LAB_VERDICT_H
#define HARNESS_LAB_VERDICT_H

#include <stdbool.h>

#include "harness/client.h"
#include "harness/verdict.h"

struct lab;

struct lab_verdict {
	enum verdict_name name;
	unsigned attempts;    /* sendings that the backend met */
	unsigned connections; /* … on so many connections */
	unsigned executed;    /* at least; executed_max: at most */
	unsigned executed_max;
	unsigned altered; /* executed with another content than was sent */
	bool unseen;	  /* there may have been more: a connection vanished */
	struct told told;
	int status;	    /* of the response told; 0: none */
	unsigned long mark; /* … its mark; 0: none */
	/* The request truly rode a connection that the backend ended, or was
	 * the reason to open it. */
	bool reached;
	enum order order; /* what decided; ORDER_NONE: nothing was ended */
	struct exchange *exchange;
};

/* Judge the newest exchange of that id.
 *
 * Needs:   the exchange is done.
 * Returns: false where the lab has no exchange of that id.
 */
bool lab_verdict(struct lab *, const char *id, struct lab_verdict *);

#endif
