/* lablib.h - the lab as a Lua value: race.lab(), and what every lab can do. */
#ifndef LUA_LABLIB_H
#define LUA_LABLIB_H

#include "lua/handle.h"

void lablib_open(lua_State *L);

/* race.lab { deadline_ms =, real_time = } */
int lablib_new(lua_State *L);

/* Push the last events of the timeline as text. */
void lablib_push_tail(lua_State *L, struct lab_box *);

/* The timeline's tail of the last lab that was closed by an error; nil where
 * there was none. */
int lablib_last_tail(lua_State *L);

#endif
