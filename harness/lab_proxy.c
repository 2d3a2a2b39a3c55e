/* lab_proxy.c - see lab_proxy.h. */
#include "harness/lab_proxy.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "harness/clock.h"
#include "harness/lab.h"
#include "harness/trace.h"

/* A request that was held while its connection was ended. */
struct held_end {
	char id[LEDGER_ID_MAX];
	unsigned port;
};

struct lab_proxy {
	struct lab *lab;
	struct proxy *proxy;
	unsigned number;
	struct sockaddr_in address;
	struct gate gate;

	struct lab_attempt *attempts;
	size_t n_attempts, attempts_room;
	struct held_end *ends;
	size_t n_ends;

	/* In the timeline. */
	char session_name[32], upstream_name[32];

	unsigned long id_of; /* the exchange whose id stands in id */
	char id[LEDGER_ID_MAX];
};

/* ---------------------------------------------------------------- books -- */

static unsigned
local_port(int fd)
{
	struct sockaddr_in sin = { 0 };
	socklen_t size = sizeof sin;

	if (getsockname(fd, (struct sockaddr *)&sin, &size) != 0)
		return 0;
	return ntohs(sin.sin_port);
}

/* The id of an event's request; an exchange's head is parsed once. */
static const char *
id_of(struct lab_proxy *p, const struct proxy_event *e)
{
	if (e->exchange == 0)
		return "";
	if (e->exchange != p->id_of) {
		p->id[0] = '\0';
		if (e->head == NULL)
			return "";
		ledger_id_of(e->head, e->head_size, p->id);
		p->id_of = e->exchange;
	}
	return p->id;
}

static void
remember_attempt(struct lab_proxy *p, const struct proxy_event *e)
{
	struct lab_attempt *a;

	if (p->n_attempts == p->attempts_room) {
		size_t room = 2 * p->attempts_room + 16;

		a = realloc(p->attempts, room * sizeof *a);
		if (a == NULL)
			return;
		p->attempts = a;
		p->attempts_room = room;
	}
	a = &p->attempts[p->n_attempts++];
	*a = (struct lab_attempt){ .exchange = e->exchange,
		.number = e->attempt,
		.upstream = e->upstream,
		.facts = *e->facts,
		.failed = e->decision != NULL,
		.why = "" };
	snprintf(a->id, sizeof a->id, "%s", id_of(p, e));
	if (e->decision != NULL) {
		a->action = e->decision->action;
		a->why = e->decision->why;
	}
}

/* ------------------------------------------------------------- watching -- */

static void
note(struct lab_proxy *p, const struct proxy_event *e, const char *what,
    size_t size, const char *text)
{
	const char *who = strncmp(e->checkpoint, "upstream.", 9) == 0
	    ? p->upstream_name
	    : p->session_name;

	lab_note(p->lab, who, e->serial, what, size, text);
}

const char *
lab_proxy_action(enum retry_action action)
{
	static const char *const words[] = { [RETRY_GIVE_UP] = "give up",
		[RETRY_AGAIN] = "retry",
		[RETRY_ELSEWHERE] = "elsewhere" };

	return words[action];
}

static void
note_attempt(struct lab_proxy *p, const struct proxy_event *e)
{
	char text[TRACE_TEXT] = "good";

	if (e->decision != NULL && lab_is_traced(p->lab))
		snprintf(text, sizeof text, "%s: %s",
		    lab_proxy_action(e->decision->action), e->decision->why);
	note(p, e, "attempt", 0, text);
}

static void
note_bytes(struct lab_proxy *p, const struct proxy_event *e, const char *what)
{
	char text[TRACE_TEXT] = "";

	if (lab_is_traced(p->lab))
		trace_snippet(text, e->bytes, e->size);
	note(p, e, what, e->size, text);
}

static enum proxy_answer
on_proxy(void *arg, const struct proxy_event *e)
{
	struct lab_proxy *p = arg;
	enum proxy_answer answer = PROXY_GO;

	switch (e->what) {
	case PROXY_OPENED:
		lab_add_fd(p->lab, e->fd);
		note(p, e, "opened", 0, "");
		break;
	case PROXY_ENTERED:
	case PROXY_LIMITED:
		answer = gate_answer(&p->gate, e, id_of(p, e));
		note(p, e, answer == PROXY_HOLD ? "held" : "state", 0,
		    strchr(e->checkpoint, '.') + 1);
		break;
	case PROXY_READ:
		lab_count_taken(p->lab, e->size);
		note_bytes(p, e, "received");
		break;
	case PROXY_SENT:
		lab_count_sent(p->lab, e->size);
		note_bytes(p, e, "sent");
		break;
	case PROXY_ATTEMPT:
		remember_attempt(p, e);
		note_attempt(p, e);
		break;
	case PROXY_DONE:
		break; /* the verdict is the lab's own */
	case PROXY_CLOSED:
		lab_drop_fd(p->lab, e->fd);
		gate_forget(&p->gate, e->actor);
		note(p, e, "closed", 0, "");
		break;
	}
	return answer;
}

