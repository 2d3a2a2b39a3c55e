/* modules.h - the Lua modules that are built into the program.  The table is
 * generated (lua/embed.lua). */
#ifndef LUA_MODULES_H
#define LUA_MODULES_H

#include <stddef.h>

struct module {
	const char *name; /* as for require */
	const unsigned char *text;
	size_t size;
};

extern const struct module modules[]; /* ended by a NULL name */

#endif
