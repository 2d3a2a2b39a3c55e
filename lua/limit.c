/* limit.c - see limit.h.
 *
 * A timer of the process counts seconds of processor time.  When they are over,
 * its signal has Lua call a hook before the next instruction, which raises; and
 * again, until the script is left, because it may catch what is raised.  What
 * no hook reaches (a coroutine of the script's own, a C function) is ended with
 * the process, a few seconds later.
 */
#include "lua/limit.h"

#include <lauxlib.h>
#include <signal.h>
#include <string.h>
#include <sys/time.h>
#include <unistd.h>

#include "lua/block.h"

#define GRACE_S 3 /* for the error to come through */

static lua_State *main_state;
static volatile sig_atomic_t n_progress, n_seen, n_idle_s, limit_s;

void
limit_note_progress(void)
{
	n_progress++;
}

static void
raise_limit(lua_State *L, lua_Debug *ar)
{
	/* Our own modules are on their way to say it. */
	if (lua_getinfo(L, "Sl", ar) == 0 ||
	    strncmp(ar->source, "=[closerace", 11) == 0)
		return;
	luaL_error(L,
	    "%s:%d: an endless loop? %d s of processor time went by, and "
	    "nothing happened in a lab (--limit-s)",
	    ar->short_src, ar->currentline, (int)limit_s);
}

static void
on_second(int signo)
{
	static const char lost[] =
	    "closerace run: a script takes no end, and cannot be interrupted "
	    "(--limit-s)\n";
	lua_State *task = block_running_thread();

	if (n_progress != n_seen) {
		n_seen = n_progress;
		n_idle_s = 0;
		return;
	}
	n_idle_s++;
	if (n_idle_s < limit_s)
		return;
	if (n_idle_s >= limit_s + GRACE_S) {
		(void)!write(STDERR_FILENO, lost, sizeof lost - 1);
		_exit(1);
	}
	lua_sethook(main_state, raise_limit, LUA_MASKCOUNT, 1);
	if (task != NULL) /* a thread has hooks of its own */
		lua_sethook(task, raise_limit, LUA_MASKCOUNT, 1);
}

int
limit_set(lua_State *L)
{
	lua_Integer seconds = luaL_checkinteger(L, 1);
	struct itimerval every = { 0 };
	struct sigaction act = { .sa_handler = on_second,
		.sa_flags = SA_RESTART };

	luaL_argcheck(L, seconds >= 0 && seconds <= 1000000000, 1,
	    "expected seconds, not negative");
	setitimer(ITIMER_PROF, &every, NULL);
	lua_rawgeti(L, LUA_REGISTRYINDEX, LUA_RIDX_MAINTHREAD);
	main_state = lua_tothread(L, -1);
	lua_pop(L, 1);
	if (lua_gethook(main_state) == raise_limit)
		lua_sethook(main_state, NULL, 0, 0);
	limit_s = (sig_atomic_t)seconds;
	n_idle_s = 0;
	if (seconds == 0)
		return 0;
	sigaction(SIGPROF, &act, NULL);
	every.it_interval.tv_sec = every.it_value.tv_sec = 1;
	setitimer(ITIMER_PROF, &every, NULL);
	return 0;
}
