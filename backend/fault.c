/* fault.c - see fault.h: the names, the rules and the choice.  What faults look
 * like as text is in fault_text.c. */
#include "backend/fault.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#define X(symbol, word) [symbol] = word,
static const char *const point_names[N_POINTS] = { BACKEND_POINTS(X) };
static const char *const ending_names[N_ENDINGS] = { BACKEND_ENDINGS(X) };
#undef X

const char *
fault_point_name(enum close_point point)
{
	return point < N_POINTS ? point_names[point] : "none";
}

const char *
fault_ending_name(enum ending ending)
{
	return ending < N_ENDINGS ? ending_names[ending] : "none";
}

void
fault_init(struct fault *f)
{
	memset(f, 0, sizeof *f);
	f->on = N_POINTS;
	f->close = N_ENDINGS;
	f->times = 1;
}

struct complaint {
	char *error;
	size_t error_size;
};

static int complain(const struct complaint *, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

static int
complain(const struct complaint *to, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	vsnprintf(to->error, to->error_size, format, args);
	va_end(args);
	return -1;
}

static bool
wants_at(enum close_point on)
{
	return on == POINT_REQUEST_BYTE || on == POINT_RESPONSE_BYTE;
}

static bool
follows_a_response(enum close_point on)
{
	return on == POINT_IDLE || on == POINT_RESPONSE_BYTE ||
	    on == POINT_RESPONSE_HEAD || on == POINT_RESPONSE_END;
}

int
fault_check(const struct fault *f, char *error, size_t error_size)
{
	struct complaint t = { error, error_size };
	const char *on = fault_point_name(f->on);

	if (f->on >= N_POINTS)
		return complain(&t, "on is needed: where the fault happens");
	if (f->close >= N_ENDINGS)
		return complain(&t, "close is needed: how the fault ends it");
	if (wants_at(f->on) && f->at == 0)
		return complain(&t, "at is needed with %s", on);
	if (!wants_at(f->on) && f->at != 0)
		return complain(&t,
		    "at is known only to request_byte and response_byte, "
		    "not to %s",
		    on);
	if (f->on != POINT_IDLE && f->after_ms != 0)
		return complain(
		    &t, "after_ms is known only to idle, not to %s", on);
	if (f->announce && !follows_a_response(f->on))
		return complain(&t,
		    "announce needs a response before the ending: idle, "
		    "response_byte, response_head or response_end, not %s",
		    on);
	if (f->on == POINT_ACCEPT &&
	    (f->request != 0 || f->method[0] || f->path[0] || f->id[0]))
		return complain(&t, "an accept fault knows only conn");
	if (f->on == POINT_IDLE && (f->method[0] || f->path[0] || f->id[0]))
		return complain(&t,
		    "an idle fault knows only conn and request (the number "
		    "of finished requests)");
	if (f->times == 0)
		return complain(&t, "times: allowed: 1 or more");
	return 0;
}

/* One key of the match. */
static enum fault_match
fits(const char *wanted, const char *is)
{
	if (wanted[0] == '\0')
		return FAULT_YES;
	if (is == NULL)
		return FAULT_UNKNOWN;
	return strcmp(wanted, is) == 0 ? FAULT_YES : FAULT_NO;
}

enum fault_match
fault_matches(const struct fault *f, const struct fault_facts *facts)
{
	enum fault_match keys[] = { fits(f->method, facts->method),
		fits(f->path, facts->path), fits(f->id, facts->id) };
	enum fault_match all = FAULT_YES;

	if (f->n_fired >= f->times)
		return FAULT_NO;
	if (f->conn != 0 && f->conn != facts->conn)
		return FAULT_NO;
	if (f->request != 0 && f->request != facts->request)
		return FAULT_NO;
	/* One key that does not fit decides, whatever the others will be. */
	for (int i = 0; i < 3; i++) {
		if (keys[i] == FAULT_NO)
			return FAULT_NO;
		if (keys[i] == FAULT_UNKNOWN)
			all = FAULT_UNKNOWN;
	}
	return all;
}

int
fault_choose(
    const struct fault *table, size_t n, const struct fault_facts *facts)
{
	for (size_t i = 0; i < n; i++) {
		if (table[i].on == POINT_ACCEPT || table[i].on == POINT_IDLE)
			continue;
		switch (fault_matches(&table[i], facts)) {
		case FAULT_YES:
			return (int)i;
		case FAULT_UNKNOWN:
			return -2; /* it stands before all that follow */
		case FAULT_NO:
			break;
		}
	}
	return -1;
}

static int
choose_on(const struct fault *table, size_t n, enum close_point on,
    unsigned conn, unsigned request)
{
	struct fault_facts facts = { conn, request, "", "", "" };

	for (size_t i = 0; i < n; i++)
		if (table[i].on == on &&
		    fault_matches(&table[i], &facts) == FAULT_YES)
			return (int)i;
	return -1;
}

int
fault_choose_accept(const struct fault *table, size_t n, unsigned conn)
{
	return choose_on(table, n, POINT_ACCEPT, conn, 0);
}

int
fault_choose_idle(
    const struct fault *table, size_t n, unsigned conn, unsigned n_finished)
{
	return choose_on(table, n, POINT_IDLE, conn, n_finished);
}
