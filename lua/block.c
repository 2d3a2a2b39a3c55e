/* block.c - see block.h. */
#include "lua/block.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>

#include "harness/lab.h"
#include "lua/limit.h"
#include "lua/tracelib.h"

enum task_state { TASK_WAITING, TASK_RUNNING, TASK_DONE, TASK_FAILED };

struct task {
	struct lab_box *box; /* NULL once dropped */
	struct task *next;
	lua_State *co; /* its thread, kept alive by uservalue 2 */
	enum task_state state;
	block_ready_fn *ready; /* NULL: goes on at once */
	void *arg;
	const char *what;
	int n_args; /* for the first resume */
};

static lua_State *volatile running_thread;

lua_State *
block_running_thread(void)
{
	return running_thread;
}

/* ------------------------------------------------------------- reporting -- */

/* Where a thread waits: the innermost Lua function's line. */
static void
push_place(lua_State *L, lua_State *co, const char *what)
{
	lua_Debug ar;

	for (int level = 0; lua_getstack(co, level, &ar); level++) {
		lua_getinfo(co, "Sl", &ar);
		if (ar.currentline > 0) {
			lua_pushfstring(L, "%s:%d: waits in %s", ar.short_src,
			    ar.currentline, what);
			return;
		}
	}
	lua_pushfstring(L, "waits in %s", what);
}

static void
push_waiting(lua_State *L, struct lab_box *box, const char *what)
{
	int n = 1;

	push_place(L, L, what);
	for (struct task *t = box->tasks; t != NULL; t = t->next)
		if (t->state == TASK_WAITING) {
			lua_pushliteral(L, "\n  ");
			push_place(L, t->co, t->what);
			n += 2;
		}
	lua_concat(L, n);
}

void
block_push_error(lua_State *L, int error)
{
	struct rlimit limit = { 0 };

	getrlimit(RLIMIT_NOFILE, &limit);
	if (error == EMFILE)
		lua_pushfstring(L,
		    "out of descriptors: a process may have %I (ulimit -n), "
		    "and this one needs more",
		    (LUAI_UACINT)limit.rlim_cur);
	else if (error == ENETUNREACH || error == EADDRNOTAVAIL)
		lua_pushfstring(
		    L, "%s: the interface lo has to be up", strerror(error));
	else
		lua_pushstring(L, strerror(error));
}

/* Raise the error that belongs to an outcome other than LAB_MOVED. */
static int
raise_outcome(lua_State *L, struct lab_box *box, enum lab_outcome outcome,
    const char *what)
{
	luaL_where(L, 1);
	switch (outcome) {
	case LAB_INTERRUPTED:
		lua_pushliteral(L, "interrupted");
		break;
	case LAB_SCARCE:
		block_push_error(L, EMFILE);
		break;
	case LAB_DEADLINE:
		lua_pushliteral(
		    L, "the lab's deadline is over; who waits:\n  ");
		push_waiting(L, box, what);
		lua_concat(L, 2);
		break;
	default:
		lua_pushliteral(L,
		    "deadlock: nothing can happen any more; "
		    "who waits:\n  ");
		push_waiting(L, box, what);
		lua_concat(L, 2);
		break;
	}
	if (outcome != LAB_INTERRUPTED && outcome != LAB_SCARCE) {
		lua_pushliteral(L, "\n");
		tracelib_push_tail(L, box);
		lua_concat(L, 3);
	}
	lua_concat(L, 2);
	return lua_error(L);
}

void
block_check(lua_State *L, struct lab_box *box, enum lab_outcome outcome,
    const char *what)
{
	if (outcome != LAB_MOVED)
		raise_outcome(L, box, outcome, what);
}

/* --------------------------------------------------------------- running -- */

static bool
is_ready(const struct task *t)
{
	return t->state == TASK_WAITING &&
	    (t->ready == NULL || t->ready(t->arg));
}

/* Let a task run to its next wait or its end.  Raises its error here, in the
 * frame of the blocking call that runs the lab. */
static void
resume(lua_State *L, struct lab_box *box, struct task *t)
{
	lua_State *outer = running_thread;
	int n_results, status, n_args = t->n_args;

	t->n_args = 0;
	t->ready = NULL;
	t->what = "coroutine.yield";
	t->state = TASK_RUNNING;
	box->running = t;
	running_thread = t->co;
	status = lua_resume(t->co, L, n_args, &n_results);
	running_thread = outer;
	box->running = NULL;
	if (status == LUA_YIELD) {
		lua_pop(t->co, n_results);
		t->state = TASK_WAITING;
		return;
	}
	t->state = status == LUA_OK ? TASK_DONE : TASK_FAILED;
	if (t->state == TASK_FAILED) {
		lua_pushvalue(t->co, -1);
		lua_xmove(t->co, L, 1);
		lua_error(L);
	}
}

static struct task *
first_ready(struct lab_box *box)
{
	struct task *t = box->tasks;

	while (t != NULL && !is_ready(t))
		t = t->next;
	return t;
}

