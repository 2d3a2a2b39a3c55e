/* proxylib.c - lab:proxy {…}: our own proxy, held at its checkpoints. */
#include <arpa/inet.h>
#include <stdio.h>
#include <string.h>

#include "backend/endpoint.h"
#include "harness/lab_proxy.h"
#include "lua/actors.h"
#include "lua/block.h"
#include "lua/options.h"

#define MAX_NAMES 48

static void
set_option(
    lua_State *L, struct proxy_options *o, const char *name, const char *value)
{
	char error[256];

	if (proxy_options_set(o, name, value, error, sizeof error) != 0)
		luaL_error(L, "lab:proxy: %s", error);
}

/* One option; retry_list may be a list of lines. */
static void
read_option(lua_State *L, struct proxy_options *o, const char *name)
{
	if (!lua_istable(L, -1)) {
		set_option(
		    L, o, name, options_text(L, -1, "lab:proxy", name, NULL));
		lua_pop(L, 1);
		return;
	}
	if (strcmp(name, "retry_list") != 0)
		luaL_error(
		    L, "lab:proxy: %s: expected one value, got a table", name);
	options_list(L, -1, "lab:proxy", name, "lines");
	for (lua_Integer i = 1; lua_geti(L, -1, i) != LUA_TNIL; i++) {
		set_option(
		    L, o, name, options_text(L, -1, "lab:proxy", name, NULL));
		lua_pop(L, 2);
	}
	lua_pop(L, 1);
}

static void
add_server(lua_State *L, struct proxy_options *o)
{
	struct endpoint e;
	char why[256];

	if (o->n_upstreams == PROXY_UPSTREAMS_MAX)
		luaL_error(L, "lab:proxy: to: at most %d", PROXY_UPSTREAMS_MAX);
	handle_address(L, -1, "lab:proxy: to", &e);
	if (place_parse(
		&o->upstreams[o->n_upstreams++], e.text, why, sizeof why) != 0)
		luaL_error(L, "lab:proxy: to: %s: %s", e.text, why);
	lua_pop(L, 1);
}

/* Whom it serves is `to`: an actor, an address, or a list of them. */
static void
read_servers(lua_State *L, int index, struct proxy_options *o)
{
	if (!lua_istable(L, index) || lua_getfield(L, index, "to") == LUA_TNIL)
		luaL_error(L,
		    "lab:proxy: to is missing: a backend, or "
		    "\"ADDR:PORT\"");
	if (!lua_istable(L, -1)) {
		add_server(L, o);
		return;
	}
	options_list(L, -1, "lab:proxy", "to", "backends");
	for (lua_Integer i = 1; lua_geti(L, -1, i) != LUA_TNIL; i++)
		add_server(L, o);
	lua_pop(L, 2);
	if (o->n_upstreams == 0)
		luaL_error(L, "lab:proxy: to: the list is empty");
}

static void
read_options(lua_State *L, int index, struct proxy_options *o)
{
	const char *names[MAX_NAMES] = { "to" };
	struct proxy_option option;
	char error[256];
	size_t n = 1;

	for (size_t i = 0;
	     n + 1 < MAX_NAMES && proxy_options_describe(i, &option) == 0; i++)
		if (strcmp(option.name, "upstream") != 0)
			names[n++] = option.name;
	options_check(L, index, "lab:proxy", names);
	proxy_options_init(o);
	read_servers(L, index, o);
	for (size_t i = 1; i < n; i++) {
		if (lua_getfield(L, index, names[i]) != LUA_TNIL)
			read_option(L, o, names[i]);
		lua_pop(L, 1);
	}
	if (proxy_options_check(o, error, sizeof error) != 0)
		luaL_error(L, "lab:proxy: %s", error);
}

int
proxylib_new(lua_State *L)
{
	struct lab_box *box = handle_check_lab(L, 1);
	struct proxy_options options;
	struct lab_proxy *p;
	char error[256];

	read_options(L, 2, &options);
	p = lab_proxy_new(box->lab, &options, error, sizeof error);
	if (p == NULL)
		return luaL_error(L, "lab:proxy: %s", error);
	handle_push(L, 1, PROXY_CLASS, p, 0);
	return 1;
}

/* ----------------------------------------------------------------- holds -- */

static const char *
check_checkpoint(lua_State *L, int index, const char *call)
{
	const char *name = luaL_checkstring(L, index);
	const char *found = gate_checkpoint(name);

	if (found != NULL)
		return found;
	luaL_error(L, "%s: '%s' is not a checkpoint; allowed: %s", call, name,
	    options_push_words(L, proxy_checkpoints()));
	return NULL;
}

