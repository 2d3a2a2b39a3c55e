/* canary.c - mistakes made on purpose, to see that they are noticed.
 *
 * Stock Lua calls these as C functions (tests/run.lua), as it calls ours.
 *
 * The library is also preloaded together with the sanitizers' runtime, where
 * stock Lua runs a sanitized module.  So two more things are done here: the
 * programs that Lua starts are not given that runtime, and a module stays
 * loaded, or the trace of a leak would have no names.
 */
#include <stdlib.h>

int canary_leak(void *lua);
int canary_overflow(void *lua);
int dlclose(void *handle);

static char *volatile lost;

int
canary_leak(void *lua)
{
	lost = malloc(13);
	lost = NULL;
	return 0;
}

int
canary_overflow(void *lua)
{
	char *volatile bytes = malloc(13);

	if (bytes != NULL)
		bytes[13] = 1;
	free(bytes);
	return 0;
}

int
dlclose(void *handle)
{
	return 0;
}

__attribute__((constructor)) static void
keep_to_this_process(void)
{
	unsetenv("LD_PRELOAD");
}
