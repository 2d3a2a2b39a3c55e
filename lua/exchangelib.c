/* exchangelib.c - one exchange, and the reply that it ends with. */
#include <limits.h>
#include <string.h>
#include <strings.h>

#include "harness/client.h"
#include "lua/actors.h"
#include "lua/block.h"
#include "lua/options.h"

#define REPLY_CLASS "closerace.reply"

void
exchangelib_push(lua_State *L, int client_index, struct exchange *e)
{
	handle_push_passing(L, client_index, EXCHANGE_CLASS, e, 0);
}

/* ----------------------------------------------------------------- reply -- */

/* reply.headers: names in lower case; of a repeated one, all values joined by
 * ", " (RFC 9110 5.3). */
static void
push_headers(lua_State *L, const char *head, size_t size)
{
	const char *end = head + size, *line = memchr(head, '\n', size);

	lua_newtable(L);
	while (line != NULL && ++line < end) {
		const char *stop = memchr(line, '\n', end - line);
		const char *colon =
		    stop != NULL ? memchr(line, ':', stop - line) : NULL;
		char *name;
		luaL_Buffer b;
		const char *value;

		if (colon == NULL)
			break;
		name = luaL_buffinitsize(L, &b, colon - line);
		for (const char *p = line; p < colon; p++)
			*name++ = *p >= 'A' && *p <= 'Z' ? *p | 0x20 : *p;
		luaL_pushresultsize(&b, colon - line);
		value = colon + 1;
		while (value < stop && (*value == ' ' || *value == '\t'))
			value++;
		while (stop > value && (unsigned char)stop[-1] <= ' ')
			stop--;
		lua_pushvalue(L, -1);
		if (lua_rawget(L, -3) == LUA_TSTRING) {
			lua_pushliteral(L, ", ");
			lua_pushlstring(L, value, stop - value);
			lua_concat(L, 3);
		} else {
			lua_pop(L, 1);
			lua_pushlstring(L, value, stop - value);
		}
		lua_rawset(L, -3);
		line = memchr(stop, '\n', end - stop);
	}
}

/* reply.headers is made when it is first asked for. */
static int
reply_index(lua_State *L)
{
	size_t size;
	const char *head;

	if (strcmp(luaL_checkstring(L, 2), "headers") != 0)
		return 0;
	lua_pushliteral(L, "head");
	lua_rawget(L, 1);
	head = lua_tolstring(L, -1, &size);
	if (head == NULL)
		lua_newtable(L);
	else
		push_headers(L, head, size);
	lua_pushvalue(L, -1);
	lua_setfield(L, 1, "headers");
	return 1;
}

static void
flag(lua_State *L, const char *name, bool value)
{
	lua_pushboolean(L, value);
	lua_setfield(L, -2, name);
}

static void
push_reply(lua_State *L, const struct exchange *e)
{
	const struct told *t = exchange_told(e);
	const struct reply *r = exchange_reply(e);

	lua_createtable(L, 0, 18);
	if (exchange_conn(e) != 0) {
		lua_pushinteger(L, exchange_conn(e));
		lua_setfield(L, -2, "conn");
	}
	if (r->status != 0) {
		lua_pushinteger(L, r->status);
		lua_setfield(L, -2, "status");
	}
	lua_pushlstring(L, r->body.p != NULL ? r->body.p : "", r->body.size);
	lua_setfield(L, -2, "body");
	if (r->head.p != NULL && r->head.size > 0) {
		lua_pushlstring(L, r->head.p, r->head.size);
		lua_setfield(L, -2, "head");
	}
	if (r->mark != 0) {
		lua_pushinteger(L, (lua_Integer)r->mark);
		lua_setfield(L, -2, "mark");
	}
	lua_pushinteger(L, r->n_interim);
	lua_setfield(L, -2, "interim");
	lua_pushinteger(L, (lua_Integer)t->received);
	lua_setfield(L, -2, "received");
	lua_pushinteger(L, exchange_ms(e));
	lua_setfield(L, -2, "ms");
	if (t->error != 0) {
		lua_pushstring(L, strerrorname_np(t->error));
		lua_setfield(L, -2, "error");
	}
	flag(L, "complete", t->complete);
	flag(L, "closed", t->closed);
	flag(L, "reset", t->reset);
	flag(L, "truncated", t->truncated);
	flag(L, "invalid", t->invalid);
	flag(L, "timeout", t->timeout);
	flag(L, "refused", t->refused);
	flag(L, "failed", t->failed);
	luaL_setmetatable(L, REPLY_CLASS);
}

static bool
is_true(lua_State *L, const char *name)
{
	bool value;

	lua_getfield(L, 1, name);
	value = lua_toboolean(L, -1);
	lua_pop(L, 1);
	return value;
}

/* The status where there is a whole response, else what came instead. */
static int
reply_tostring(lua_State *L)
{
	static const char *const words[] = { "timeout", "invalid", "truncated",
		"refused", "reset", "failed" };

	if (is_true(L, "complete")) {
		lua_getfield(L, 1, "status");
		luaL_tolstring(L, -1, NULL);
		return 1;
	}
	for (size_t i = 0; i < sizeof words / sizeof *words; i++)
		if (is_true(L, words[i])) {
			lua_pushstring(L, words[i]);
			return 1;
		}
	lua_pushliteral(L, "closed");
	return 1;
}

