/* session.c - a fuzz target: what a session reads from its client.
 *
 * The input is three bytes of options and then what the client sends.  The
 * bytes from 0xf0 on are not sent, they do something: cut the stream here, end
 * it, let time go by, decide how the backend takes the next request.
 */
#include "scene.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum action {
	CUT = 0xf0,   /* what was gathered is sent, and arrives */
	FIN,	      /* of the client */
	RST,	      /* likewise */
	TIMER,	      /* the next one fires */
	ANSWER,	      /* a byte: how the next request in line is answered */
	PAD,	      /* a byte: so many hundred bytes */
	HOLD,	      /* a byte: at which checkpoint */
	RELEASE,      /* all that are held */
	LIMIT,	      /* a byte: the next sending stops behind so many */
	BACKEND_RST,  /* the newest connection */
	BACKEND_FIN,  /* likewise */
	BACKEND_DEAF, /* it stops reading, or begins again */
	CLIENT_DEAF   /* likewise */
};

/* How the backend takes a request; from FAULTS on it does it wrong. */
enum mode {
	LENGTH,
	CHUNKS,
	NO_CONTENT,
	NOT_MODIFIED,
	HINTS, /* 103, then by length */
	CONTINUE,
	OLD,   /* HTTP/1.0, ended by FIN */
	CLOSE, /* close-delimited */
	LAST,  /* Connection: close */
	LONG,  /* more than a window */
	EARLY, /* when the head has come */
	FAULTS,
	FIN_AT_ONCE = FAULTS,
	RST_AT_ONCE,
	FIN_AT_END,
	RST_AT_END,
	FIN_IN_LENGTH,
	RST_IN_LENGTH,
	FIN_IN_CHUNKS,
	FIN_BEHIND_HINTS,
	STALE, /* 408 with close */
	JUNK,
	SILENT,
	MODES
};

enum { PLANS = 512, PADS_MAX = 2000 };

static struct scene scene;
static unsigned char plans[PLANS]; /* modes of the requests to come */
static size_t n_plans, n_planned;
static bool was_faulty; /* of the modes that were used */
static bool was_silent; /* an answer is still owed */
static bool was_reset;	/* the client left */
static char gathered[65536];
static size_t n_gathered;

/* --------------------------------------------------------------- backend ---- */

static void
say(struct scene_conn *c, const char *head, const char *body)
{
	char text[512];
	int n = snprintf(text, sizeof text, "%s%s", head, body);

	scene_send(&scene, &c->peer, text, (size_t)n);
}

static void
on_begin(struct scene *s, struct scene_conn *c, struct scene_arrival *a)
{
	a->mode = n_planned < n_plans ? plans[n_planned] % MODES : LENGTH;
	n_planned++;
	a->faulty = a->mode >= FAULTS;
	was_faulty |= a->faulty;
	/* What waits for the clock waits for ever. */
	was_silent |=
	    a->mode == SILENT || (a->faulty && s->options.backoff_ms > 0);
	if (a->mode == FIN_AT_ONCE)
		scene_fin(s, &c->peer);
	if (a->mode == RST_AT_ONCE)
		scene_rst(s, &c->peer);
}

static void
say_long(struct scene_conn *c, const char *start)
{
	static char body[100000];

	memset(body, 'x', sizeof body);
	say(c, start, "Content-Length: 100000\r\n\r\n");
	scene_send(&scene, &c->peer, body, sizeof body);
}

static void
on_head(struct scene *s, struct scene_conn *c, struct scene_arrival *a,
    const struct strict_message *m)
{
	char sum[40];

	snprintf(
	    sum, sizeof sum, "X-Sum: %016" PRIx64 "\r\n", scene_sum(m, false));
	if (a->mode == EARLY) {
		say(c, "HTTP/1.1 413 Too Large\r\n", sum);
		say(c, "Content-Length: 2\r\n\r\n", a->is_head ? "" : "no");
	} else if (a->mode == CONTINUE) {
		say(c, "HTTP/1.1 100 Continue\r\n\r\n", "");
	}
}

