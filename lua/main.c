/* main.c - the program `closerace`: a Lua interpreter with the modules built
 * in.  Its commands are Lua (lua/closerace/command.lua); here are only the
 * things that Lua cannot do: signals, and finding the built-in modules.
 */
#include <lauxlib.h>
#include <limits.h>
#include <lualib.h>
#include <poll.h>
#include <fcntl.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "harness/lab.h"
#include "lua/block.h"
#include "lua/corelib.h"
#include "lua/modules.h"

#define EXIT_TROUBLE	 70 /* sysexits: an error of the program's own */
#define EXIT_INTERRUPTED 130

static lua_State *interrupted_state;

/* Runs before the next Lua instruction: a script that only computes is
 * stopped too. */
static void
stop_script(lua_State *L, lua_Debug *ar)
{
	lua_sethook(L, NULL, 0, 0);
	lua_sethook(interrupted_state, NULL, 0, 0);
	luaL_error(L, "interrupted");
}

/* Who asked first: a process, or 0 for the keyboard (or one that we cannot see:
 * each of theirs is a wish of its own). */
static volatile sig_atomic_t first_signo, first_pid;

/* timeout(1) tells its child, and then its group, in which the child is: one
 * wish, said twice.  It must not end at once what is just finishing. */
static bool
is_said_again(int signo, const siginfo_t *info)
{
	return info->si_code == SI_USER && info->si_pid != 0 &&
	    info->si_pid == first_pid && signo == first_signo;
}

static void
on_interrupt(int signo, siginfo_t *info, void *context)
{
	const int everything =
	    LUA_MASKCALL | LUA_MASKRET | LUA_MASKLINE | LUA_MASKCOUNT;
	lua_State *task = block_running_thread();

	if (lab_is_interrupted()) {
		if (is_said_again(signo, info))
			return;
		signal(signo, SIG_DFL); /* a second wish ends it at once */
		raise(signo);
		return;
	}
	first_signo = signo;
	first_pid = info->si_code == SI_USER ? info->si_pid : 0;
	lab_interrupt();
	lua_sethook(interrupted_state, stop_script, everything, 1);
	if (task != NULL) /* a thread has hooks of its own */
		lua_sethook(task, stop_script, everything, 1);
}

/* package.searchers: a built-in module by its name. */
static int
find_module(lua_State *L)
{
	const char *name = luaL_checkstring(L, 1);
	char chunk[128];

	for (const struct module *m = modules; m->name != NULL; m++)
		if (strcmp(m->name, name) == 0) {
			snprintf(chunk, sizeof chunk, "=[%s]", name);
			if (luaL_loadbuffer(L, (const char *)m->text, m->size,
				chunk) != LUA_OK)
				return lua_error(L);
			lua_pushliteral(L, "built in");
			return 2;
		}
	lua_pushfstring(L, "no built-in module '%s'", name);
	return 1;
}

/* Built-in modules come before the file system: the program always runs what
 * it was built with. */
static void
add_modules(lua_State *L)
{
	luaL_requiref(L, "closerace.core", luaopen_closerace_core, 0);
	lua_pop(L, 1);
	lua_getglobal(L, "table");
	lua_getfield(L, -1, "insert");
	lua_getglobal(L, "package");
	lua_getfield(L, -1, "searchers");
	lua_remove(L, -2);
	lua_pushinteger(L, 2);
	lua_pushcfunction(L, find_module);
	lua_call(L, 3, 0);
	lua_pop(L, 1);
}

/* Where it came about in our own source is for a mistake of ours; what is a
 * sentence already, is for the user. */
static int
traceback(lua_State *L)
{
	if (lua_type(L, 1) == LUA_TSTRING &&
	    strncmp(lua_tostring(L, 1), "[closerace", 10) != 0)
		return 1;
	luaL_traceback(L, L, luaL_tolstring(L, 1, NULL), 1);
	return 1;
}

/* What was said must have arrived, or the status would vouch for it.  A reader
 * that went away (`| head -1`) has seen what it wanted. */
