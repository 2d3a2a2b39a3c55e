/* corelib.c - see corelib.h. */
#include "lua/corelib.h"

#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "harness/lab.h"
#include "harness/verdict.h"
#include "lua/actors.h"
#include "lua/block.h"
#include "lua/lablib.h"
#include "lua/limit.h"
#include "lua/tracelib.h"
#include "lua/verdicts.h"
#include "lua/workerlib.h"

#include "backend/backend.h"
#include "proxy/proxy.h"

/* core.now_ms(): the real, monotonic clock, with fractions */
static int
core_now_ms(lua_State *L)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	lua_pushnumber(
	    L, (lua_Number)ts.tv_sec * 1e3 + (lua_Number)ts.tv_nsec / 1e6);
	return 1;
}

static int
core_is_interrupted(lua_State *L)
{
	lua_pushboolean(L, lab_is_interrupted());
	return 1;
}

/* core.cannot_vanish(): why not, nil where it is possible */
static int
core_cannot_vanish(lua_State *L)
{
	lua_pushstring(L, backend_cannot_vanish());
	return 1;
}

/* core.cannot_witness(): the same, of what is sent to a connection that is
 * gone */
static int
core_cannot_witness(lua_State *L)
{
	lua_pushstring(L, backend_cannot_witness());
	return 1;
}

/* core.is_terminal(["stdout" | "stderr"]): does it go to a person? */
static int
core_is_terminal(lua_State *L)
{
	static const char *const names[] = { "stdout", "stderr", NULL };
	int which = luaL_checkoption(L, 1, "stdout", names);

	lua_pushboolean(L, isatty(which == 0 ? STDOUT_FILENO : STDERR_FILENO));
	return 1;
}

/* core.columns(): of the terminal that stdout is, nil where it is none */
static int
core_columns(lua_State *L)
{
	struct winsize size = { 0 };

	if (ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) != 0 || size.ws_col == 0)
		return 0;
	lua_pushinteger(L, size.ws_col);
	return 1;
}

/* core.is_special(path): something is there that is no regular file, such as a
 * device: another file must not be put in its place */
static int
core_is_special(lua_State *L)
{
	struct stat st;

	lua_pushboolean(
	    L, stat(luaL_checkstring(L, 1), &st) == 0 && !S_ISREG(st.st_mode));
	return 1;
}

/* core.proxy_options(): every option of the proxy but its upstream, as a list
 * of { group, name, help, value, allowed } */
static int
core_proxy_options(lua_State *L)
{
	struct proxy_option option;
	lua_Integer n = 0;

	lua_newtable(L);
	for (size_t i = 0; proxy_options_describe(i, &option) == 0; i++) {
		if (strcmp(option.name, "upstream") == 0)
			continue;
		lua_createtable(L, 0, 5);
		lua_pushstring(L, option.group);
		lua_setfield(L, -2, "group");
		lua_pushstring(L, option.name);
		lua_setfield(L, -2, "name");
		lua_pushstring(L, option.help);
		lua_setfield(L, -2, "help");
		lua_pushstring(L, option.value);
		lua_setfield(L, -2, "value");
		lua_pushstring(L, option.allowed);
		lua_setfield(L, -2, "allowed");
		lua_rawseti(L, -2, ++n);
	}
	return 1;
}

/* core.find_program(name): its path, nil where it is not installed.  Servers
 * often live in directories that are not in everybody's PATH. */
static int
core_find_program(lua_State *L)
{
	const char *name = luaL_checkstring(L, 1);
	const char *path = getenv("PATH");
	char *list, *save, *dir;

	if (strchr(name, '/') != NULL) {
		lua_pushstring(L, access(name, X_OK) == 0 ? name : NULL);
		return 1;
	}
	list = strdup(lua_pushfstring(L, "%s:/usr/local/sbin:/usr/sbin:/sbin",
	    path != NULL ? path : "/usr/bin:/bin"));
	lua_pushnil(L);
	for (dir = list != NULL ? strtok_r(list, ":", &save) : NULL;
	     dir != NULL && lua_isnil(L, -1);
	     dir = strtok_r(NULL, ":", &save)) {
		const char *full = lua_pushfstring(L, "%s/%s", dir, name);

		if (access(full, X_OK) != 0) {
			lua_pop(L, 1);
			continue;
		}
		lua_replace(L, -2);
		break;
	}
	free(list);
	return 1;
}