static void
read_id(lua_State *L, int index, const char *call, char id[LEDGER_ID_MAX])
{
	const char *value = options_string(L, index, call, "id", "");

	if (strlen(value) >= LEDGER_ID_MAX)
		luaL_error(L, "%s: id: at most %d characters", call,
		    LEDGER_ID_MAX - 1);
	snprintf(id, LEDGER_ID_MAX, "%s", value);
}

/* proxy:hold(checkpoint [, { id=, attempt=, times=, after_bytes= }]) */
static int
proxy_hold(lua_State *L)
{
	static const char *const names[] = { "id", "attempt", "times",
		"after_bytes", NULL };
	static const char call[] = "proxy:hold";
	struct lab_proxy *p = handle_actor(L, 1, PROXY_CLASS);
	struct gate_rule rule = { .checkpoint = check_checkpoint(L, 2, call) };

	options_check(L, 3, call, names);
	read_id(L, 3, call, rule.id);
	rule.attempt =
	    (unsigned)options_integer(L, 3, call, "attempt", 0, 1, 1000);
	rule.times =
	    (unsigned)options_integer(L, 3, call, "times", 1, 1, 1000000);
	rule.after_bytes =
	    options_integer(L, 3, call, "after_bytes", -1, 1, 1L << 30);
	if (rule.after_bytes >= 0 &&
	    strcmp(rule.checkpoint, "upstream.sending") != 0)
		return luaL_error(L,
		    "%s: after_bytes goes with the checkpoint "
		    "upstream.sending only",
		    call);
	if (gate_arm(lab_proxy_gate(p), &rule) != 0)
		return luaL_error(L, "%s: out of memory", call);
	return 0;
}

struct holding {
	struct gate *gate;
	const char *checkpoint;
	char id[LEDGER_ID_MAX];
	unsigned attempt;
};

static const struct gate_held *
find_held(const struct holding *w)
{
	return gate_find(w->gate, w->checkpoint, w->id, w->attempt);
}

static bool
is_held(void *arg)
{
	return find_held(arg) != NULL;
}

static int
held(lua_State *L, int status, lua_KContext ctx)
{
	struct holding *w = lua_touserdata(L, -1);

	heldlib_push(L, 1, find_held(w)->key);
	return 1;
}

/* proxy:wait(checkpoint [, { id=, attempt= }]): what is held there */
static int
proxy_wait(lua_State *L)
{
	static const char *const names[] = { "id", "attempt", NULL };
	static const char call[] = "proxy:wait";
	struct handle *h = handle_check(L, 1, PROXY_CLASS);
	const char *checkpoint = check_checkpoint(L, 2, call);
	struct holding *w;

	options_check(L, 3, call, names);
	lua_settop(L, 3);
	w = lua_newuserdatauv(L, sizeof *w, 0);
	w->gate = lab_proxy_gate(h->actor);
	w->checkpoint = checkpoint;
	read_id(L, 3, call, w->id);
	w->attempt =
	    (unsigned)options_integer(L, 3, call, "attempt", 0, 1, 1000);
	return block(L, h->box, is_held, w, call, held);
}

/* proxy:held([checkpoint]): what stands there, longest first, or nil */
static int
proxy_held(lua_State *L)
{
	struct handle *h = handle_check(L, 1, PROXY_CLASS);
	const struct gate *gate = lab_proxy_gate(h->actor);
	const struct gate_held *found = gate->n_held > 0 ? gate->held : NULL;

	if (!lua_isnoneornil(L, 2))
		found = gate_find(
		    gate, check_checkpoint(L, 2, "proxy:held"), "", 0);
	if (found == NULL)
		lua_pushnil(L);
	else
		heldlib_push(L, 1, found->key);
	return 1;
}

/* proxy:release(checkpoint | held | nothing): lets it, or all, go, and disarms
 * what was armed there */
static int
proxy_release_method(lua_State *L)
{
	struct lab_proxy *p = handle_actor(L, 1, PROXY_CLASS);
	struct gate *gate = lab_proxy_gate(p);
	const char *checkpoint = NULL;

	if (luaL_testudata(L, 2, HELD_CLASS) != NULL) {
		unsigned long key = handle_check(L, 2, HELD_CLASS)->n;

		if (gate_by_key(gate, key) == NULL)
			return luaL_error(
			    L, "proxy:release: it is no longer held");
		gate_release_key(gate, key);
		return 0;
	}
	if (!lua_isnoneornil(L, 2))
		checkpoint = check_checkpoint(L, 2, "proxy:release");
	if (gate_release(gate, checkpoint) == 0 && checkpoint != NULL)
		return luaL_error(
		    L, "proxy:release: nothing is held at %s", checkpoint);
	gate_disarm(gate, checkpoint);
	return 0;
}

