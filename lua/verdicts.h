/* verdicts.h - the verdicts that a running script has taken, for the line
 * that `closerace run` prints about it. */
#ifndef LUA_VERDICTS_H
#define LUA_VERDICTS_H

#include <lua.h>

/* Record the verdict at the top of the stack, which stays there. */
void verdicts_record(lua_State *L);

/* core.verdicts(): those recorded since the last call, as a list. */
int verdicts_take(lua_State *L);

#endif