/* -------------------------------------------------------------- exchange -- */

static bool
is_done(void *arg)
{
	return exchange_told(arg)->done;
}

static int
done(lua_State *L, int status, lua_KContext ctx)
{
	push_reply(L, handle_actor(L, -1, EXCHANGE_CLASS));
	return 1;
}

int
exchangelib_wait_top(lua_State *L, const char *what)
{
	struct handle *h = handle_check(L, -1, EXCHANGE_CLASS);

	return block(L, h->box, is_done, h->actor, what, done);
}

/* exchange:wait(): its reply */
static int
exchange_wait(lua_State *L)
{
	handle_check(L, 1, EXCHANGE_CLASS);
	lua_settop(L, 1);
	return exchangelib_wait_top(L, "exchange:wait");
}

static struct exchange *
check_unfinished(lua_State *L, const char *call)
{
	struct exchange *e = handle_actor(L, 1, EXCHANGE_CLASS);

	if (!exchange_is_open(e))
		luaL_error(L,
		    "%s: the request is complete; start it with "
		    "open = true to send it in steps",
		    call);
	return e;
}

/* exchange:send(bytes): true; or false and the errno's name */
static int
exchange_send_method(lua_State *L)
{
	struct exchange *e = check_unfinished(L, "exchange:send");
	size_t size;
	const char *bytes = luaL_checklstring(L, 2, &size);
	int error = exchange_send(e, bytes, size);

	lua_pushboolean(L, error == 0);
	if (error == 0)
		return 1;
	lua_pushstring(L, strerrorname_np(error));
	return 2;
}

/* exchange:time_out(): wait no longer */
static int
exchange_time_out_method(lua_State *L)
{
	struct exchange *e = handle_actor(L, 1, EXCHANGE_CLASS);

	if (exchange_told(e)->done)
		return luaL_error(L, "exchange:time_out: it is done");
	exchange_time_out(e);
	return 0;
}

/* exchange:finish() */
static int
exchange_finish_method(lua_State *L)
{
	exchange_finish(check_unfinished(L, "exchange:finish"));
	return 0;
}

/* exchange:tell {…}: what a program under test was told */
static int
exchange_tell_method(lua_State *L)
{
	static const char *const names[] = { "complete", "timeout", "status",
		"mark", "body", NULL };
	static const char call[] = "exchange:tell";
	struct exchange *e = handle_actor(L, 1, EXCHANGE_CLASS);
	struct tale tale = { 0 };

	options_check(L, 2, call, names);
	tale.complete = options_boolean(L, 2, call, "complete", false);
	tale.timeout = options_boolean(L, 2, call, "timeout", false);
	tale.status = (int)options_integer(L, 2, call, "status", 0, 100, 999);
	tale.mark =
	    (unsigned long)options_integer(L, 2, call, "mark", 0, 1, LONG_MAX);
	tale.body = options_bytes(L, 2, call, "body", &tale.body_size);
	if (!exchange_is_watched(e) || exchange_told(e)->done)
		return luaL_error(L,
		    "%s: it is for an exchange of client:watch, and once",
		    call);
	exchange_tell(e, &tale);
	return 0;
}

static int
exchange_field(lua_State *L)
{
	struct exchange *e = handle_actor(L, 1, EXCHANGE_CLASS);
	const char *key = luaL_checkstring(L, 2);

	if (strcmp(key, "done") == 0)
		lua_pushboolean(L, exchange_told(e)->done);
	else if (strcmp(key, "id") == 0)
		lua_pushstring(L, exchange_id(e));
	else if (strcmp(key, "interim") == 0)
		lua_pushinteger(L, exchange_reply(e)->n_interim);
	else
		lua_pushnil(L);
	return 1;
}

static int
exchange_tostring(lua_State *L)
{
	struct handle *h = luaL_checkudata(L, 1, EXCHANGE_CLASS);

	if (!handle_is_good(h))
		lua_pushfstring(L, "exchange (%s)",
		    h->box->lab == NULL ? "closed" : "reset");
	else
		lua_pushfstring(L, "exchange %s %s (%s)",
		    exchange_method(h->actor), exchange_path(h->actor),
		    exchange_told(h->actor)->done ? "done" : "under way");
	return 1;
}

void
exchangelib_open(lua_State *L)
{
	static const luaL_Reg methods[] = { { "wait", exchange_wait },
		{ "send", exchange_send_method },
		{ "finish", exchange_finish_method },
		{ "time_out", exchange_time_out_method },
		{ "tell", exchange_tell_method }, { NULL, NULL } };
	static const luaL_Reg meta[] = { { "__tostring", exchange_tostring },
		{ NULL, NULL } };
	static const luaL_Reg reply[] = { { "__index", reply_index },
		{ "__tostring", reply_tostring }, { NULL, NULL } };

	handle_class(L, EXCHANGE_CLASS, methods, meta, exchange_field);
	luaL_newmetatable(L, REPLY_CLASS);
	luaL_setfuncs(L, reply, 0);
	lua_pop(L, 1);
}
