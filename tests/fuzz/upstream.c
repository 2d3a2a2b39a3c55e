/* upstream.c - a fuzz target: what an upstream reads from its backend.
 *
 * The input is three bytes of options, one that says what the client asks for
 * first, and then what the backend says.  The bytes from 0xf0 on are not sent,
 * they do something: cut the stream here, end it, let time go by, have the
 * client ask once more.
 */
#include "scene.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum action {
	CUT = 0xf0,   /* what was gathered is sent, and arrives */
	FIN,	      /* of the backend, on the connection it is at */
	RST,	      /* likewise */
	TIMER,	      /* the next one fires */
	ASK,	      /* a byte: what the client asks for next */
	PAD,	      /* a byte: so many hundred bytes */
	HOLD,	      /* a byte: at which checkpoint */
	RELEASE,      /* all that are held */
	LIMIT,	      /* a byte: the next sending stops behind so many */
	CLIENT_RST,   /* it leaves */
	CLIENT_FIN,   /* it sends no more */
	BACKEND_DEAF, /* it stops reading, or begins again */
	CLIENT_DEAF,  /* likewise */
	OLDER	      /* the backend turns to the connection before */
};

/* The n-th request has the path /n. */
static const char *const asks[][2] = {
	{ "GET", "HTTP/1.1\r\nHost: t\r\n\r\n" },
	{ "HEAD", "HTTP/1.1\r\nHost: t\r\n\r\n" },
	{ "POST", "HTTP/1.1\r\nHost: t\r\nContent-Length: 3\r\n\r\nabc" },
	{ "PUT",
	    "HTTP/1.1\r\nHost: t\r\nTransfer-Encoding: chunked\r\n\r\n"
	    "3\r\nabc\r\n0\r\n\r\n" },
	{ "GET", "HTTP/1.0\r\n\r\n" },
	{ "GET", "HTTP/1.0\r\nConnection: keep-alive\r\n\r\n" },
	{ "GET", "HTTP/1.1\r\nHost: t\r\nConnection: close\r\n\r\n" },
	{ "POST", "HTTP/1.1\r\nHost: t\r\nIdempotency-Key: k\r\n\r\n" },
	{ "POST",
	    "HTTP/1.1\r\nHost: t\r\nExpect: 100-continue\r\n"
	    "Content-Length: 3\r\n\r\nabc" },
	{ "HEAD", "HTTP/1.0\r\nConnection: keep-alive\r\n\r\n" },
	/* Only half of it; what comes behind it would be its body. */
	{ "POST", "HTTP/1.1\r\nHost: t\r\nContent-Length: 999999\r\n\r\nabc" },
};

enum { ASKS = sizeof asks / sizeof *asks, PADS_MAX = 3000 };

static struct scene scene;
static struct scene_conn *at; /* where the backend speaks */
static unsigned n_asked;
static bool client_left; /* it reset */
static char gathered[400000];
static size_t n_gathered;

/* --------------------------------------------------------------- playing ---- */

static void
on_begin(struct scene *s, struct scene_conn *c, struct scene_arrival *a)
{
	at = c;
}

static void
on_whole(struct scene *s, struct scene_conn *c, struct scene_arrival *a,
    const struct strict_message *m)
{
}

static void
send_gathered(void)
{
	if (at != NULL)
		scene_send(&scene, &at->peer, gathered, n_gathered);
	n_gathered = 0;
	scene_settle(&scene);
}

static void
ask(unsigned what)
{
	char text[200];
	int n = snprintf(text, sizeof text, "%s /%u %s", asks[what % ASKS][0],
	    ++n_asked, asks[what % ASKS][1]);

	scene_send(&scene, &scene.client, text, (size_t)n);
	scene_settle(&scene);
}

static void
gather(uint8_t byte, size_t times)
{
	while (times-- > 0 && n_gathered < sizeof gathered)
		gathered[n_gathered++] = (char)byte;
}

static void
turn_to_older(void)
{
	for (size_t i = scene.n_conns; i-- > 1;)
		if (scene.conns[i] == at) {
			at = scene.conns[i - 1];
			return;
		}
}