/* ----------------------------------------------------------------- books -- */

static void
push_attempt(lua_State *L, const struct lab_attempt *a)
{
	lua_createtable(L, 0, 14);
	lua_pushstring(L, a->id);
	lua_setfield(L, -2, "id");
	lua_pushinteger(L, a->number);
	lua_setfield(L, -2, "attempt");
	lua_pushinteger(L, (lua_Integer)a->upstream);
	lua_setfield(L, -2, "upstream");
	lua_pushboolean(L, a->facts.reused);
	lua_setfield(L, -2, "reused");
	lua_pushinteger(L, (lua_Integer)a->facts.sent);
	lua_setfield(L, -2, "sent");
	lua_pushinteger(L, (lua_Integer)a->facts.received);
	lua_setfield(L, -2, "received");
	lua_pushboolean(L, a->facts.peer_closed);
	lua_setfield(L, -2, "peer_closed");
	lua_pushboolean(L, a->facts.timed_out);
	lua_setfield(L, -2, "timed_out");
	if (a->facts.error != 0) {
		lua_pushstring(L, strerrorname_np(a->facts.error));
		lua_setfield(L, -2, "error");
	}
	lua_pushboolean(L, a->failed);
	lua_setfield(L, -2, "failed");
	lua_pushstring(L, a->failed ? lab_proxy_action(a->action) : "answered");
	lua_setfield(L, -2, "action");
	lua_pushstring(L, a->why);
	lua_setfield(L, -2, "why");
}

/* proxy:attempts([id]) */
static int
proxy_attempts(lua_State *L)
{
	struct lab_proxy *p = handle_actor(L, 1, PROXY_CLASS);
	const char *id = luaL_optstring(L, 2, NULL);
	lua_Integer n = 0;

	lua_newtable(L);
	for (size_t i = 0; i < lab_proxy_n_attempts(p); i++) {
		const struct lab_attempt *a = lab_proxy_attempt(p, i);

		if (id != NULL && strcmp(a->id, id) != 0)
			continue;
		push_attempt(L, a);
		lua_rawseti(L, -2, ++n);
	}
	return 1;
}

static void
push_pooled(void *arg, const struct proxy_pooled *pooled)
{
	lua_State *L = arg;

	lua_createtable(L, 0, 3);
	lua_pushinteger(L, (lua_Integer)pooled->serial);
	lua_setfield(L, -2, "upstream");
	lua_pushinteger(L, (lua_Integer)pooled->upstream + 1);
	lua_setfield(L, -2, "to");
	lua_pushinteger(L, pooled->n_uses);
	lua_setfield(L, -2, "uses");
	lua_rawseti(L, -2, luaL_len(L, -2) + 1);
}

/* proxy:pool(): the idle connections, the next to be taken first */
static int
proxy_pool_method(lua_State *L)
{
	struct lab_proxy *p = handle_actor(L, 1, PROXY_CLASS);

	lua_newtable(L);
	proxy_pool(lab_proxy_proxy(p), push_pooled, L);
	return 1;
}

static int
proxy_field(lua_State *L)
{
	struct lab_proxy *p = handle_actor(L, 1, PROXY_CLASS);
	const char *key = luaL_checkstring(L, 2);
	int port = ntohs(lab_proxy_address(p)->sin_port);

	if (strcmp(key, "address") == 0)
		lua_pushfstring(L, "127.0.0.1:%d", port);
	else if (strcmp(key, "port") == 0)
		lua_pushinteger(L, port);
	else
		lua_pushnil(L);
	return 1;
}

static int
proxy_tostring(lua_State *L)
{
	struct handle *h = luaL_checkudata(L, 1, PROXY_CLASS);

	if (h->box->lab == NULL) {
		lua_pushliteral(L, "proxy (closed)");
		return 1;
	}
	lua_pushfstring(L, "proxy %d (127.0.0.1:%d, %d sessions, %d held)",
	    (int)lab_proxy_number(h->actor),
	    (int)ntohs(lab_proxy_address(h->actor)->sin_port),
	    (int)proxy_n_sessions(lab_proxy_proxy(h->actor)),
	    (int)lab_proxy_gate(h->actor)->n_held);
	return 1;
}

void
proxylib_open(lua_State *L)
{
	static const luaL_Reg methods[] = { { "hold", proxy_hold },
		{ "held", proxy_held }, { "wait", proxy_wait },
		{ "release", proxy_release_method },
		{ "attempts", proxy_attempts }, { "pool", proxy_pool_method },
		{ NULL, NULL } };
	static const luaL_Reg meta[] = { { "__tostring", proxy_tostring },
		{ NULL, NULL } };

	handle_class(L, PROXY_CLASS, methods, meta, proxy_field);
}
