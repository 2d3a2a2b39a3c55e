/* canary.c - mistakes made on purpose, to see that they are noticed.
 *
 * Stock Lua calls these as C functions (tests/run.lua), as it calls ours.  As
 * this library is preloaded together with the sanitizers' runtime, it also
 * sees to it that programs started from there are not given that runtime.
 */
#include <stdlib.h>
#include <string.h>

int canary_leak(void *lua);
int canary_overflow(void *lua);

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

__attribute__((constructor)) static void
keep_to_this_process(void)
{
	unsetenv("LD_PRELOAD");
}