static int
end_output(int status)
{
	struct pollfd out = { .fd = STDOUT_FILENO, .events = POLLOUT };
	bool failed = fflush(stdout) != 0;

	if (!failed && !ferror(stdout))
		return status;
	if (poll(&out, 1, 0) == 1 && (out.revents & POLLERR) != 0)
		return status;
	fputs("closerace: the output cannot be written\n", stderr);
	return EXIT_TROUBLE;
}

/* argc, argv: the command line.  Returns: the exit status. */
static int
run_protected(lua_State *L)
{
	int argc = (int)lua_tointeger(L, 1);
	char **argv = lua_touserdata(L, 2);

	luaL_openlibs(L);
	add_modules(L);
	lua_getglobal(L, "require");
	lua_pushliteral(L, "closerace.command");
	lua_call(L, 1, 1);
	lua_createtable(L, argc, 0);
	for (int i = 1; i < argc; i++) {
		lua_pushstring(L, argv[i]);
		lua_rawseti(L, -2, i);
	}
	lua_call(L, 1, 1);
	return 1;
}

/* Returns: the exit status.  Whatever may raise, stands in run_protected(),
 * the want of memory included. */
static int
run_command(lua_State *L, int argc, char **argv)
{
	int status;

	lua_pushcfunction(L, traceback);
	lua_pushcfunction(L, run_protected);
	lua_pushinteger(L, argc);
	lua_pushlightuserdata(L, argv);
	if (lua_pcall(L, 2, 1, 1) != LUA_OK) {
		if (lab_is_interrupted()) {
			fputs("closerace: interrupted\n", stderr);
			return EXIT_INTERRUPTED;
		}
		fprintf(stderr, "closerace: %s\n", lua_tostring(L, -1));
		return EXIT_TROUBLE;
	}
	status = (int)lua_tointeger(L, -1);
	return end_output(status);
}

/* A standard descriptor that is closed would become a socket's, and what is said
 * would go there.  What is read-only still says that it cannot be written. */
static void
open_standard(void)
{
	int fd;

	do
		fd = open("/dev/null", O_RDONLY);
	while (fd >= 0 && fd <= STDERR_FILENO);
	if (fd >= 0)
		close(fd);
}

/* `closerace proxy` and `closerace backend` are programs of their own, beside
 * this one.  Returns only where that program cannot be run. */
static int
become_sibling(char **argv)
{
	char path[PATH_MAX], *slash;
	ssize_t n = readlink("/proc/self/exe", path, sizeof path - 32);

	if (n > 0) {
		path[n] = '\0';
		slash = strrchr(path, '/');
		sprintf(slash + 1, "closerace-%s", argv[1]);
		argv[1] = path;
		execv(path, argv + 1);
	}
	perror("closerace: cannot run closerace-proxy or closerace-backend");
	return EXIT_TROUBLE;
}

int
main(int argc, char **argv)
{
	/* What is being written goes on when its reader does: standard I/O
	 * would drop it. */
	struct sigaction interrupt = { .sa_sigaction = on_interrupt,
		.sa_flags = SA_RESTART | SA_SIGINFO };
	lua_State *L;
	int status;

	open_standard();
	if (argc > 1 &&
	    (strcmp(argv[1], "proxy") == 0 || strcmp(argv[1], "backend") == 0))
		return become_sibling(argv);
	L = luaL_newstate();
	if (L == NULL) {
		fputs("closerace: out of memory\n", stderr);
		return EXIT_TROUBLE;
	}
	interrupted_state = L;
	signal(SIGPIPE, SIG_IGN);
	signal(
	    SIGXFSZ, SIG_IGN); /* a file at its limit is a write that fails */
	sigaddset(&interrupt.sa_mask, SIGINT);
	sigaddset(&interrupt.sa_mask, SIGTERM);
	sigaction(SIGINT, &interrupt, NULL);
	sigaction(SIGTERM, &interrupt, NULL);
	status = run_command(L, argc, argv);
	lua_close(L);
	return status;
}
