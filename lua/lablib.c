/* lablib.c - see lablib.h. */
#include "lua/lablib.h"

#include <stdio.h>
#include <string.h>

#include "harness/lab_backend.h"
#include "harness/lab_proxy.h"
#include "harness/sut.h"
#include "harness/turns.h"
#include "lua/actors.h"
#include "lua/block.h"
#include "lua/limit.h"
#include "lua/options.h"
#include "lua/tracelib.h"

#define DEADLINE_MS 30000
#define REST_MS	    1000

/* ------------------------------------------------------------- left open -- */

/* Every lab that there is, as keys that do not keep it; and the places of those
 * that were open when they were collected. */
#define ALL_LABS  "closerace.labs"
#define LOST_LABS "closerace.lost_labs"

/* Remember a new lab, which stands on the top of the stack. */
static void
note_place(lua_State *L, struct lab_box *box)
{
	luaL_where(L, 1);
	snprintf(box->place, sizeof box->place, "%s", lua_tostring(L, -1));
	lua_pop(L, 1);
	if (luaL_getsubtable(L, LUA_REGISTRYINDEX, ALL_LABS) == 0) {
		lua_createtable(L, 0, 1);
		lua_pushliteral(L, "k");
		lua_setfield(L, -2, "__mode");
		lua_setmetatable(L, -2);
	}
	lua_pushvalue(L, -2);
	lua_pushboolean(L, true);
	lua_rawset(L, -3);
	lua_pop(L, 1);
}

static void
note_lost(lua_State *L, const struct lab_box *box)
{
	luaL_getsubtable(L, LUA_REGISTRYINDEX, LOST_LABS);
	lua_pushstring(L, box->place);
	lua_rawseti(L, -2, luaL_len(L, -2) + 1);
	lua_pop(L, 1);
}

/* Append { place =, lab = } to the list at index list; the lab stands on the
 * top of the stack, nil where it is closed by now, and is popped. */
static void
append_left(lua_State *L, int list, const char *place)
{
	lua_createtable(L, 0, 2);
	lua_insert(L, -2);
	lua_setfield(L, -2, "lab");
	lua_pushstring(L, place);
	lua_setfield(L, -2, "place");
	lua_rawseti(L, list, luaL_len(L, list) + 1);
}

/* core.left_open(): the labs that nobody has closed, as a list of { place =,
 * lab = (nil: it was garbage, and is closed by now) }; garbage is told once */
int
lablib_left_open(lua_State *L)
{
	lua_settop(L, 0);
	lua_newtable(L);
	luaL_getsubtable(L, LUA_REGISTRYINDEX, LOST_LABS);
	for (lua_Integer i = 1; lua_rawgeti(L, 2, i) != LUA_TNIL; i++) {
		lua_pushnil(L);
		append_left(L, 1, lua_tostring(L, -2));
		lua_pop(L, 1);
	}
	lua_pushnil(L);
	lua_setfield(L, LUA_REGISTRYINDEX, LOST_LABS);
	lua_settop(L, 1);
	luaL_getsubtable(L, LUA_REGISTRYINDEX, ALL_LABS);
	for (lua_pushnil(L); lua_next(L, 2) != 0; lua_pop(L, 1)) {
		struct lab_box *box = luaL_checkudata(L, -2, LAB_CLASS);

		if (box->lab == NULL || lab_is_private(box->lab))
			continue;
		lua_pushvalue(L, -2);
		append_left(L, 1, box->place);
	}
	lua_settop(L, 1);
	return 1;
}

