/* Upgrade: from a request to a tunnel, and how it ends. */
#include "check.h"
#include "proxy_stage.h"

static struct stage stage;

#define SWITCHED_ON                                               \
	"HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade" \
	"\r\nUpgrade: chat\r\nVia: 1.1 closerace\r\n\r\n"

/* Returns: the backend's end; both sides have switched. */
static int
open_tunnel(struct stage *s, int client)
{
	int conn;

	stage_say(s, client, UPGRADE);
	conn = stage_accept(s);
	stage_hear(s, conn, "\r\n\r\n");
	stage_say(s, conn, SWITCHED);
	stage_hear(s, client, "\r\n\r\n");
	return conn;
}

static void
switches(void)
{
	struct stage *s = &stage;
	int client, conn;

	stage_open(s, NULL);
	client = stage_client(s);
	stage_say(s, client, UPGRADE);
	conn = stage_accept(s);
	CHECK(strcmp(stage_hear(s, conn, "\r\n\r\n"),
		  "GET /chat HTTP/1.1\r\nHost: t\r\nConnection: upgrade\r\n"
		  "Upgrade: chat\r\nVia: 1.1 closerace\r\n\r\n") == 0,
	    "Upgrade goes on to the backend");
	stage_say(s, conn, SWITCHED "first");
	CHECK(strcmp(stage_hear(s, client, "first"), SWITCHED_ON "first") == 0,
	    "and 101 to the client, with what stands behind it");
	stage_say(s, client, "GET / HTTP/1.1\r\n\r\n");
	CHECK(strcmp(stage_hear(s, conn, "\r\n\r\n"),
		  "GET / HTTP/1.1\r\n\r\n") == 0,
	    "then bytes are bytes, whatever they look like");
	stage_say(s, conn, "0\r\n\r\n");
	CHECK(strcmp(stage_hear(s, client, "\r\n\r\n"), "0\r\n\r\n") == 0,
	    "in both directions");
	stage_fin(s, client);
	CHECK(strcmp(stage_hear(s, conn, NULL), "<fin>") == 0,
	    "the client's FIN goes on");
	stage_say(s, conn, "last");
	CHECK(stage_hears(s, client, "last", "last"),
	    "and the backend may still answer");
	stage_fin(s, conn);
	CHECK(strcmp(stage_hear(s, client, NULL), "<fin>") == 0,
	    "until it ends, too");
	stage_settle(s);
	CHECK(stage_n_pooled(s) == 0 && proxy_n_sessions(s->proxy) == 0 &&
		proxy_n_upstreams(s->proxy) == 0,
	    "neither connection is used again");
	CHECK(s->n_attempts == 1 && s->attempts[0].good &&
		s->account.status == 101 && s->account.who == '-',
	    "it came to its end");
	close(client);
	close(conn);
	stage_close(s);
}

static void
ends(void)
{
	static const char *const options[] = { "tunnel_timeout_ms=5000", NULL };
	struct stage *s = &stage;
	int client, conn;

	stage_open(s, options);
	client = stage_client(s);
	conn = open_tunnel(s, client);
	stage_reset(s, conn);
	stage_hear(s, client, NULL);
	CHECK(strcmp(s->heard, "<fin>") == 0 && s->account.who == 'U' &&
		s->account.when == 'T',
	    "a backend that resets ends the client's side");
	close(client);

	client = stage_client(s);
	conn = open_tunnel(s, client);
	stage_reset(s, client);
	CHECK(strcmp(stage_hear(s, conn, NULL), "<fin>") == 0 &&
		s->account.who == 'C' && s->account.when == 'T',
	    "a client that resets ends the backend's");
	close(conn);

	client = stage_client(s);
	conn = open_tunnel(s, client);
	stage_advance(s, 4000);
	stage_say(s, client, "x");
	stage_hear(s, conn, "x");
	stage_advance(s, 4999);
	CHECK(proxy_n_sessions(s->proxy) == 1, "time runs from byte to byte");
	stage_advance(s, 1);
	stage_hear(s, client, NULL);
	CHECK(s->account.who == 'u' && s->account.when == 'T',
	    "a tunnel in which nothing moves is ended");
	close(client);
	close(conn);
	stage_close(s);
}

