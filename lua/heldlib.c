/* heldlib.c - what proxy:wait returns: an actor that stands at a checkpoint. */
#include <string.h>

#include "harness/lab_proxy.h"
#include "lua/actors.h"
#include "lua/handle.h"

void
heldlib_push(lua_State *L, int proxy_index, unsigned long key)
{
	struct handle *proxy = lua_touserdata(L, proxy_index);

	handle_push_passing(L, proxy_index, HELD_CLASS, proxy->actor, key);
}

/* NULL once it was released or is gone. */
static const struct gate_held *
find(const struct handle *h)
{
	return gate_by_key(lab_proxy_gate(h->actor), h->n);
}

/* held:release() */
static int
held_release(lua_State *L)
{
	struct handle *h = handle_check(L, 1, HELD_CLASS);

	if (find(h) == NULL)
		return luaL_error(L, "held:release: it is no longer held");
	gate_release_key(lab_proxy_gate(h->actor), h->n);
	return 0;
}

static int
held_field(lua_State *L)
{
	const struct gate_held *held = find(handle_check(L, 1, HELD_CLASS));
	const char *key = luaL_checkstring(L, 2);

	if (held == NULL)
		lua_pushnil(L);
	else if (strcmp(key, "checkpoint") == 0)
		lua_pushstring(L, held->checkpoint);
	else if (strcmp(key, "id") == 0)
		lua_pushstring(L, held->id);
	else if (strcmp(key, "attempt") == 0)
		lua_pushinteger(L, held->attempt);
	else if (strcmp(key, "n") == 0)
		lua_pushinteger(L, (lua_Integer)held->serial);
	else
		lua_pushnil(L);
	return 1;
}

static int
held_tostring(lua_State *L)
{
	struct handle *h = luaL_checkudata(L, 1, HELD_CLASS);
	const struct gate_held *held = handle_is_good(h) ? find(h) : NULL;

	if (held == NULL)
		lua_pushliteral(L, "held (released)");
	else
		lua_pushfstring(L, "held at %s (id %s, attempt %d)",
		    held->checkpoint, held->id, (int)held->attempt);
	return 1;
}

void
heldlib_open(lua_State *L)
{
	static const luaL_Reg methods[] = { { "release", held_release },
		{ NULL, NULL } };
	static const luaL_Reg meta[] = { { "__tostring", held_tostring },
		{ NULL, NULL } };

	handle_class(L, HELD_CLASS, methods, meta, held_field);
}
