/* What the witness enters of the packets that a peer has sent. */
#include "backend/witness.h"

#include <arpa/inet.h>
#include <event2/event.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "check.h"

#define ASK(id)              \
	"GET / HTTP/1.1\r\n" \
	"X-Closerace-Id: " id "\r\n\r\n"

/* A connection whose one end stands for a backend's. */
struct pair {
	int listener, server, peer;
	struct sockaddr_in to, from;
};

static void
pair_open(struct pair *p)
{
	socklen_t size = sizeof p->to;

	memset(p, 0, sizeof *p);
	p->to.sin_family = AF_INET;
	p->to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	p->listener = socket(AF_INET, SOCK_STREAM, 0);
	bind(p->listener, (struct sockaddr *)&p->to, sizeof p->to);
	getsockname(p->listener, (struct sockaddr *)&p->to, &size);
	listen(p->listener, 1);
	p->peer = socket(AF_INET, SOCK_STREAM, 0);
	connect(p->peer, (struct sockaddr *)&p->to, sizeof p->to);
	getsockname(p->peer, (struct sockaddr *)&p->from, &size);
	p->server = accept(p->listener, NULL, NULL);
}

static void
pair_close(struct pair *p)
{
	close(p->peer);
	close(p->server);
	close(p->listener);
}

static void
say(const struct pair *p, const char *bytes)
{
	send(p->peer, bytes, strlen(bytes), MSG_NOSIGNAL);
}

static void
look_and_end(struct witness *w, struct pair *p, struct event_base *base)
{
	struct ledger *books = ledger_new();
	struct unread unread;
	const struct ledger_attempt *a;

	unread_start(&unread, books, 1, 2);
	say(p, ASK("before"));
	witness_catch_up(w);
	say(p, ASK("between"));
	witness_watch(w, &p->from, &unread);
	say(p, ASK("after"));
	event_base_loop(base, EVLOOP_NONBLOCK);
	a = ledger_attempt(books, 0);
	CHECK(ledger_n_attempts(books) == 2,
	    "what was sent before the look is not entered (%zu)",
	    ledger_n_attempts(books));
	CHECK(a != NULL && strcmp(a->id, "between") == 0,
	    "what was sent between the look and the end is");
	a = ledger_attempt(books, 1);
	CHECK(a != NULL && strcmp(a->id, "after") == 0,
	    "and what is sent afterwards");
	witness_free(w);
	ledger_free(books);
}

int
main(void)
{
	struct event_base *base;
	struct event_config *config = event_config_new();
	struct witness *w;
	struct pair p;

	event_config_require_features(config, EV_FEATURE_ET);
	base = event_base_new_with_config(config);
	pair_open(&p);
	w = witness_new(base, ntohs(p.to.sin_port));
	if (w == NULL)
		CHECK(1, "a witness # SKIP no CAP_NET_RAW");
	else
		look_and_end(w, &p, base);
	witness_forked(); /* the socket that is kept for the next one */
	pair_close(&p);
	event_base_free(base);
	event_config_free(config);
	return CHECK_DONE();
}