/* No tunnel without both sides' word. */
/* The client asks for asked; the backend switches to this. */
static void
switches_to(const char *asked, const char *to, bool may)
{
	struct stage *s = &stage;
	int client, conn;
	char text[512];

	stage_open(s, NULL);
	client = stage_client(s);
	snprintf(text, sizeof text,
	    "GET /chat HTTP/1.1\r\nHost: t\r\nConnection: upgrade\r\n"
	    "Upgrade: %s\r\n\r\n",
	    asked);
	stage_say(s, client, text);
	conn = stage_accept(s);
	stage_hear(s, conn, "\r\n\r\n");
	snprintf(text, sizeof text,
	    "HTTP/1.1 101 S\r\nConnection: upgrade\r\nUpgrade: %s\r\n\r\n", to);
	stage_say(s, conn, text);
	stage_hear(s, client, "\r\n\r\n");
	CHECK(strncmp(s->heard, may ? "HTTP/1.1 101" : "HTTP/1.1 502", 12) == 0,
	    "asked for %s, switched to %s: %s", asked, to,
	    may ? "a tunnel" : "refused");
	CHECK(may || stage_hears(s, conn, NULL, "<fin>"),
	    "and what may follow is nobody's");
	close(client);
	close(conn);
	stage_close(s);
}

static void
refused(void)
{
	struct stage *s = &stage;
	int client, conn;

	stage_open(s, NULL);
	client = stage_client(s);
	stage_say(s, client, UPGRADE);
	conn = stage_accept(s);
	stage_hear(s, conn, "\r\n\r\n");
	stage_say(s, conn, OK_2);
	CHECK(stage_hears(s, client, "ok", "200 OK") && stage_n_pooled(s) == 1,
	    "a backend need not switch");
	stage_say(s, client, GET);
	stage_hear(s, conn, "\r\n\r\n");
	stage_say(s, conn, SWITCHED);
	CHECK(stage_hears(s, client, "asked for\n", "502 Bad Gateway") &&
		strstr(s->heard, "a 101 that nobody asked for"),
	    "it may not where nobody asked");
	close(conn);
	stage_say(s, client,
	    "POST / HTTP/1.1\r\nHost: t\r\nConnection: upgrade\r\n"
	    "Upgrade: chat\r\nContent-Length: 1\r\n\r\nx");
	conn = stage_accept(s);
	CHECK(!stage_hears(s, conn, "\r\n\r\n", "pgrade"),
	    "with a body, Upgrade is not passed on");
	stage_say(s, conn, OK_2);
	stage_hear(s, client, "ok");
	stage_say(s, client,
	    "GET / HTTP/1.1\r\nHost: t\r\nConnection: upgrade\r\n"
	    "Upgrade: h2c, chat\r\n\r\n");
	CHECK(!stage_hears(s, conn, "\r\n\r\n", "pgrade"),
	    "nor to HTTP/2, through which requests would pass unseen");
	close(conn);
	close(client);
	stage_close(s);
}

int
main(void)
{
	switches();
	ends();
	refused();
	switches_to("chat", "chat", true);
	switches_to("WebSocket", "websocket", true);
	switches_to("irc/6.9, chat", "chat", true);
	switches_to("tls/1.2, chat", "chat, TLS/1.2", true);
	switches_to("chat", "h2c", false);
	switches_to("chat", "chatter", false);
	switches_to("chat", "chat/2", false);
	switches_to("chat", "chat, smtp", false);
	switches_to("chat", ", ", false);
	switches_to("chat", "chat\r\nUpgrade: smtp", false);
	return CHECK_DONE();
}
