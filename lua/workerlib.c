/* workerlib.c - core.worker(fn): a process beside this one that runs fn, and
 * sends lines.
 *
 * A fork, not a new program: what the script has prepared is there already.
 * Nothing of it outlives the script: a worker dies with its parent, and is
 * ended with its handle.  The programs under test that it has started end
 * then, too; their wardens hold a pipe, whose end tells that all have gone.
 */
#include <errno.h>
#include <fcntl.h>
#include <lauxlib.h>
#include <lua.h>
#include <net/if.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "harness/lab.h"
#include "harness/sut.h"
#include "harness/warden.h"
#include "lua/workerlib.h"

#define WORKER_CLASS "closerace.worker"
#define PIPE_SIZE    (1024 * 1024) /* how far ahead a worker may be */

struct worker {
	pid_t pid; /* 0: reaped */
	FILE *lines;
	int wardens_fd; /* -1: closed; ends when nobody's warden is there */
	int status;	/* as waitpid() tells it */
};

/* ------------------------------------------------------------- the child -- */

static bool
raise_loopback(void)
{
	struct ifreq lo = { .ifr_name = "lo", .ifr_flags = IFF_UP };
	int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	bool raised = fd >= 0 && ioctl(fd, SIOCSIFFLAGS, &lo) == 0;

	if (fd >= 0)
		close(fd);
	return raised;
}

/* Processes that share a network namespace wait for one another in it: with
 * one of its own, where that is allowed, each is as fast as if it were alone.
 */
static void
take_own_network(void)
{
	int shared = open("/proc/self/ns/net", O_RDONLY | O_CLOEXEC);

	if (shared < 0)
		return;
	if (unshare(CLONE_NEWNET) == 0 && !raise_loopback())
		(void)!setns(shared, CLONE_NEWNET);
	close(shared);
}

/* upvalue: the stream.  emit(line [, now]): false where nobody reads any more.
 * Lines are collected, unless the parent is to read this one now. */
static int
emit(lua_State *L)
{
	FILE *out = lua_touserdata(L, lua_upvalueindex(1));
	size_t size;
	const char *line = luaL_checklstring(L, 1, &size);

	lua_pushboolean(L,
	    fwrite(line, 1, size, out) == size && fputc('\n', out) != EOF &&
		(!lua_toboolean(L, 2) || fflush(out) == 0));
	return 1;
}

static void
run_child(lua_State *L, int fd, pid_t parent)
{
	FILE *out;
	int status = EXIT_SUCCESS;

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (getppid() != parent)
		_exit(EXIT_FAILURE);
	lab_forked();
	take_own_network();
	out = fdopen(fd, "w");
	if (out == NULL)
		_exit(EXIT_FAILURE);
	lua_pushvalue(L, 1);
	lua_pushlightuserdata(L, out);
	lua_pushcclosure(L, emit, 1);
	if (lua_pcall(L, 1, 0, 0) != LUA_OK) {
		const char *error = luaL_tolstring(L, -1, NULL);

		/* The parent tells it: a line that begins with no brace. */
		fprintf(out, "!%s\n", error);
		status = EXIT_FAILURE;
	}
	fflush(out);
	_exit(status);
}

/* ------------------------------------------------------------ the parent -- */

static struct worker *
check_worker(lua_State *L)
{
	return luaL_checkudata(L, 1, WORKER_CLASS);
}

/* core.worker(fn): fn(emit) runs in a process of its own */
int
workerlib_new(lua_State *L)
{
	struct worker *w;
	pid_t parent = getpid();
	int fds[2], wardens[2];

	luaL_checktype(L, 1, LUA_TFUNCTION);
	if (sut_any_runs())
		return luaL_error(L,
		    "processes cannot be made while a lab with a program under "
		    "test is open; close it first");
	lua_settop(L, 1);
	w = lua_newuserdatauv(L, sizeof *w, 0);
	memset(w, 0, sizeof *w);
	w->wardens_fd = -1;
	luaL_setmetatable(L, WORKER_CLASS);
	if (pipe2(wardens, O_CLOEXEC) != 0)
		return luaL_error(L, "core.worker: %s", strerror(errno));
	w->wardens_fd = wardens[0];
	if (pipe2(fds, O_CLOEXEC) != 0) {
		close(wardens[1]);
		return luaL_error(L, "core.worker: %s", strerror(errno));
	}
	fcntl(fds[0], F_SETPIPE_SZ, PIPE_SIZE); /* or what is allowed */
	fflush(NULL);
	w->pid = fork();
	if (w->pid == 0) {
		close(fds[0]);
		warden_hold(wardens[1]);
		run_child(L, fds[1], parent);
	}
	close(fds[1]);
	close(wardens[1]);
	w->lines = w->pid > 0 ? fdopen(fds[0], "r") : NULL;
	if (w->lines == NULL) {
		close(fds[0]);
		return luaL_error(L, "core.worker: %s", strerror(errno));
	}
	return 1;
}

static void
reap(struct worker *w)
{
	if (w->pid <= 0)
		return;
	while (waitpid(w->pid, &w->status, 0) < 0 && errno == EINTR)
		continue;
	w->pid = 0;
}

/* worker:read(): its next line, without the line end; nil when it has ended.
 * Interrupted, it goes on waiting: the worker was interrupted too, or will
 * be. */
static int
worker_read(lua_State *L)
{
	struct worker *w = check_worker(L);
	luaL_Buffer b;
	int c;

	if (w->lines == NULL)
		return 0;
	luaL_buffinit(L, &b);
	while ((c = getc_unlocked(w->lines)) != EOF && c != '\n')
		luaL_addchar(&b, (char)c);
	luaL_pushresult(&b);
	if (c == EOF) {
		reap(w);
		lua_pushnil(L);
	}
	return 1;
}

/* worker:status(): "exit" or "signal" and the number, once it has ended */
static int
worker_status(lua_State *L)
{
	struct worker *w = check_worker(L);

	if (w->pid > 0)
		return 0;
	lua_pushstring(L, WIFSIGNALED(w->status) ? "signal" : "exit");
	lua_pushinteger(L,
	    WIFSIGNALED(w->status) ? WTERMSIG(w->status)
				   : WEXITSTATUS(w->status));
	return 2;
}

/* Wait until no warden of the worker's programs is there any more. */
static void
await_wardens(struct worker *w)
{
	char none;

	if (w->wardens_fd < 0)
		return;
	while (read(w->wardens_fd, &none, 1) < 0 && errno == EINTR)
		continue;
	close(w->wardens_fd);
	w->wardens_fd = -1;
}

/* worker:close(), and the end of its scope: it is ended where it has not */
static int
worker_close(lua_State *L)
{
	struct worker *w = check_worker(L);

	if (w->lines != NULL)
		fclose(w->lines);
	w->lines = NULL;
	if (w->pid > 0)
		kill(w->pid, SIGKILL);
	reap(w);
	await_wardens(w);
	return 0;
}

void
workerlib_open(lua_State *L)
{
	static const luaL_Reg methods[] = { { "read", worker_read },
		{ "status", worker_status }, { "close", worker_close },
		{ "__close", worker_close }, { "__gc", worker_close },
		{ NULL, NULL } };

	luaL_newmetatable(L, WORKER_CLASS);
	luaL_setfuncs(L, methods, 0);
	lua_pushvalue(L, -1);
	lua_setfield(L, -2, "__index");
	lua_pop(L, 1);
}
