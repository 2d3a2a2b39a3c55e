/* lablib.h - the lab as a Lua value: race.lab(), and what every lab can do. */
#ifndef LUA_LABLIB_H
#define LUA_LABLIB_H

#include "lua/handle.h"

void lablib_open(lua_State *L);

/* race.lab { deadline_ms =, real_time = } */
int lablib_new(lua_State *L);

/* core.left_open() */
int lablib_left_open(lua_State *L);

#endif
