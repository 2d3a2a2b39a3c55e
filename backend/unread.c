/* unread.c - see unread.h. */
#include "backend/unread.h"

#include <string.h>

void
unread_start(
    struct unread *u, struct ledger *ledger, unsigned conn, unsigned request)
{
	memset(&u->like, 0, sizeof u->like);
	u->like.conn = conn;
	u->like.request = request;
	u->like.ended_on = N_POINTS;
	u->like.ending = u->like.server_ending = N_ENDINGS;
	u->ledger = ledger;
	u->attempt = LEDGER_NONE;
	u->first = LEDGER_NONE;
	u->may_run = false;
	follow_start(&u->follow, FOLLOW_REQUEST, false);
}

void
unread_inside(struct unread *u, const struct follow *follow, size_t attempt)
{
	u->follow = *follow;
	u->attempt = attempt;
}

static void
open_attempt(struct unread *u)
{
	u->attempt = ledger_enter(u->ledger, u->like.conn, u->like.request);
	*ledger_edit(u->ledger, u->attempt) = u->like;
	u->like.request++;
	if (u->first == LEDGER_NONE)
		u->first = u->attempt;
}

static void
add(struct unread *u, size_t size)
{
	struct ledger_attempt *a = ledger_edit(u->ledger, u->attempt);

	a->unread += size;
	if (u->may_run && u->follow.head_end != 0)
		a->executed_max = 1;
	ledger_name(a, u->follow.method, u->follow.target, u->follow.id);
}

void
unread_feed(struct unread *u, const void *bytes, size_t size)
{
	const char *at = bytes;
	size_t n;

	while (size > 0) {
		if (u->attempt == LEDGER_NONE)
			open_attempt(u);
		n = follow_feed(&u->follow, at, size);
		if (u->follow.lost)
			n = size; /* no boundaries any more */
		add(u, n);
		at += n;
		size -= n;
		if (u->follow.end != 0) {
			follow_start(&u->follow, FOLLOW_REQUEST, false);
			u->attempt = LEDGER_NONE;
		}
	}
}

void
unread_count(struct unread *u, size_t size)
{
	if (size == 0)
		return;
	if (u->attempt == LEDGER_NONE)
		open_attempt(u);
	add(u, size);
}