static void
on_whole(struct scene *s, struct scene_conn *c, struct scene_arrival *a,
    const struct strict_message *m)
{
	const char *ok = a->is_head ? "" : "ok";
	char start[80], old[80];

	snprintf(start, sizeof start,
	    "HTTP/1.1 200 OK\r\nX-Sum: %016" PRIx64 "\r\n", scene_sum(m, true));
	snprintf(old, sizeof old,
	    "HTTP/1.0 200 OK\r\nX-Sum: %016" PRIx64 "\r\n", scene_sum(m, true));
	switch ((enum mode)a->mode) {
	case CONTINUE:
	case LENGTH:
	case MODES:
		say(c, start, "Content-Length: 2\r\n\r\n");
		say(c, ok, "");
		break;
	case CHUNKS:
		say(c, start, "Transfer-Encoding: chunked\r\n\r\n");
		say(c, a->is_head ? "" : "1\r\no\r\n1\r\nk\r\n0\r\n\r\n", "");
		break;
	case NO_CONTENT:
		snprintf(start, sizeof start,
		    "HTTP/1.1 204 No\r\nX-Sum: %016" PRIx64 "\r\n\r\n",
		    scene_sum(m, true));
		say(c, start, "");
		break;
	case NOT_MODIFIED:
		snprintf(start, sizeof start,
		    "HTTP/1.1 304 No\r\nX-Sum: %016" PRIx64 "\r\n",
		    scene_sum(m, true));
		say(c, start, "Content-Length: 7\r\n\r\n");
		break;
	case HINTS:
		say(c, "HTTP/1.1 103 Early\r\nLink: </a>\r\n\r\n", start);
		say(c, "Content-Length: 2\r\n\r\n", ok);
		break;
	case OLD:
		say(c, old, "Content-Length: 2\r\n\r\n");
		say(c, ok, "");
		scene_fin(s, &c->peer);
		break;
	case CLOSE:
		say(c, start, "\r\n");
		say(c, ok, "");
		scene_fin(s, &c->peer);
		break;
	case LAST:
		say(c, start, "Connection: close\r\nContent-Length: 2\r\n\r\n");
		say(c, ok, "");
		break;
	case LONG:
		if (a->is_head)
			say(c, start, "Content-Length: 100000\r\n\r\n");
		else
			say_long(c, start);
		break;
	case FIN_AT_END:
		scene_fin(s, &c->peer);
		break;
	case RST_AT_END:
		scene_rst(s, &c->peer);
		break;
	case FIN_IN_LENGTH:
		say(c, start, "Content-Length: 3\r\n\r\nok");
		scene_fin(s, &c->peer);
		break;
	case RST_IN_LENGTH:
		say(c, start, "Content-Length: 3\r\n\r\nok");
		scene_rst(s, &c->peer);
		break;
	case FIN_IN_CHUNKS:
		say(c, start, "Transfer-Encoding: chunked\r\n\r\n2\r\nok\r\n");
		scene_fin(s, &c->peer);
		break;
	case FIN_BEHIND_HINTS:
		say(c, "HTTP/1.1 103 Early\r\n\r\n", "");
		scene_fin(s, &c->peer);
		break;
	case STALE:
		say(c, "HTTP/1.1 408 Late\r\nContent-Length: 0\r\n",
		    "Connection: close\r\n\r\n");
		scene_fin(s, &c->peer);
		break;
	case JUNK:
		say(c, "220 smtp\r\n\r\n", "");
		break;
	case EARLY:
	case FIN_AT_ONCE:
	case RST_AT_ONCE:
	case SILENT:
		break;
	}
}

/* ---------------------------------------------------------------- client ---- */

static void
gather(const uint8_t *bytes, size_t size)
{
	if (size > sizeof gathered - n_gathered)
		size = sizeof gathered - n_gathered;
	memcpy(gathered + n_gathered, bytes, size);
	n_gathered += size;
}

static void
pad(unsigned hundreds)
{
	static size_t n; /* how many in this play */
	static const uint8_t line[101] =
	    "xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx"
	    "xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx";

	if (hundreds == 0)
		n = 0;
	for (; hundreds > 0 && n < PADS_MAX; hundreds--, n++)
		gather(line, 100);
}

static void
send_gathered(void)
{
	scene_send(&scene, &scene.client, gathered, n_gathered);
	n_gathered = 0;
	scene_settle(&scene);
}

