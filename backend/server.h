/* server.h - a server of the user's in the place of the built-in origin: the
 * connection to it, and the end that it makes of that by itself.
 *
 * Internal to the backend; works on struct valve, as intake.c, outlet.c and
 * finale.c do.
 */
#ifndef BACKEND_SERVER_H
#define BACKEND_SERVER_H

#include <stdbool.h>
#include <stddef.h>

#include "backend/valve.h"

/* Is it a server of the user's that is behind the valve? */
bool server_is_there(const struct valve *);

/* Connect to it.  Returns: false on failure; a refusal shows at the first
 * read. */
bool server_connect(struct valve *);

/* Is it not settled yet which of the upstream's addresses is connected to?
 * Where one has refused, the next is dialled. */
bool server_dials(struct valve *);

/* May it be given the next request before it has answered the present one?  Put
 * that aside for it (false: out of memory), and forget the oldest that was. */
bool server_takes_more(const struct valve *);
bool server_enqueue(struct valve *);
void server_dequeue(struct valve *);

/* The request that it answers next. */
struct queued server_asked(const struct valve *);

/* It owes nothing from now on. */
void server_note_idle(struct valve *);

/* It took n bytes more of the present request. */
void server_note_given(struct valve *, size_t n);

/* It answers. */
void server_note_answer(struct valve *);

/* Its end was read: enter and tell it. */
void server_note_end(struct valve *);

/* All that it has sent was passed on, and so must its end be.  Returns: the
 * next state. */
enum valve_state server_pass_on(struct valve *);

/* In:  PARTING (its FIN was passed on; what the peer still sends goes on to
 *      it).
 * Out: GONE. */
enum valve_state server_part(struct valve *);

#endif