/* Returns: whether the action takes the next byte, too. */
static bool
act(enum action action, unsigned arg)
{
	struct scene_peer *p;

	switch (action) {
	case PAD:
		gather('x', arg * 100);
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
	p = at == NULL ? NULL : &at->peer;
	switch (action) {
	case FIN:
		if (p != NULL)
			scene_fin(&scene, p);
		break;
	case RST:
		if (p != NULL)
			scene_rst(&scene, p);
		break;
	case TIMER:
		scene_fire(&scene);
		break;
	case ASK:
		ask(arg);
		return true;
	case RELEASE:
		scene_release(&scene);
		break;
	case CLIENT_RST:
		client_left = true;
		scene_rst(&scene, &scene.client);
		break;
	case CLIENT_FIN:
		scene_fin(&scene, &scene.client);
		break;
	case BACKEND_DEAF:
		if (p != NULL)
			p->deaf = !p->deaf;
		break;
	case CLIENT_DEAF:
		scene.client.deaf = !scene.client.deaf;
		break;
	case OLDER:
		turn_to_older();
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
			gather(data[i], 1);
		else
			i += act(data[i], i + 1 < size ? data[i + 1] : 0);
	}
	send_gathered();
	scene_calm(&scene);
}

/* --------------------------------------------------------------- judging ---- */

static bool
is_whole(const struct strict_message *m)
{
	return m->verdict == STRICT_GOOD || m->verdict == STRICT_MAY;
}

/* Was the backend's answer so undisturbed that it has to get through? */
static bool
must_pass(const struct scene_conn *c, const struct scene_answer *a)
{
	return a->final.verdict == STRICT_GOOD && a->final.status != 408 &&
	    c->peer.fd >= 0 && !scene.was_fired && !scene.was_held;
}

/* The n-th final response that the client got whole, behind n_interim ones. */
static void
check_whole(size_t n, const struct strict_message *m, unsigned n_interim)
{
	const struct scene_arrival *arrival;
	const struct scene_conn *c;
	struct scene_answer a;
	struct strict_message q;

	MUST(scene_request(&scene.client, n, SIZE_MAX, &q),
	    "a response that no request asked for");
	MUST(q.minor == 1 || n_interim == 0, "HTTP/1.0 is told a 1xx");
	strict_free(&q);
	if (!scene_last_arrival(&scene, n + 1, &c, &arrival)) {
		MUST(scene_is_own(m), "a response from nowhere");
		return;
	}
	scene_answer(&scene, c, arrival, &a);
	if (!scene_is_own(m)) {
		MUST(is_whole(&a.final), "an answer that was %s looks whole",
		    a.final.why == NULL ? "not whole" : a.final.why);
		MUST(m->status == a.final.status, "another status");
		MUST(
		    m->status != 408 || !a.final.last || arrival == c->arrivals,
		    "a 408 that crossed the request answers it");
		MUST(m->body_size == a.final.body_size &&
			(m->body_size == 0 ||
			    memcmp(m->body, a.final.body, m->body_size) == 0),
		    "another body");
		scene_same_fields(&a.final, m);
		MUST(!m->reframes, "a trailer goes on that must not");
	} else {
		MUST(!must_pass(c, &a), "a good answer became %d", m->status);
	}
	strict_free(&a.final);
}

/* The response behind the n-th is cut, or still under way. */
static void
check_part(size_t n, const struct strict_message *m)
{
	const struct scene_arrival *arrival;
	const struct scene_conn *c;
	struct scene_answer a;

	if (m->head_size == 0 || scene_is_own(m))
		return;
	MUST(scene_last_arrival(&scene, n + 1, &c, &arrival),
	    "half a response from nowhere");
	scene_answer(&scene, c, arrival, &a);
	MUST(m->status == a.final.status, "another status");
	MUST(m->body_size <= a.final.body_size &&
		(m->body_size == 0 ||
		    memcmp(m->body, a.final.body, m->body_size) == 0),
	    "a body that is no part of what was sent");
	strict_free(&a.final);
}

/* May the client still wait for its n-th final response? */
static bool
may_wait(size_t n)
{
	const struct scene_arrival *arrival;
	const struct scene_conn *c;
	struct scene_answer a;
	struct strict_message q;
	bool may;

	if (!scene_request(&scene.client, n, SIZE_MAX, &q))
		return true; /* it asked for none */
	strict_free(&q);
	if (!scene_last_arrival(&scene, n + 1, &c, &arrival))
		return false;
	scene_answer(&scene, c, arrival, &a);
	may = a.final.verdict == STRICT_MORE && c->peer.fd >= 0 &&
	    !c->peer.fin_sent && !c->peer.broken;
	strict_free(&a.final);
	return may;
}

/* Did the client say that this is its last request? */
static bool
was_last(size_t n)
{
	struct strict_message q;
	bool last = false;

	if (scene_request(&scene.client, n, SIZE_MAX, &q)) {
		last = q.last;
		strict_free(&q);
	}
	return last;
}

/* Whether a backed-off retry waits for the clock. */
static bool
waits_for_clock(void)
{
	return scene.was_fired || scene.options.backoff_ms > 0;
}

static bool
answers_head(size_t n)
{
	struct strict_message q;
	bool is_head = false;

	if (scene_request(&scene.client, n, SIZE_MAX, &q)) {
		is_head = strict_is_head(&q);
		strict_free(&q);
	}
	return is_head;
}

/* Everything that the client got is responses, each what the backend answered
 * to that request, and nothing is missing. */
static void
check_client(void)
{
	const struct scene_peer *p = &scene.client;
	size_t begin = 0, n = 0;
	bool closing = false, cut = false;
	unsigned n_interim = 0;
	struct strict_message m;

	while (begin < p->in.size && !cut) {
		MUST(!closing, "something comes behind the last response");
		strict_response(&m, p->in.p + begin, p->in.size - begin,
		    answers_head(n), p->eof && !p->reset, SIZE_MAX);
		MUST(m.verdict != STRICT_BAD,
		    "what the client gets is malformed: %s", m.why);
		cut = m.verdict == STRICT_MORE;
		begin += m.size;
		if (cut) {
			check_part(n, &m);
		} else if (m.status >= 200) {
			closing = m.last;
			check_whole(n++, &m, n_interim);
			n_interim = 0;
		} else {
			n_interim++;
		}
		strict_free(&m);
	}
	if (client_left || waits_for_clock())
		return;
	if (closing) {
		MUST(p->eof, "the last response, but no end");
		return;
	}
	if (p->eof || p->reset)
		MUST(cut || p->fin_wanted || (n > 0 && was_last(n - 1)),
		    "it ends without a cause");
	else
		MUST(may_wait(n), "an answer did not get through");
}

/* RFC 9112 9.3, R5: behind the first byte of a final response nothing is sent
 * again, but where it was a 408 that had crossed the request. */
static void
check_retries(void)
{
	for (size_t i = 0; i < scene.n_conns; i++) {
		const struct scene_conn *c = scene.conns[i], *other;
		const struct scene_arrival *last;
		struct scene_answer a;

		for (size_t k = 0; k < c->n_arrivals; k++) {
			scene_last_arrival(
			    &scene, c->arrivals[k].exchange, &other, &last);
			scene_answer(&scene, c, &c->arrivals[k], &a);
			MUST(last == &c->arrivals[k] || a.n_bytes == 0 ||
				a.final.status == 408,
			    "it was sent again behind half an answer");
			strict_free(&a.final);
		}
	}
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct scene *s = &scene;

	if (size <= SCENE_OPTIONS)
		return 0;
	n_gathered = 0;
	n_asked = 0;
	at = NULL;
	client_left = false;
	scene_open(s, data);
	s->on_begin = on_begin;
	s->on_whole = on_whole;
	scene_connect(s);
	ask(data[SCENE_OPTIONS]);
	play(data + SCENE_OPTIONS + 1, size - SCENE_OPTIONS - 1);
	check_client();
	check_retries();
	scene_check_arrivals(s, &s->client);
	scene_check_end(s);
	scene_close(s);
	return 0;
}