/* The processors that we might use when we began. */
static const cpu_set_t *
processors(void)
{
	static cpu_set_t set;

	if (CPU_COUNT(&set) == 0)
		sched_getaffinity(0, sizeof set, &set);
	return &set;
}

/* core.pin(n [, "others"]): run on the n-th of the processors that we might use
 * when we began, counted round and round, and on no other; or on all others, if
 * there are any.  Programs that are started from now on do the same. */
static int
core_pin(lua_State *L)
{
	static const char *const names[] = { "alone", "others", NULL };
	lua_Integer n = luaL_checkinteger(L, 1);
	bool others = luaL_checkoption(L, 2, "alone", names) == 1;
	const cpu_set_t *all = processors();
	cpu_set_t one, set;

	luaL_argcheck(L, n >= 1, 1, "expected a number from 1");
	if (CPU_COUNT(all) < 2)
		return 0;
	n = (n - 1) % CPU_COUNT(all);
	CPU_ZERO(&one);
	for (size_t cpu = 0; cpu < CPU_SETSIZE; cpu++)
		if (CPU_ISSET(cpu, all) && n-- == 0)
			CPU_SET(cpu, &one);
	CPU_XOR(&set, all, &one);
	sched_setaffinity(0, sizeof one, others ? &set : &one);
	return 0;
}

static void
push_words(lua_State *L, const char *const *words, size_t n)
{
	lua_newtable(L);
	for (size_t i = 0; i < n; i++) {
		lua_pushstring(L, words[i]);
		lua_rawseti(L, -2, (lua_Integer)i + 1);
	}
}

static void
push_verdicts(lua_State *L)
{
	lua_newtable(L);
	for (int i = 0; i < N_VERDICTS; i++) {
		lua_newtable(L);
		lua_pushstring(L, verdict_word(i));
		lua_setfield(L, -2, "word");
		lua_pushstring(L, verdict_meaning(i));
		lua_setfield(L, -2, "meaning");
		lua_rawseti(L, -2, i + 1);
	}
}

/* core.words(): every enumeration of the product, by its name in the
 * documents */
static int
core_words(lua_State *L)
{
#define X(symbol, word) word,
	static const char *const points[] = { BACKEND_POINTS(X) };
	static const char *const endings[] = { BACKEND_ENDINGS(X) };
	static const char *const reuse[] = { PROXY_REUSE(X) };
	static const char *const retry[] = { PROXY_RETRY(X) };
	static const char *const orders[] = { ORDERS(X) };
#undef X
	const char *const *checkpoints = proxy_checkpoints();
	size_t n = 0;

	while (checkpoints[n] != NULL)
		n++;
	lua_newtable(L);
	push_words(L, points, N_POINTS);
	lua_setfield(L, -2, "points");
	push_words(L, endings, N_ENDINGS);
	lua_setfield(L, -2, "endings");
	push_words(L, orders, N_ORDERS);
	lua_setfield(L, -2, "orders");
	push_words(L, checkpoints, n);
	lua_setfield(L, -2, "checkpoints");
	push_words(L, reuse, N_REUSE);
	lua_setfield(L, -2, "reuse");
	push_words(L, retry, N_RETRY);
	lua_setfield(L, -2, "retry");
	push_verdicts(L);
	lua_setfield(L, -2, "verdicts");
	return 1;
}

int
luaopen_closerace_core(lua_State *L)
{
	static const luaL_Reg functions[] = { { "lab", lablib_new },
		{ "now_ms", core_now_ms },
		{ "is_interrupted", core_is_interrupted },
		{ "is_terminal", core_is_terminal },
		{ "columns", core_columns }, { "is_special", core_is_special },
		{ "limit", limit_set }, { "left_open", lablib_left_open },
		{ "proxy_options", core_proxy_options },
		{ "worker", workerlib_new },
		{ "find_program", core_find_program },
		{ "cannot_vanish", core_cannot_vanish },
		{ "cannot_witness", core_cannot_witness }, { "pin", core_pin },
		{ "words", core_words }, { "verdicts", verdicts_take },
		{ "last_tail", tracelib_last_tail }, { NULL, NULL } };

	lablib_open(L);
	tracelib_open(L);
	block_open(L);
	backendlib_open(L);
	connlib_open(L);
	proxylib_open(L);
	heldlib_open(L);
	clientlib_open(L);
	exchangelib_open(L);
	sutlib_open(L);
	verdictlib_open(L);
	workerlib_open(L);
	luaL_newlib(L, functions);
	lua_pushliteral(L, CLOSERACE_VERSION);
	lua_setfield(L, -2, "version");
	return 1;
}
