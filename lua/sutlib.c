/* sutlib.c - lab:sut {…}: an external program under test. */
#include <arpa/inet.h>
#include <string.h>
#include <sys/wait.h>

#include "harness/sut.h"
#include "lua/actors.h"
#include "lua/block.h"
#include "lua/options.h"

#define ARGS_MAX  64
#define FILES_MAX 16

/* A list of strings, borrowed from the table, which stays on the stack. */
static void
read_list(
    lua_State *L, int index, const char *name, const char *list[ARGS_MAX + 1])
{
	size_t n = 0;

	list[0] = NULL;
	if (lua_getfield(L, index, name) == LUA_TNIL) {
		lua_pop(L, 1);
		return;
	}
	options_list(L, -1, "lab:sut", name, "strings");
	for (; lua_rawgeti(L, -1, (lua_Integer)n + 1) != LUA_TNIL; n++) {
		if (n == ARGS_MAX || lua_type(L, -1) != LUA_TSTRING)
			luaL_error(L,
			    "lab:sut: %s: expected at most %d strings", name,
			    ARGS_MAX);
		list[n] = lua_tostring(L, -1);
		lua_pop(L, 1);
	}
	list[n] = NULL;
	lua_pop(L, 2);
}

/* Files as name = text, borrowed from the table. */
static size_t
read_files(lua_State *L, int index, struct sut_file files[FILES_MAX])
{
	size_t n = 0;

	if (lua_getfield(L, index, "files") == LUA_TNIL) {
		lua_pop(L, 1);
		return 0;
	}
	if (!lua_istable(L, -1))
		luaL_error(L, "lab:sut: files: expected a table, name = text");
	lua_pushnil(L);
	for (; lua_next(L, -2) != 0; n++) {
		if (n == FILES_MAX || lua_type(L, -2) != LUA_TSTRING ||
		    lua_type(L, -1) != LUA_TSTRING)
			luaL_error(L,
			    "lab:sut: files: expected at most %d, as name = "
			    "text",
			    FILES_MAX);
		files[n] = (struct sut_file){ lua_tostring(L, -2),
			lua_tostring(L, -1) };
		lua_pop(L, 1);
	}
	lua_pop(L, 1);
	return n;
}

int
sutlib_new(lua_State *L)
{
	static const char *const names[] = { "to", "argv", "config", "env",
		"files", "apart", NULL };
	struct lab_box *box = handle_check_lab(L, 1);
	const char *argv[ARGS_MAX + 1], *env[ARGS_MAX + 1];
	struct sut_file files[FILES_MAX];
	struct sut_options options = {
		.argv = argv, .env = env, .files = files
	};
	char error[1024];
	struct sut *s;

	options_check(L, 2, "lab:sut", names);
	luaL_checktype(L, 2, LUA_TTABLE);
	read_list(L, 2, "argv", argv);
	read_list(L, 2, "env", env);
	if (argv[0] == NULL)
		return luaL_error(L,
		    "lab:sut: argv is missing: a list with "
		    "the program and its arguments");
	options.config = options_string(L, 2, "lab:sut", "config", NULL);
	options.n_files = read_files(L, 2, files);
	options.apart = options_boolean(L, 2, "lab:sut", "apart", false);
	if (lua_getfield(L, 2, "to") != LUA_TNIL)
		handle_ipv4(L, -1, "lab:sut: to", &options.backend);
	s = sut_new(box->lab, &options, error, sizeof error);
	if (s == NULL)
		return luaL_error(L, "lab:sut: %s", error);
	handle_push(L, 1, SUT_CLASS, s, 0);
	return 1;
}