static void
run_until(lua_State *L, struct lab_box *box, block_ready_fn *ready, void *arg,
    const char *what)
{
	for (;;) {
		enum lab_outcome outcome = lab_settle(box->lab);
		struct task *t;

		if (outcome == LAB_MOVED && (t = first_ready(box)) != NULL) {
			luaL_checkstack(L, 8, "tasks");
			resume(L, box, t);
			if (box->lab == NULL)
				luaL_error(L, "%s: the lab was closed", what);
			continue;
		}
		if (outcome == LAB_MOVED && ready(arg))
			return;
		if (outcome == LAB_MOVED)
			outcome = lab_pass_time(box->lab);
		if (outcome != LAB_MOVED)
			raise_outcome(L, box, outcome, what);
	}
}

/* Where a lab stands still, to run it would show nothing else; only a task may
 * still have something to do. */
static bool
needs_no_run(const struct lab_box *box, block_ready_fn *ready, void *arg)
{
	return box->tasks == NULL && lab_is_still(box->lab) && ready(arg);
}

int
block(lua_State *L, struct lab_box *box, block_ready_fn *ready, void *arg,
    const char *what, lua_KFunction k)
{
	struct task *t = box->running;

	limit_note_progress();
	if (needs_no_run(box, ready, arg))
		return k(L, LUA_OK, 0);
	if (t == NULL || t->co != L || !lua_isyieldable(L)) {
		/* The main script, a coroutine of the user's own, or a callback
		 * that cannot yield: run the lab right here.  A task inside
		 * which it was called does not run meanwhile. */
		box->running = NULL;
		run_until(L, box, ready, arg, what);
		box->running = t;
		return k(L, LUA_OK, 0);
	}
	t->ready = ready;
	t->arg = arg;
	t->what = what;
	return lua_yieldk(L, 0, 0, k);
}

/* ------------------------------------------------------------------ tasks -- */

int
block_task(lua_State *L)
{
	struct lab_box *box = handle_check_lab(L, 1);
	struct task *t, **last;
	int n_args = lua_gettop(L) - 2;

	luaL_checktype(L, 2, LUA_TFUNCTION);
	t = lua_newuserdatauv(L, sizeof *t, 2);
	memset(t, 0, sizeof *t);
	luaL_setmetatable(L, TASK_CLASS);
	lua_pushvalue(L, 1);
	lua_setiuservalue(L, -2, 1);
	t->co = lua_newthread(L);
	lua_setiuservalue(L, -2, 2);
	t->box = box;
	t->what = "lab:task";
	t->n_args = n_args;
	/* The lab keeps its tasks alive. */
	lua_getiuservalue(L, 1, 1);
	lua_pushvalue(L, -2);
	lua_rawsetp(L, -2, t);
	lua_pop(L, 1);
	lua_insert(L, 2);
	lua_xmove(L, t->co, n_args + 1);
	for (last = &box->tasks; *last != NULL; last = &(*last)->next)
		continue;
	*last = t;
	return 1;
}

static struct task *
check_task(lua_State *L)
{
	struct task *t = luaL_checkudata(L, 1, TASK_CLASS);

	if (t->box == NULL)
		luaL_error(L, "the lab of this task is closed");
	return t;
}

static bool
task_ended(void *arg)
{
	const struct task *t = arg;

	return t->state == TASK_DONE || t->state == TASK_FAILED;
}

static int
task_results(lua_State *L, int status, lua_KContext ctx)
{
	struct task *t = check_task(L);
	int n = lua_gettop(t->co);

	if (t->state == TASK_FAILED) {
		lua_pushvalue(t->co, -1);
		lua_xmove(t->co, L, 1);
		return lua_error(L);
	}
	luaL_checkstack(L, n, "a task's results");
	for (int i = 1; i <= n; i++)
		lua_pushvalue(t->co, i);
	lua_xmove(t->co, L, n);
	return n;
}

static int
task_wait(lua_State *L)
{
	struct task *t = check_task(L);

	if (t->co == L)
		return luaL_error(L, "a task cannot wait for itself");
	return block(L, t->box, task_ended, t, "task:wait", task_results);
}

static int
task_tostring(lua_State *L)
{
	static const char *const words[] = { "waiting", "running", "done",
		"failed" };
	struct task *t = luaL_checkudata(L, 1, TASK_CLASS);

	if (t->state == TASK_WAITING && t->box != NULL)
		lua_pushfstring(L, "task (waiting in %s)", t->what);
	else
		lua_pushfstring(L, "task (%s)",
		    t->box == NULL ? "dropped" : words[t->state]);
	return 1;
}

void
block_drop_tasks(struct lab_box *box)
{
	struct task *t;

	while ((t = box->tasks) != NULL) {
		box->tasks = t->next;
		t->box = NULL;
	}
}

void
block_open(lua_State *L)
{
	static const luaL_Reg methods[] = { { "wait", task_wait },
		{ NULL, NULL } };
	static const luaL_Reg meta[] = { { "__tostring", task_tostring },
		{ NULL, NULL } };

	handle_class(L, TASK_CLASS, methods, meta, NULL);
}