/* --------------------------------------------------------------- public -- */

static void
lab_proxy_reset(void *arg)
{
	struct lab_proxy *p = arg;

	gate_disarm(&p->gate, NULL);
	proxy_reset(p->proxy);	   /* whoever is held goes with it */
	if (!lab_is_still(p->lab)) /* there, they were accepted */
		proxy_refuse_waiting(p->proxy);
	p->n_attempts = p->n_ends = 0;
	p->id_of = 0;
}

static void
lab_proxy_free(void *arg)
{
	struct lab_proxy *p = arg;

	proxy_free(p->proxy);
	gate_free(&p->gate);
	free(p->attempts);
	free(p->ends);
	free(p);
}

/* The first proxy of a lab is the one of whom all speak. */
static void
set_names(struct lab_proxy *p)
{
	char whose[20] = "";

	if (p->number > 1)
		snprintf(whose, sizeof whose, "proxy %u, ", p->number);
	snprintf(p->session_name, sizeof p->session_name, "%ssession", whose);
	snprintf(
	    p->upstream_name, sizeof p->upstream_name, "%supstream", whose);
}

struct lab_proxy *
lab_proxy_new(struct lab *lab, const struct proxy_options *options, char *error,
    size_t error_size)
{
	struct proxy_clock clock = { lab_clock(lab), clock_timer_new,
		clock_timer_arm, clock_timer_cancel, clock_timer_free, NULL,
		NULL };
	struct lab_proxy *p = calloc(1, sizeof *p);
	int fd = -1;

	if (p == NULL)
		goto fail;
	p->lab = lab;
	fd = lab_listen(lab, &p->address);
	if (fd < 0)
		goto fail;
	p->proxy = proxy_new(lab_base(lab), options, &clock, on_proxy, p);
	if (p->proxy == NULL)
		close(fd);
	if (p->proxy == NULL || proxy_listen(p->proxy, fd) != 0)
		goto fail;
	p->number =
	    lab_enrol(lab, LAB_PROXY, p, lab_proxy_free, lab_proxy_reset);
	if (p->number != 0) {
		set_names(p);
		return p;
	}
fail:
	snprintf(error, error_size, "cannot make a proxy: %s", strerror(errno));
	if (p != NULL)
		lab_proxy_free(p);
	return NULL;
}

unsigned
lab_proxy_number(const struct lab_proxy *p)
{
	return p->number;
}

const struct sockaddr_in *
lab_proxy_address(const struct lab_proxy *p)
{
	return &p->address;
}

struct gate *
lab_proxy_gate(struct lab_proxy *p)
{
	lab_touch(p->lab);
	return &p->gate;
}

const struct proxy *
lab_proxy_proxy(const struct lab_proxy *p)
{
	return p->proxy;
}

size_t
lab_proxy_n_attempts(const struct lab_proxy *p)
{
	return p->n_attempts;
}

const struct lab_attempt *
lab_proxy_attempt(const struct lab_proxy *p, size_t n)
{
	return &p->attempts[n];
}

void
lab_proxy_note_end(struct lab_proxy *p, unsigned port)
{
	for (size_t i = 0; i < p->gate.n_held; i++) {
		const struct gate_held *h = &p->gate.held[i];
		struct held_end *ends;

		if (h->id[0] == '\0' || local_port(h->fd) != port)
			continue;
		ends = realloc(p->ends, (p->n_ends + 1) * sizeof *ends);
		if (ends == NULL)
			return;
		p->ends = ends;
		ends += p->n_ends++;
		snprintf(ends->id, sizeof ends->id, "%s", h->id);
		ends->port = port;
	}
}

bool
lab_proxy_was_held(const struct lab_proxy *p, const char *id, unsigned port)
{
	for (size_t i = 0; i < p->n_ends; i++)
		if (p->ends[i].port == port && strcmp(p->ends[i].id, id) == 0)
			return true;
	return false;
}
