/* lablib.c - see lablib.h. */
#include "lua/lablib.h"

#include <stdio.h>
#include <string.h>

#include "harness/lab_backend.h"
#include "harness/trace.h"
#include "lua/actors.h"
#include "lua/block.h"
#include "lua/options.h"

#define DEADLINE_MS 30000
#define TAIL	    40
#define LAST_TAIL   "closerace.last_tail"

int
lablib_new(lua_State *L)
{
	static const char *const names[] = { "deadline_ms", "real_time", NULL };
	struct lab_box *box;
	long deadline_ms;
	bool real_time;

	options_check(L, 1, "race.lab", names);
	deadline_ms = options_integer(
	    L, 1, "race.lab", "deadline_ms", DEADLINE_MS, 1, 86400000);
	real_time = options_boolean(L, 1, "race.lab", "real_time", false);
	box = lua_newuserdatauv(L, sizeof *box, 1);
	memset(box, 0, sizeof *box);
	lua_newtable(L);
	lua_setiuservalue(L, -2, 1);
	luaL_setmetatable(L, LAB_CLASS);
	box->lab = lab_new((int)deadline_ms);
	if (box->lab == NULL)
		return luaL_error(L, "race.lab: out of memory or descriptors");
	if (real_time)
		lab_go_real(box->lab);
	return 1;
}

/* -------------------------------------------------------------- timeline -- */

void
lablib_push_tail(lua_State *L, struct lab_box *box)
{
	struct trace *t = lab_trace(box->lab);
	size_t n = trace_n(t), i = n > TAIL ? n - TAIL : 0;
	char line[256];
	luaL_Buffer b;

	luaL_buffinit(L, &b);
	luaL_addstring(&b, "last events:");
	for (; i < n; i++) {
		trace_line(trace_entry(t, i), line, sizeof line);
		luaL_addstring(&b, "\n  ");
		luaL_addstring(&b, line);
	}
	luaL_pushresult(&b);
}

int
lablib_last_tail(lua_State *L)
{
	lua_getfield(L, LUA_REGISTRYINDEX, LAST_TAIL);
	lua_pushnil(L);
	lua_setfield(L, LUA_REGISTRYINDEX, LAST_TAIL);
	return 1;
}

static int
trace_tostring(lua_State *L)
{
	lua_getfield(L, 1, "text");
	return 1;
}

static void
push_entry(lua_State *L, const struct trace_entry *e)
{
	lua_createtable(L, 0, 7);
	lua_pushinteger(L, (lua_Integer)e->seq);
	lua_setfield(L, -2, "seq");
	lua_pushinteger(L, e->time_ms);
	lua_setfield(L, -2, "time_ms");
	lua_pushstring(L, e->who);
	lua_setfield(L, -2, "who");
	lua_pushinteger(L, (lua_Integer)e->n);
	lua_setfield(L, -2, "n");
	lua_pushstring(L, e->what);
	lua_setfield(L, -2, "what");
	lua_pushinteger(L, (lua_Integer)e->size);
	lua_setfield(L, -2, "bytes");
	lua_pushstring(L, e->text);
	lua_setfield(L, -2, "text");
}

/* lab:trace(): an array of entries that prints itself */
static int
lab_trace_method(lua_State *L)
{
	struct lab_box *box = handle_check_lab(L, 1);
	struct trace *t = lab_trace(box->lab);
	size_t n = trace_n(t);
	luaL_Buffer b;

	lua_createtable(L, (int)n, 1);
	for (size_t i = 0; i < n; i++) {
		push_entry(L, trace_entry(t, i));
		lua_rawseti(L, -2, (lua_Integer)i + 1);
	}
	luaL_buffinit(L, &b);
	for (size_t i = 0; i < n; i++) {
		char *line = luaL_prepbuffsize(&b, 256);

		trace_line(trace_entry(t, i), line, 255);
		luaL_addsize(&b, strlen(line));
		if (i + 1 < n)
			luaL_addchar(&b, '\n');
	}
	luaL_pushresult(&b);
	lua_setfield(L, -2, "text");
	luaL_setmetatable(L, "closerace.trace");
	return 1;
}

/* ----------------------------------------------------------------- close -- */

/* Pushes a sentence about a fault that was to fire and did not, or nil. */
static void
push_unfired(lua_State *L, struct lab_box *box)
{
	struct lab_backend *b;

	for (unsigned n = 1; (b = lab_actor(box->lab, LAB_BACKEND, n)) != NULL;
	     n++) {
		const struct backend *backend = lab_backend_backend(b);

		for (size_t i = 0; i < backend_n_faults(backend); i++) {
			const struct fault *f = backend_fault(backend, i);

			if (f->optional || f->n_fired > 0)
				continue;
			lua_pushfstring(L,
			    "fault %d of backend %d never fired (on = \"%s\", "
			    "close = \"%s\"); say optional = true where it "
			    "need not",
			    (int)i + 1, (int)n, fault_point_name(f->on),
			    fault_ending_name(f->close));
			return;
		}
	}
	lua_pushnil(L);
}

