/* actors.h - the methods of a lab that make its actors, and the classes of
 * what they return; one .c file each.  What the methods take and return is
 * documented in docs/lua.md.
 */
#ifndef LUA_ACTORS_H
#define LUA_ACTORS_H

#include <lua.h>

struct exchange;

int backendlib_new(lua_State *L); /* lab:backend {…} */
int proxylib_new(lua_State *L);	  /* lab:proxy {…} */
int clientlib_new(lua_State *L);  /* lab:client {…} */
int sutlib_new(lua_State *L);	  /* lab:sut {…} */

int verdictlib_verdict(lua_State *L); /* lab:verdict(id, …) */

/* backend:conn(n) or { carried = id } */
int connlib_conn(lua_State *L);

/* Push what `proxy:wait` returns, for the gate's held actor with that key;
 * proxy_index is the proxy's. */
void heldlib_push(lua_State *L, int proxy_index, unsigned long key);

/* Push an exchange; client_index is its client's. */
void exchangelib_push(lua_State *L, int client_index, struct exchange *);

/* Wait for the exchange at the top of the stack; returns its reply. */
int exchangelib_wait_top(lua_State *L, const char *what);

void backendlib_open(lua_State *L);
void connlib_open(lua_State *L);
void proxylib_open(lua_State *L);
void heldlib_open(lua_State *L);
void clientlib_open(lua_State *L);
void exchangelib_open(lua_State *L);
void sutlib_open(lua_State *L);
void verdictlib_open(lua_State *L);

#endif
