/* tracelib.h - the timeline of a lab, for scripts and for failures. */
#ifndef LUA_TRACELIB_H
#define LUA_TRACELIB_H

#include "lua/handle.h"

void tracelib_open(lua_State *L);

/* lab:trace(): an array of entries that prints itself */
int tracelib_trace(lua_State *L);

/* Push the last events as text. */
void tracelib_push_tail(lua_State *L, struct lab_box *);

/* Keep that text: the lab is being closed by an error. */
void tracelib_keep_tail(lua_State *L, struct lab_box *);

/* core.last_tail(): what was kept since the last call, or nil */
int tracelib_last_tail(lua_State *L);

#endif
