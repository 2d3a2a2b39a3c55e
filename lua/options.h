/* options.h - options tables: strict, with errors at the caller's line.
 *
 * Every table a script passes is read through here, so that an unknown key or
 * a wrong type is always told in the same way, with what is allowed.
 */
#ifndef LUA_OPTIONS_H
#define LUA_OPTIONS_H

#include <lua.h>
#include <stdbool.h>
#include <stddef.h>

/* Raise unless every key of the table at index is one of names (ended by
 * NULL).  nil counts as an empty table.
 *
 * call: whose options they are, such as "lab:proxy"; for the message.
 */
void options_check(
    lua_State *L, int index, const char *call, const char *const *names);

/* Fields of the table at index (or nil); the default where absent, an error
 * where the type is wrong.  Strings are borrowed from the table, which must
 * stay on the stack. */
const char *options_string(lua_State *L, int index, const char *call,
    const char *name, const char *otherwise);
/* The same for any bytes; NULL where absent. */
const char *options_bytes(
    lua_State *L, int index, const char *call, const char *name, size_t *size);
long options_integer(lua_State *L, int index, const char *call,
    const char *name, long otherwise, long min, long max);
bool options_boolean(lua_State *L, int index, const char *call,
    const char *name, bool otherwise);

/* A string, number or boolean at index as the text that the libraries' own
 * option parsers read.  Pushes it; the result is borrowed from the stack.
 *
 * size: may be NULL; then the text must not contain zero bytes. */
const char *options_text(
    lua_State *L, int index, const char *call, const char *name, size_t *size);

/* The table at index as a list, whose every key is one of 1 to n.
 *
 * what:    it is a list of, for the message.
 * Returns: n.
 */
lua_Integer options_list(lua_State *L, int index, const char *call,
    const char *name, const char *what);

/* Push words (ended by NULL) as "a, b, c", for a message.  Returns: it. */
const char *options_push_words(lua_State *L, const char *const *words);

/* One of words (ended by NULL) as the argument at index; otherwise where it is
 * absent, NULL: it must be there.  Returns: its place. */
int options_word(lua_State *L, int index, const char *call, const char *what,
    const char *const *words, const char *otherwise);

#endif
