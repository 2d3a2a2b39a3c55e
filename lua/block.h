/* block.h - waiting: the one place where a script gives way to the network.
 *
 * A blocking call of the main script runs the lab until what it waits for is
 * there; a blocking call of a task yields to it.  Whoever waits goes on only
 * in a world that stands still, one at a time, tasks in the order in which
 * they were made and the main script last.
 *
 * No Lua code ever runs inside a libevent callback.
 */
#ifndef LUA_BLOCK_H
#define LUA_BLOCK_H

#include "lua/handle.h"

/* Is it there? */
typedef bool block_ready_fn(void *arg);

/* Wait, then go on in k (as lua_callk does it), on the same Lua stack.
 *
 * what: names the wait for a deadlock's report, such as "client:request"; a
 *       static string.
 * arg:  must stay valid while waiting; keep it on the Lua stack.
 */
int block(lua_State *L, struct lab_box *, block_ready_fn *, void *arg,
    const char *what, lua_KFunction k);

/* Raise what a run of the lab came to, unless it may go on. */
void block_check(
    lua_State *L, struct lab_box *, enum lab_outcome, const char *what);

/* lab:task(fn, ...), and the class of what it returns. */
int block_task(lua_State *L);
void block_open(lua_State *L);

/* The thread of the task that runs, NULL where none does.  May be called from
 * a signal handler. */
lua_State *block_running_thread(void);

/* Drop the tasks of a lab that closes. */
void block_drop_tasks(struct lab_box *);

/* Push the sentence for an errno that a lab met as it got something from the
 * system. */
void block_push_error(lua_State *, int error);

#endif
