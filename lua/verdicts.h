/* verdicts.h - the verdicts that a running script has taken, for the line
 * that `closerace run` prints about it. */
#ifndef LUA_VERDICTS_H
#define LUA_VERDICTS_H

#include <lua.h>

/* Record the verdict at the top of the stack, which stays there; an earlier
 * one about the same request of the same lab is replaced.
 *
 * memory: the index of a table that lives as long as the lab.
 */
void verdicts_record(lua_State *L, int memory, const char *id);

/* core.verdicts(): those recorded since the last call, as a list. */
int verdicts_take(lua_State *L);

#endif