static void
close_box(struct lab_box *box)
{
	struct lab *lab = box->lab;

	block_drop_tasks(box);
	box->lab = NULL;
	lab_free(lab);
}

/* lab:close(), and the end of its scope.  An error in flight is let through;
 * otherwise a fault that never fired is one. */
static int
lab_close(lua_State *L)
{
	struct lab_box *box = luaL_checkudata(L, 1, LAB_CLASS);
	bool failed = lua_gettop(L) > 1 && !lua_isnil(L, 2);

	if (box->lab == NULL)
		return 0;
	if (box->running != NULL)
		return luaL_error(L, "a task cannot close its own lab");
	if (failed) {
		lablib_push_tail(L, box);
		lua_setfield(L, LUA_REGISTRYINDEX, LAST_TAIL);
	}
	push_unfired(L, box);
	close_box(box);
	if (failed || lua_isnil(L, -1))
		return 0;
	luaL_where(L, 1);
	lua_insert(L, -2);
	lua_concat(L, 2);
	return lua_error(L);
}

static int
lab_gc(lua_State *L)
{
	struct lab_box *box = luaL_checkudata(L, 1, LAB_CLASS);

	if (box->lab != NULL)
		close_box(box);
	return 0;
}

/* ------------------------------------------------------------------ time -- */

static int
lab_deadline(lua_State *L)
{
	struct lab_box *box = handle_check_lab(L, 1);
	lua_Integer ms = luaL_checkinteger(L, 2);

	luaL_argcheck(L, ms >= 1 && ms <= 86400000, 2,
	    "expected milliseconds from 1 to 86400000");
	lab_set_deadline(box->lab, (int)ms);
	return 0;
}

/* Until when lab:advance() waits. */
struct moment {
	struct lab *lab;
	int64_t ms;
};

static bool
is_over(void *arg)
{
	const struct moment *m = arg;

	return lab_has_passed(m->lab, m->ms);
}

static int
return_nothing(lua_State *L, int status, lua_KContext ctx)
{
	return 0;
}

/* lab:advance(ms) */
static int
lab_advance(lua_State *L)
{
	struct lab_box *box = handle_check_lab(L, 1);
	lua_Integer ms = luaL_checkinteger(L, 2);
	struct moment *m;

	luaL_argcheck(L, ms >= 0 && ms <= 1000000000000, 2,
	    "expected milliseconds, not negative");
	m = lua_newuserdatauv(L, sizeof *m, 0);
	*m = (struct moment){ box->lab, lab_now_ms(box->lab) + ms };
	lab_wake_at(box->lab, m->ms);
	return block(L, box, is_over, m, "lab:advance", return_nothing);
}

static int
lab_now(lua_State *L)
{
	lua_pushinteger(L, lab_now_ms(handle_check_lab(L, 1)->lab));
	return 1;
}

/* ----------------------------------------------------------------- class -- */

static int
lab_tostring(lua_State *L)
{
	struct lab_box *box = luaL_checkudata(L, 1, LAB_CLASS);

	if (box->lab == NULL)
		lua_pushliteral(L, "lab (closed)");
	else
		lua_pushfstring(L, "lab (%s time, %I ms)",
		    lab_is_real(box->lab) ? "real" : "virtual",
		    (LUAI_UACINT)lab_now_ms(box->lab));
	return 1;
}

void
lablib_open(lua_State *L)
{
	static const luaL_Reg methods[] = { { "backend", backendlib_new },
		{ "proxy", proxylib_new }, { "client", clientlib_new },
		{ "sut", sutlib_new }, { "verdict", verdictlib_verdict },
		{ "trace", lab_trace_method }, { "deadline", lab_deadline },
		{ "advance", lab_advance }, { "now", lab_now },
		{ "task", block_task }, { "close", lab_close },
		{ NULL, NULL } };
	static const luaL_Reg meta[] = { { "__close", lab_close },
		{ "__gc", lab_gc }, { "__tostring", lab_tostring },
		{ NULL, NULL } };

	handle_class(L, LAB_CLASS, methods, meta, NULL);
	luaL_newmetatable(L, "closerace.trace");
	lua_pushcfunction(L, trace_tostring);
	lua_setfield(L, -2, "__tostring");
	lua_pop(L, 1);
}
