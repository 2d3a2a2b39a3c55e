/* tracelib.c - the timeline as a Lua value, and its tail as text. */
#include "lua/tracelib.h"

#include <string.h>

#include "harness/trace.h"

#define TRACE_CLASS "closerace.trace"
#define TAIL	    40
#define LAST_TAIL   "closerace.last_tail"

void
tracelib_push_tail(lua_State *L, struct lab_box *box)
{
	struct trace *t = lab_trace(box->lab);
	size_t n = trace_n(t), i = n > TAIL ? n - TAIL : 0;
	char line[256];
	luaL_Buffer b;

	luaL_buffinit(L, &b);
	luaL_addstring(&b, "last events:");
	for (; i < n; i++) {
		trace_line(trace_entry(t, i), line, sizeof line);
		luaL_addstring(&b, "\n  ");
		luaL_addstring(&b, line);
	}
	luaL_pushresult(&b);
}

int
tracelib_last_tail(lua_State *L)
{
	lua_getfield(L, LUA_REGISTRYINDEX, LAST_TAIL);
	lua_pushnil(L);
	lua_setfield(L, LUA_REGISTRYINDEX, LAST_TAIL);
	return 1;
}

static int
trace_tostring(lua_State *L)
{
	lua_getfield(L, 1, "text");
	return 1;
}

static void
push_entry(lua_State *L, const struct trace_entry *e)
{
	lua_createtable(L, 0, 7);
	lua_pushinteger(L, (lua_Integer)e->seq);
	lua_setfield(L, -2, "seq");
	lua_pushinteger(L, e->time_ms);
	lua_setfield(L, -2, "time_ms");
	lua_pushstring(L, e->who);
	lua_setfield(L, -2, "who");
	lua_pushinteger(L, (lua_Integer)e->n);
	lua_setfield(L, -2, "n");
	lua_pushstring(L, e->what);
	lua_setfield(L, -2, "what");
	lua_pushinteger(L, (lua_Integer)e->size);
	lua_setfield(L, -2, "bytes");
	lua_pushstring(L, e->text);
	lua_setfield(L, -2, "text");
}

/* lab:trace(): an array of entries that prints itself */
int
tracelib_trace(lua_State *L)
{
	struct lab_box *box = handle_check_lab(L, 1);
	struct trace *t = lab_trace(box->lab);
	size_t n = trace_n(t);
	luaL_Buffer b;

	lua_createtable(L, (int)n, 1);
	for (size_t i = 0; i < n; i++) {
		push_entry(L, trace_entry(t, i));
		lua_rawseti(L, -2, (lua_Integer)i + 1);
	}
	luaL_buffinit(L, &b);
	for (size_t i = 0; i < n; i++) {
		char *line = luaL_prepbuffsize(&b, 256);

		trace_line(trace_entry(t, i), line, 255);
		luaL_addsize(&b, strlen(line));
		if (i + 1 < n)
			luaL_addchar(&b, '\n');
	}
	luaL_pushresult(&b);
	lua_setfield(L, -2, "text");
	luaL_setmetatable(L, TRACE_CLASS);
	return 1;
}

void
tracelib_keep_tail(lua_State *L, struct lab_box *box)
{
	tracelib_push_tail(L, box);
	lua_setfield(L, LUA_REGISTRYINDEX, LAST_TAIL);
}

void
tracelib_open(lua_State *L)
{
	luaL_newmetatable(L, TRACE_CLASS);
	lua_pushcfunction(L, trace_tostring);
	lua_setfield(L, -2, "__tostring");
	lua_pop(L, 1);
}