static struct scene_conn *
newest(void)
{
	return scene.n_conns == 0 ? NULL : scene.conns[scene.n_conns - 1];
}

/* Returns: whether the action takes the next byte, too. */
static bool
act(enum action action, unsigned arg)
{
	struct scene_conn *c = newest();

	switch (action) {
	case ANSWER:
		if (n_plans < PLANS)
			plans[n_plans++] = (unsigned char)arg;
		return true;
	case PAD:
		pad(arg);
		return true;
	case HOLD:
		scene_hold(&scene, arg);
		return true;
	case LIMIT:
		scene.limit = arg;
		return true;
	default:
		break;
	}
	send_gathered();
	switch (action) {
	case FIN:
		scene_fin(&scene, &scene.client);
		break;
	case RST:
		was_reset = true;
		scene_rst(&scene, &scene.client);
		break;
	case TIMER:
		scene_fire(&scene);
		break;
	case RELEASE:
		scene_release(&scene);
		break;
	case BACKEND_RST:
		was_faulty = true;
		was_silent |= scene.options.backoff_ms > 0;
		if (c != NULL)
			scene_rst(&scene, &c->peer);
		break;
	case BACKEND_FIN:
		was_faulty = true;
		was_silent |= scene.options.backoff_ms > 0;
		if (c != NULL)
			scene_fin(&scene, &c->peer);
		break;
	case BACKEND_DEAF:
		if (c != NULL)
			c->peer.deaf = !c->peer.deaf;
		break;
	case CLIENT_DEAF:
		scene.client.deaf = !scene.client.deaf;
		break;
	default:
		break;
	}
	scene.n_moves++;
	scene_settle(&scene);
	return false;
}

static void
play(const uint8_t *data, size_t size)
{
	for (size_t i = 0; i < size; i++) {
		if (data[i] < CUT)
			gather(data + i, 1);
		else
			i += act(data[i], i + 1 < size ? data[i + 1] : 0);
	}
	send_gathered();
	scene_calm(&scene);
}

/* --------------------------------------------------------------- judging ---- */

static bool
has_sum(const struct strict_message *answer, const struct strict_message *q)
{
	struct strict_text sum = strict_value(answer, "x-sum");
	char whole[32], head[32];

	snprintf(whole, sizeof whole, "%016" PRIx64, scene_sum(q, true));
	snprintf(head, sizeof head, "%016" PRIx64, scene_sum(q, false));
	return strict_is(sum, whole) || strict_is(sum, head);
}

/* The proxy's own answer: may the request have got one? */
static void
check_refusal(const struct strict_message *answer,
    const struct strict_message *q, bool is_last)
{
	if (answer->status == 200) {
		MUST(strict_is_counted(q) && strict_is_used_up(q),
		    "the proxy answers what is not its own");
		return;
	}
	MUST(answer->status >= 400 && answer->status < 600,
	    "the proxy says %d by itself", answer->status);
	if (was_faulty || scene.was_fired)
		return;
	MUST(q->verdict != STRICT_GOOD, "a good request is told %d",
	    answer->status);
	if (q->verdict == STRICT_MORE)
		return; /* half a request, or a limit that was met */
	MUST(answer->last && is_last,
	    "a bad request is refused, but its connection goes on: %s", q->why);
}

/* The n-th final response.  Returns: false: there is no request for it. */
static bool
check_answer(size_t n, const struct strict_message *answer, bool is_last)
{
	struct strict_message q;

	if (!scene_request(
		&scene.client, n, (size_t)scene.options.head_bytes, &q)) {
		/* An idle connection was given up with a word, or an empty
		 * line was. */
		MUST(answer->status == 408 || answer->status == 400,
		    "a response that no request asked for");
		return false;
	}
	if (scene_is_own(answer))
		check_refusal(answer, &q, is_last);
	else if (answer->status == 408)
		MUST(was_faulty, "a 408 from nowhere");
	else
		MUST(q.verdict != STRICT_BAD || strict_count(answer, "x-sum"),
		    "a bad request is answered");
	if (strict_count(answer, "x-sum") > 0)
		MUST(has_sum(answer, &q), "a foreign answer");
	strict_free(&q);
	return true;
}

