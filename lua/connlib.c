/* connlib.c - backend:conn(n): one accepted connection, held and ended by
 * hand. */
#include <string.h>

#include "harness/lab_backend.h"
#include "lua/actors.h"
#include "lua/block.h"
#include "lua/options.h"

/* backend:conn(n), backend:conn { carried = id } */
int
connlib_conn(lua_State *L)
{
	static const char *const names[] = { "carried", NULL };
	struct lab_backend *b = handle_actor(L, 1, BACKEND_CLASS);
	unsigned n_conns = backend_n_conns(lab_backend_facts(b));
	lua_Integer n;

	if (lua_istable(L, 2)) {
		const char *id;

		options_check(L, 2, "backend:conn", names);
		id = options_string(L, 2, "backend:conn", "carried", NULL);
		if (id == NULL)
			return luaL_error(
			    L, "backend:conn: carried is missing");
		n = lab_backend_carried(b, id);
		if (n == 0)
			return luaL_error(
			    L, "backend:conn: no connection carried '%s'", id);
	} else {
		n = luaL_checkinteger(L, 2);
		if (n < 1 || n > n_conns)
			return luaL_error(L,
			    "backend:conn: there is no connection %I; %d %s "
			    "accepted so far",
			    (LUAI_UACINT)n, (int)n_conns,
			    n_conns == 1 ? "was" : "were");
	}
	handle_push_passing(L, 1, CONN_CLASS, b, (unsigned long)n);
	return 1;
}

static struct handle *
check_conn(lua_State *L, struct backend_conn *c)
{
	struct handle *h = handle_check(L, 1, CONN_CLASS);

	backend_conn(lab_backend_facts(h->actor), (unsigned)h->n, c);
	return h;
}

/* A connection that a script still can act on. */
static struct handle *
check_open(lua_State *L, const char *call, struct backend_conn *c)
{
	struct handle *h = check_conn(L, c);

	if (c->closed)
		luaL_error(L, "%s: connection %d is closed", call, (int)c->n);
	return h;
}

static enum backend_direction
check_direction(lua_State *L, const char *call)
{
	static const char *const words[] = { "reading", "sending", NULL };

	return (enum backend_direction)options_word(
	    L, 2, call, "a direction", words, "reading");
}

static bool
is_held(const struct backend_conn *c, enum backend_direction d)
{
	return d == BACKEND_READING ? c->reading_held : c->sending_held;
}

/* conn:hold(["reading" | "sending"]) */
static int
conn_hold(lua_State *L)
{
	struct backend_conn c;
	struct handle *h = check_open(L, "conn:hold", &c);
	enum backend_direction d = check_direction(L, "conn:hold");

	if (!is_held(&c, d))
		backend_hold(lab_backend_backend(h->actor), c.n, d);
	return 0;
}

static int
release_all(lua_State *L, struct handle *h, const struct backend_conn *c)
{
	struct backend *b = lab_backend_backend(h->actor);

	if (!c->reading_held && !c->sending_held)
		return luaL_error(L,
		    "conn:release: nothing of it is held; call conn:hold() "
		    "first");
	if (c->reading_held)
		backend_release(b, c->n, BACKEND_READING);
	if (c->sending_held)
		backend_release(b, c->n, BACKEND_SENDING);
	return 0;
}

/* conn:release(["reading" | "sending"]); without a word, all that is held */
static int
conn_release(lua_State *L)
{
	struct backend_conn c;
	struct handle *h = check_open(L, "conn:release", &c);
	enum backend_direction d;

	if (lua_isnoneornil(L, 2))
		return release_all(L, h, &c);
	d = check_direction(L, "conn:release");
	if (!is_held(&c, d))
		return luaL_error(L, "conn:release: its %s is not held",
		    d == BACKEND_READING ? "reading" : "sending");
	backend_release(lab_backend_backend(h->actor), c.n, d);
	return 0;
}

struct arrival {
	const struct backend *backend;
	unsigned conn;
	size_t size;
};

/* There, or never to come. */
static bool
has_arrived(void *arg)
{
	const struct arrival *a = arg;
	struct backend_conn c;

	backend_conn(a->backend, a->conn, &c);
	return c.closed || backend_unread(a->backend, a->conn) >= a->size;
}

static void
push_unread(lua_State *L, const struct handle *h)
{
	lua_pushinteger(L,
	    (lua_Integer)backend_unread(
		lab_backend_facts(h->actor), (unsigned)h->n));
}

static int
arrived(lua_State *L, int status, lua_KContext ctx)
{
	struct backend_conn c;
	struct handle *h = check_conn(L, &c);

	if (c.closed)
		return luaL_error(L,
		    "conn:wait_arrival: connection %d was closed meanwhile",
		    (int)c.n);
	push_unread(L, h);
	return 1;
}

/* conn:wait_arrival([bytes]): the bytes that lie unread */
static int
conn_wait_arrival(lua_State *L)
{
	struct backend_conn c;
	struct handle *h = check_open(L, "conn:wait_arrival", &c);
	lua_Integer size = luaL_optinteger(L, 2, 1);
	struct arrival *a;

	luaL_argcheck(L, size >= 1, 2, "expected a number of bytes, from 1");
	if (!c.reading_held)
		return luaL_error(L,
		    "conn:wait_arrival: reading is not held, "
		    "so what arrives is read at once; call "
		    "conn:hold() first");
	a = lua_newuserdatauv(L, sizeof *a, 0);
	*a = (struct arrival){ lab_backend_facts(h->actor), c.n, (size_t)size };
	return block(L, h->box, has_arrived, a, "conn:wait_arrival", arrived);
}