int
lablib_new(lua_State *L)
{
	static const char *const names[] = { "deadline_ms", "real_time",
		"timeline", "private", NULL };
	struct lab_box *box;
	long deadline_ms;
	bool real_time, timeline, private;

	options_check(L, 1, "race.lab", names);
	deadline_ms = options_integer(
	    L, 1, "race.lab", "deadline_ms", DEADLINE_MS, 1, 86400000);
	real_time = options_boolean(L, 1, "race.lab", "real_time", false);
	timeline = options_boolean(L, 1, "race.lab", "timeline", true);
	private = options_boolean(L, 1, "race.lab", "private", false);
	box = lua_newuserdatauv(L, sizeof *box, 1);
	memset(box, 0, sizeof *box);
	lua_newtable(L);
	lua_setiuservalue(L, -2, 1);
	luaL_setmetatable(L, LAB_CLASS);
	limit_note_progress();
	note_place(L, box);
	box->lab = lab_new((int)deadline_ms);
	if (box->lab == NULL)
		return luaL_error(L,
		    "race.lab: out of memory, or out of descriptors "
		    "(ulimit -n)");
	if (real_time)
		lab_go_real(box->lab);
	if (!timeline)
		lab_keep_no_trace(box->lab);
	if (private)
		lab_make_private(box->lab);
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
		const struct backend *backend = lab_backend_facts(b);

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

/* The same about a program that ended by itself. */
static void
push_failed_sut(lua_State *L, struct lab_box *box)
{
	struct sut *s;
	size_t size;

	for (unsigned n = 1; (s = lab_actor(box->lab, LAB_SUT, n)) != NULL; n++)
		if (sut_has_failed(s)) {
			lua_pushfstring(L,
			    "sut %d ended by itself (sut:wait_exit() where it "
			    "should); it said:\n%s",
			    (int)n, sut_output(s, &size));
			return;
		}
	lua_pushnil(L);
}

/* The same about who is held by one of our proxies. */
static void
push_held(lua_State *L, struct lab_box *box)
{
	struct lab_proxy *p;

	for (unsigned n = 1; (p = lab_actor(box->lab, LAB_PROXY, n)) != NULL;
	     n++) {
		const struct gate *gate = lab_proxy_gate(p);

		if (gate->n_held == 0)
			continue;
		lua_pushfstring(L,
		    "proxy %d still holds the request '%s' at %s: nobody "
		    "released it (proxy:release)",
		    (int)n, gate->held[0].id, gate->held[0].checkpoint);
		return;
	}
	lua_pushnil(L);
}

/* Pushes what a lab that closes has to complain of, or nil.  The first may be
 * why the others are there. */
static void
push_complaint(lua_State *L, struct lab_box *box)
{
	push_failed_sut(L, box);
	if (lua_isnil(L, -1) && !lab_is_private(box->lab))
		push_held(L, box);
	if (lua_isnil(L, -1))
		push_unfired(L, box);
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
 * otherwise a complaint is one. */
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
		tracelib_keep_tail(L, box);
	}
	push_complaint(L, box);
	close_box(box);
	if (failed || lua_isnil(L, -1))
		return 0;
	luaL_where(L, 1);
	lua_insert(L, -2);
	lua_concat(L, 2);
	return lua_error(L);
}

/* lab:reset(): the same actors, and nothing has happened yet */
static int
lab_reset_method(lua_State *L)
{
	struct lab_box *box = handle_check_lab(L, 1);

	if (box->running != NULL)
		return luaL_error(L, "a task cannot reset its own lab");
	block_drop_tasks(box);
	lua_newtable(L); /* it kept the tasks, and the verdicts' places */
	lua_setiuservalue(L, 1, 1);
	box->n_resets++;
	turns_reset(box->lab);
	return 0;
}

static int
lab_gc(lua_State *L)
{
	struct lab_box *box = luaL_checkudata(L, 1, LAB_CLASS);

	if (box->lab == NULL)
		return 0;
	if (!lab_is_private(box->lab))
		note_lost(L, box);
	close_box(box);
	return 0;
}

/* lab:rest([ms]): true when every program under test is at rest */
static int
lab_rest(lua_State *L)
{
	struct lab_box *box = handle_check_lab(L, 1);
	lua_Integer ms = luaL_optinteger(L, 2, REST_MS);
	bool rests;

	luaL_argcheck(L, ms >= 1 && ms <= 86400000, 2,
	    "expected milliseconds from 1 to 86400000");
	if (box->running != NULL)
		return luaL_error(L, "lab:rest: not in a task");
	block_check(L, box, turns_rest(box->lab, (int)ms, &rests), "lab:rest");
	lua_pushboolean(L, rests);
	return 1;
}

/* lab:turn(f): call it while no program under test runs: they meet all that it
 * does at once, in that order */
static int
lab_turn(lua_State *L)
{
	struct lab_box *box = handle_check_lab(L, 1);
	struct turn turn;
	int code;

	luaL_checktype(L, 2, LUA_TFUNCTION);
	lua_settop(L, 2);
	turns_begin(box->lab, &turn);
	code = lua_pcall(L, 0, 0, 0);
	/* f may have closed the lab: then nobody is left to go on. */
	if (turn.by_rank || box->lab != NULL)
		turns_end(box->lab, &turn);
	return code == LUA_OK ? 0 : lua_error(L);
}

/* lab:doze(ms): until a program under test does something, or a timer of the lab
 * is due; for how long nobody did anything */
static int
lab_doze(lua_State *L)
{
	struct lab_box *box = handle_check_lab(L, 1);
	lua_Integer ms = luaL_checkinteger(L, 2);
	int dozed_ms = 0;

	luaL_argcheck(L, ms >= 1 && ms <= 86400000, 2,
	    "expected milliseconds from 1 to 86400000");
	block_check(
	    L, box, turns_doze(box->lab, (int)ms, &dozed_ms), "lab:doze");
	lua_pushinteger(L, dozed_ms);
	return 1;
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
		{ "trace", tracelib_trace }, { "deadline", lab_deadline },
		{ "advance", lab_advance }, { "now", lab_now },
		{ "task", block_task }, { "reset", lab_reset_method },
		{ "rest", lab_rest }, { "turn", lab_turn },
		{ "doze", lab_doze }, { "close", lab_close }, { NULL, NULL } };
	static const luaL_Reg meta[] = { { "__close", lab_close },
		{ "__gc", lab_gc }, { "__tostring", lab_tostring },
		{ NULL, NULL } };

	handle_class(L, LAB_CLASS, methods, meta, NULL);
}
