/* handle.h - how a Lua value stands for an actor of a lab.
 *
 * A lab is a userdata of its own (struct lab_box).  Everything made in it is a
 * small userdata that keeps the lab alive as a Lua value and knows when the
 * lab was closed, or reset: using it then is an error at the caller's line,
 * never a crash.
 */
#ifndef LUA_HANDLE_H
#define LUA_HANDLE_H

#include <lauxlib.h>
#include <lua.h>
#include <stdbool.h>

#include "harness/lab.h"

#define LAB_CLASS      "closerace.lab"
#define BACKEND_CLASS  "closerace.backend"
#define CONN_CLASS     "closerace.conn"
#define PROXY_CLASS    "closerace.proxy"
#define HELD_CLASS     "closerace.held"
#define CLIENT_CLASS   "closerace.client"
#define EXCHANGE_CLASS "closerace.exchange"
#define SUT_CLASS      "closerace.sut"
#define TASK_CLASS     "closerace.task"

struct task;

struct lab_box {
	struct lab *lab;      /* NULL once closed */
	struct task *tasks;   /* in the order in which they were made */
	struct task *running; /* NULL: the main script */
	unsigned n_resets;
	char place[128]; /* where the script made it: "file:line: " */
};

struct handle {
	struct lab_box *box;
	void *actor;	 /* the harness's object */
	unsigned long n; /* conn: its number; held: its key */
	/* It goes with the connections: used after the next lab:reset(), it
	 * raises. */
	bool passing;
	unsigned n_resets; /* of the lab when it was made */
};

/* Make a class: a metatable with methods, and optionally a function that
 * answers for fields (called with the object and the key, when no method has
 * that name). */
void handle_class(lua_State *L, const char *name, const luaL_Reg *methods,
    const luaL_Reg *metamethods, lua_CFunction field);

/* Push an object that stands for actor.  lab_index: the lab's userdata, or
 * any object of that lab. */
struct handle *handle_push(lua_State *L, int lab_index, const char *class,
    void *actor, unsigned long n);

/* The same for what does not outlive lab:reset(). */
struct handle *handle_push_passing(lua_State *L, int lab_index,
    const char *class, void *actor, unsigned long n);

/* May what it stands for still be used?  For tostring(), which never raises. */
bool handle_is_good(const struct handle *);

/* The object at index; raises where it is something else or its lab is
 * closed. */
struct handle *handle_check(lua_State *L, int index, const char *class);
void *handle_actor(lua_State *L, int index, const char *class);

/* The lab at index, which must be open. */
struct lab_box *handle_check_lab(lua_State *L, int index);

/* The address that a client or proxy is to talk to: a proxy, backend or sut of
 * the lab, or any address that
 * endpoint.h knows.  index is the value's. */
struct endpoint;
void handle_address(
    lua_State *L, int index, const char *option, struct endpoint *);

/* The same, for whom only IPv4 will do. */
struct sockaddr_in;
void handle_ipv4(
    lua_State *L, int index, const char *option, struct sockaddr_in *);

#endif