/* It has, or never will. */
static bool
server_has_ended(void *arg)
{
	const struct arrival *a = arg;
	struct backend_conn c;

	backend_conn(a->backend, a->conn, &c);
	return c.server_ended || c.ended || c.closed;
}

static int
server_ended(lua_State *L, int status, lua_KContext ctx)
{
	struct backend_conn c;

	check_conn(L, &c);
	if (!c.server_ended)
		return luaL_error(L,
		    "conn:wait_server_end: connection %d was ended by another "
		    "meanwhile",
		    (int)c.n);
	lua_pushinteger(L, c.idle_ms);
	return 1;
}

/* conn:wait_server_end(): for how many milliseconds it had been idle */
static int
conn_wait_server_end(lua_State *L)
{
	struct backend_conn c;
	struct handle *h = check_conn(L, &c);
	struct arrival *a;

	if (lab_backend_marks(h->actor))
		return luaL_error(L,
		    "conn:wait_server_end: the server that is built in ends "
		    "nothing by itself; lab:backend { upstream = … }");
	a = lua_newuserdatauv(L, sizeof *a, 0);
	*a = (struct arrival){ lab_backend_facts(h->actor), c.n, 0 };
	return block(L, h->box, server_has_ended, a, "conn:wait_server_end",
	    server_ended);
}

/* conn:close(ending [, { say = bytes }]) */
static int
conn_close(lua_State *L)
{
#define X(symbol, word) word,
	static const char *const endings[] = { BACKEND_ENDINGS(X) NULL };
#undef X
	static const char *const names[] = { "say", NULL };
	struct backend_conn c;
	struct handle *h = check_open(L, "conn:close", &c);
	enum ending ending = (enum ending)options_word(
	    L, 2, "conn:close", "an ending", endings, NULL);
	const char *say;
	char error[256];
	size_t size;

	options_check(L, 3, "conn:close", names);
	say = options_bytes(L, 3, "conn:close", "say", &size);
	if (c.ended)
		return luaL_error(L,
		    "conn:close: connection %d has ended "
		    "already (%s)",
		    (int)c.n, fault_ending_name(c.ending));
	if (backend_end(lab_backend_backend(h->actor), c.n, ending, say, size,
		error, sizeof error) != 0)
		return luaL_error(L, "conn:close: %s", error);
	return 0;
}

static int
conn_field(lua_State *L)
{
	struct backend_conn c;
	struct handle *h = check_conn(L, &c);
	const char *key = luaL_checkstring(L, 2);

	if (strcmp(key, "n") == 0)
		lua_pushinteger(L, c.n);
	else if (strcmp(key, "received") == 0)
		lua_pushinteger(L, (lua_Integer)c.received);
	else if (strcmp(key, "sent") == 0)
		lua_pushinteger(L, (lua_Integer)c.sent);
	else if (strcmp(key, "unread") == 0)
		push_unread(L, h);
	else if (strcmp(key, "requests") == 0)
		lua_pushinteger(L, c.n_requests);
	else if (strcmp(key, "finished") == 0)
		lua_pushinteger(L, c.n_finished);
	else if (strcmp(key, "idle") == 0)
		lua_pushboolean(L, c.idle);
	else if (strcmp(key, "ended") == 0)
		lua_pushboolean(L, c.ended);
	else if (strcmp(key, "server_ended") == 0)
		lua_pushboolean(L, c.server_ended);
	else if (strcmp(key, "closed") == 0)
		lua_pushboolean(L, c.closed);
	else if (strcmp(key, "peer_closed") == 0)
		lua_pushboolean(L, c.peer_closed);
	else
		lua_pushnil(L);
	return 1;
}

static int
conn_tostring(lua_State *L)
{
	struct handle *h = luaL_checkudata(L, 1, CONN_CLASS);
	struct backend_conn c;

	if (!handle_is_good(h)) {
		lua_pushfstring(L, "conn %d (lab %s)", (int)h->n,
		    h->box->lab == NULL ? "closed" : "reset");
		return 1;
	}
	check_conn(L, &c);
	lua_pushfstring(L, "conn %d (%s, %d requests, %I bytes in, %I out)",
	    (int)c.n,
	    c.ended	   ? fault_ending_name(c.ending)
		: c.closed ? "closed"
		: c.idle   ? "idle"
			   : "busy",
	    (int)c.n_requests, (LUAI_UACINT)c.received, (LUAI_UACINT)c.sent);
	return 1;
}

void
connlib_open(lua_State *L)
{
	static const luaL_Reg methods[] = { { "hold", conn_hold },
		{ "release", conn_release },
		{ "wait_arrival", conn_wait_arrival },
		{ "wait_server_end", conn_wait_server_end },
		{ "close", conn_close }, { NULL, NULL } };
	static const luaL_Reg meta[] = { { "__tostring", conn_tostring },
		{ NULL, NULL } };

	handle_class(L, CONN_CLASS, methods, meta, conn_field);
}
