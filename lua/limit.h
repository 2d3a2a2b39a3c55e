/* limit.h - a script that computes, and never comes to an end.
 *
 * As long as something happens in a lab, the lab's deadline guards the script.
 * Where nothing does, its processor time is counted, and nothing else: a busy
 * machine makes no script late.
 */
#ifndef LUA_LIMIT_H
#define LUA_LIMIT_H

#include <lua.h>

/* Something has happened in a lab. */
void limit_note_progress(void);

/* core.limit(seconds): from now on a script that uses so much processor time
 * without any progress is ended by an error that names its line; 0: none, and
 * the script has ended. */
int limit_set(lua_State *L);

#endif
