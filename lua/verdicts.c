/* verdicts.c - see verdicts.h. */
#include "lua/verdicts.h"

#include <lauxlib.h>

#define RECORDED "closerace.verdicts"

void
verdicts_record(lua_State *L, int memory, const char *id)
{
	lua_Integer at;

	memory = lua_absindex(L, memory);
	/* Nobody has asked for them: a test suite that runs for hours must
	 * not pile them up. */
	if (lua_getfield(L, LUA_REGISTRYINDEX, RECORDED) == LUA_TNIL) {
		lua_pop(L, 1);
		return;
	}
	lua_getfield(L, memory, id);
	at = lua_isnil(L, -1) ? luaL_len(L, -2) + 1 : lua_tointeger(L, -1);
	lua_pop(L, 1);
	lua_pushvalue(L, -2);
	lua_rawseti(L, -2, at);
	lua_pop(L, 1);
	lua_pushinteger(L, at);
	lua_setfield(L, memory, id);
}

int
verdicts_take(lua_State *L)
{
	if (lua_getfield(L, LUA_REGISTRYINDEX, RECORDED) == LUA_TNIL)
		lua_newtable(L);
	lua_newtable(L);
	lua_setfield(L, LUA_REGISTRYINDEX, RECORDED);
	return 1;
}
