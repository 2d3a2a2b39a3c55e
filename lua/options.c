/* options.c - see options.h. */
#include "lua/options.h"

#include <lauxlib.h>
#include <string.h>

const char *
options_push_words(lua_State *L, const char *const *names)
{
	luaL_Buffer b;

	luaL_buffinit(L, &b);
	for (size_t i = 0; names[i] != NULL; i++) {
		if (i > 0)
			luaL_addstring(&b, ", ");
		luaL_addstring(&b, names[i]);
	}
	luaL_pushresult(&b);
	return lua_tostring(L, -1);
}

static void
unknown_key(lua_State *L, const char *call, const char *const *names)
{
	const char *allowed = options_push_words(L, names);

	luaL_error(L, "%s: unknown option '%s'; allowed: %s", call,
	    luaL_tolstring(L, -3, NULL), allowed);
}

void
options_check(
    lua_State *L, int index, const char *call, const char *const *names)
{
	index = lua_absindex(L, index);
	if (lua_isnoneornil(L, index))
		return;
	if (!lua_istable(L, index))
		luaL_error(L, "%s: expected a table of options, got %s", call,
		    luaL_typename(L, index));
	lua_pushnil(L);
	while (lua_next(L, index) != 0) {
		const char *key =
		    lua_type(L, -2) == LUA_TSTRING ? lua_tostring(L, -2) : "";
		size_t i = 0;

		while (names[i] != NULL && strcmp(names[i], key) != 0)
			i++;
		if (names[i] == NULL)
			unknown_key(L, call, names);
		lua_pop(L, 1);
	}
}

/* Pushes the field.  Returns: its type, LUA_TNIL also where there is no
 * table. */
static int
get(lua_State *L, int index, const char *name)
{
	if (lua_istable(L, index))
		return lua_getfield(L, index, name);
	lua_pushnil(L);
	return LUA_TNIL;
}

const char *
options_bytes(
    lua_State *L, int index, const char *call, const char *name, size_t *size)
{
	const char *value = NULL;
	int type = get(L, index, name);

	*size = 0;
	if (type == LUA_TSTRING)
		value = lua_tolstring(L, -1, size);
	else if (type != LUA_TNIL)
		luaL_error(L, "%s: %s: expected a string, got %s", call, name,
		    luaL_typename(L, -1));
	lua_pop(L, 1);
	return value;
}

const char *
options_string(lua_State *L, int index, const char *call, const char *name,
    const char *otherwise)
{
	size_t size;
	const char *value = options_bytes(L, index, call, name, &size);

	if (value != NULL && strlen(value) != size)
		luaL_error(L, "%s: %s: no zero bytes here", call, name);
	return value != NULL ? value : otherwise;
}

long
options_integer(lua_State *L, int index, const char *call, const char *name,
    long otherwise, long min, long max)
{
	lua_Integer value;
	int is_integer = 0;

	if (get(L, index, name) == LUA_TNIL) {
		lua_pop(L, 1);
		return otherwise;
	}
	value = lua_type(L, -1) == LUA_TNUMBER
	    ? lua_tointegerx(L, -1, &is_integer)
	    : 0;
	if (!is_integer || value < min || value > max)
		luaL_error(L,
		    "%s: %s: expected a whole number from %I to %I, "
		    "got %s",
		    call, name, (LUAI_UACINT)min, (LUAI_UACINT)max,
		    luaL_tolstring(L, -1, NULL));
	lua_pop(L, 1);
	return (long)value;
}

bool
options_boolean(
    lua_State *L, int index, const char *call, const char *name, bool otherwise)
{
	bool value = otherwise;
	int type = get(L, index, name);

	if (type == LUA_TBOOLEAN)
		value = lua_toboolean(L, -1);
	else if (type != LUA_TNIL)
		luaL_error(L, "%s: %s: expected true or false, got %s", call,
		    name, luaL_typename(L, -1));
	lua_pop(L, 1);
	return value;
}

const char *
options_text(
    lua_State *L, int index, const char *call, const char *name, size_t *size)
{
	const char *text;
	size_t length;
	int is_integer;

	index = lua_absindex(L, index);
	switch (lua_type(L, index)) {
	case LUA_TBOOLEAN:
		lua_pushstring(L, lua_toboolean(L, index) ? "true" : "false");
		break;
	case LUA_TNUMBER:
		/* 18 / 2 is 9, not 9.0. */
		lua_pushinteger(L, lua_tointegerx(L, index, &is_integer));
		if (is_integer)
			break;
		lua_pop(L, 1);
		/* fall through */
	case LUA_TSTRING:
		lua_pushvalue(L, index);
		break;
	default:
		luaL_error(L,
		    "%s: %s: expected a string, a number or a "
		    "boolean, got %s",
		    call, name, luaL_typename(L, index));
	}
	text = lua_tolstring(L, -1, &length);
	if (size != NULL)
		*size = length;
	else if (strlen(text) != length)
		luaL_error(L, "%s: %s: no zero bytes here", call, name);
	return text;
}

lua_Integer
options_list(lua_State *L, int index, const char *call, const char *name,
    const char *what)
{
	lua_Integer n, n_keys = 0;

	index = lua_absindex(L, index);
	if (!lua_istable(L, index))
		luaL_error(L, "%s: %s: expected a list of %s, got %s", call,
		    name, what, luaL_typename(L, index));
	n = (lua_Integer)lua_rawlen(L, index);
	for (lua_pushnil(L); lua_next(L, index) != 0; lua_pop(L, 1))
		n_keys++;
	if (n_keys != n)
		luaL_error(L,
		    "%s: %s: expected a list of %s, got a table with other "
		    "keys",
		    call, name, what);
	return n;
}

int
options_word(lua_State *L, int index, const char *call, const char *what,
    const char *const *words, const char *otherwise)
{
	const char *word = otherwise == NULL
	    ? luaL_checkstring(L, index)
	    : luaL_optstring(L, index, otherwise);

	for (int i = 0; words[i] != NULL; i++)
		if (strcmp(words[i], word) == 0)
			return i;
	return luaL_error(L, "%s: '%s' is not %s; allowed: %s", call, word,
	    what, options_push_words(L, words));
}