/* Read the n-th final response, or an interim one in front of it. */
static void
read_answer(size_t n, size_t at, struct strict_message *m)
{
	const struct scene_peer *p = &scene.client;
	const char *bytes = p->in.p + at;
	size_t size = p->in.size - at;
	bool ended = p->eof && !p->reset, is_head = false, is_good = false;
	struct strict_message q;

	if (scene_request(
		&scene.client, n, (size_t)scene.options.head_bytes, &q)) {
		is_head = strict_is_head(&q);
		is_good = q.head_good;
		strict_free(&q);
	}
	strict_response(m, bytes, size, is_head, ended, SIZE_MAX);
	/* Where the head is refused, its method need not be known. */
	if (!is_head || is_good || m->verdict != STRICT_GOOD || m->size == size)
		return;
	strict_free(m);
	strict_response(m, bytes, size, false, ended, SIZE_MAX);
}

/* Everything that the client got is responses, each its own.
 * Returns: how many final ones are whole; *closing: the last of them said that
 * it is the last; *cut: a further one is not whole. */
static size_t
check_answers(bool *closing, bool *cut)
{
	const struct scene_peer *p = &scene.client;
	size_t at = 0, n = 0;
	struct strict_message m;

	*closing = *cut = false;
	while (at < p->in.size) {
		MUST(!*closing, "something comes behind the last response");
		read_answer(n, at, &m);
		MUST(m.verdict != STRICT_BAD,
		    "what the client gets is malformed: %s", m.why);
		if (m.verdict == STRICT_MORE) {
			*cut = true;
			strict_free(&m);
			break;
		}
		at += m.size;
		if (m.status >= 200) {
			*closing = m.last;
			check_answer(n++, &m, at == p->in.size);
		}
		strict_free(&m);
	}
	return n;
}

/* How many requests are whole; *rest: what the client said behind them. */
static size_t
count_requests(enum strict_verdict *rest, bool *last)
{
	struct strict_message q;
	size_t n = 0;

	*rest = STRICT_GOOD; /* nothing */
	*last = false;
	while (scene_request(
	    &scene.client, n, (size_t)scene.options.head_bytes, &q)) {
		if (q.verdict == STRICT_MORE || q.verdict == STRICT_BAD)
			*rest = q.verdict;
		else
			*last = q.last;
		n += *rest == STRICT_GOOD;
		strict_free(&q);
		if (*rest != STRICT_GOOD)
			break;
	}
	return n;
}

/* Without the clock, without a backend that owes something: every request has
 * its answer by now. */
static void
check_progress(bool ended)
{
	enum strict_verdict rest;
	bool closing, cut, last;
	size_t n_answers = check_answers(&closing, &cut), n_requests;

	if (was_reset || was_silent || scene.was_fired)
		return;
	n_requests = count_requests(&rest, &last);
	if (scene.client.reset || cut) {
		MUST(was_faulty, "an answer was cut");
		MUST(scene.client.reset || scene.client.eof,
		    "an answer was cut, but no end");
		return;
	}
	if (closing) {
		MUST(scene.client.eof, "the last response, but no end");
		return;
	}
	MUST(n_answers == n_requests, "%zu requests, but %zu answers",
	    n_requests, n_answers);
	MUST(!last, "a connection that should end goes on");
	MUST(
	    !ended || scene.client.eof, "the client has gone, the proxy stays");
	MUST(!ended || rest == STRICT_GOOD, "half a request, not refused");
	MUST(rest != STRICT_BAD, "a bad request, and not a word");
	MUST(ended || !scene.client.eof, "it ends without a cause");
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct scene *s = &scene;

	if (size < SCENE_OPTIONS)
		return 0;
	n_plans = n_planned = n_gathered = 0;
	was_faulty = was_silent = was_reset = false;
	pad(0);
	scene_open(s, data);
	s->on_begin = on_begin;
	s->on_head = on_head;
	s->on_whole = on_whole;
	scene_connect(s);
	play(data + SCENE_OPTIONS, size - SCENE_OPTIONS);
	check_progress(s->client.fin_wanted);
	if (!s->client.fin_wanted && !was_reset) {
		scene_fin(s, &s->client);
		scene_settle(s);
		check_progress(true);
	}
	scene_check_arrivals(s, &s->client);
	scene_check_end(s);
	scene_close(s);
	return 0;
}
