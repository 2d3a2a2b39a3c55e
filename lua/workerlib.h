/* workerlib.h - processes beside this one, for work that can be shared out. */
#ifndef LUA_WORKERLIB_H
#define LUA_WORKERLIB_H

#include <lua.h>

/* core.worker(fn): run fn(emit) in a process of its own.  What it emits, line
 * by line, worker:read() returns.  Needs: no lab open: the two processes would
 * share its sockets. */
int workerlib_new(lua_State *L);
void workerlib_open(lua_State *L);

#endif
