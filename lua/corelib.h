/* corelib.h - the C half of the Lua module: closerace.core. */
#ifndef LUA_CORELIB_H
#define LUA_CORELIB_H

#include <lua.h>

/* For require "closerace.core". */
__attribute__((visibility("default"))) int luaopen_closerace_core(lua_State *L);

#endif