static int
sut_field(lua_State *L)
{
	struct sut *s = handle_actor(L, 1, SUT_CLASS);
	const char *key = luaL_checkstring(L, 2), *text;
	size_t size;
	int status;

	if (strcmp(key, "address") == 0 && sut_address(s) != NULL)
		lua_pushfstring(
		    L, "127.0.0.1:%d", (int)ntohs(sut_address(s)->sin_port));
	else if (strcmp(key, "pid") == 0)
		lua_pushinteger(L, sut_pid(s));
	else if (strcmp(key, "dir") == 0)
		lua_pushstring(L, sut_dir(s));
	else if (strcmp(key, "output") == 0) {
		text = sut_output(s, &size);
		lua_pushlstring(L, text, size);
	} else if (strcmp(key, "errors") == 0) {
		text = sut_errors(s, &size);
		lua_pushlstring(L, text, size);
	} else if (strcmp(key, "exited") == 0) {
		sut_acknowledge(s);
		lua_pushboolean(L, sut_has_exited(s, &status));
	} else
		lua_pushnil(L);
	return 1;
}

/* Until when sut:wait_exit() waits. */
struct waiting {
	struct lab *lab;
	struct sut *sut;
	int64_t until_ms; /* -1: for ever */
};

static bool
has_exited(void *arg)
{
	const struct waiting *w = arg;
	int status;

	return sut_has_exited(w->sut, &status) ||
	    (w->until_ms >= 0 && lab_has_passed(w->lab, w->until_ms));
}

static int
exited(lua_State *L, int status, lua_KContext ctx)
{
	struct sut *s = handle_actor(L, 1, SUT_CLASS);
	int code = 0;

	sut_acknowledge(s);
	if (!sut_has_exited(s, &code))
		return 0;
	if (WIFSIGNALED(code)) {
		lua_pushliteral(L, "signal");
		lua_pushinteger(L, WTERMSIG(code));
	} else {
		lua_pushliteral(L, "exit");
		lua_pushinteger(L, WEXITSTATUS(code));
	}
	return 2;
}

/* sut:wait_exit([ms]): "exit" or "signal", and its number; nothing where it
 * has not ended after so long */
static int
sut_wait_exit(lua_State *L)
{
	struct handle *h = handle_check(L, 1, SUT_CLASS);
	lua_Integer ms = luaL_optinteger(L, 2, -1);
	struct waiting *w;

	luaL_argcheck(L, lua_isnoneornil(L, 2) || (ms >= 0 && ms <= 86400000),
	    2, "expected milliseconds from 0 to 86400000");
	lua_settop(L, 2);
	w = lua_newuserdatauv(L, sizeof *w, 0);
	*w = (struct waiting){ h->box->lab, h->actor, -1 };
	if (ms >= 0) {
		w->until_ms = lab_now_ms(w->lab) + ms;
		lab_wake_at(w->lab, w->until_ms);
	}
	return block(L, h->box, has_exited, w, "sut:wait_exit", exited);
}

/* sut:line_up(): on one processor, its threads run in the order in which they
 * are woken */
static int
sut_line_up_method(lua_State *L)
{
	sut_line_up(handle_actor(L, 1, SUT_CLASS));
	return 0;
}

/* sut:stop(): nothing of it runs; sut:continue(): it goes on */
static int
sut_stop_method(lua_State *L)
{
	sut_stop(handle_actor(L, 1, SUT_CLASS));
	return 0;
}

static int
sut_continue_method(lua_State *L)
{
	sut_continue(handle_actor(L, 1, SUT_CLASS));
	return 0;
}

static int
sut_tostring(lua_State *L)
{
	struct handle *h = luaL_checkudata(L, 1, SUT_CLASS);
	int status;

	if (h->box->lab == NULL)
		lua_pushliteral(L, "sut (closed)");
	else
		lua_pushfstring(L, "sut %d (pid %d, %s)",
		    (int)sut_number(h->actor), sut_pid(h->actor),
		    sut_has_exited(h->actor, &status) ? "exited" : "running");
	return 1;
}

void
sutlib_open(lua_State *L)
{
	static const luaL_Reg methods[] = { { "wait_exit", sut_wait_exit },
		{ "line_up", sut_line_up_method }, { "stop", sut_stop_method },
		{ "continue", sut_continue_method }, { NULL, NULL } };
	static const luaL_Reg meta[] = { { "__tostring", sut_tostring },
		{ NULL, NULL } };

	handle_class(L, SUT_CLASS, methods, meta, sut_field);
}
