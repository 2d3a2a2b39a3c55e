/* verdictlib.c - lab:verdict(id): what became of a request. */
#include <stdio.h>
#include <string.h>

#include "harness/clock.h"
#include "harness/lab_backend.h"
#include "harness/lab_verdict.h"
#include "harness/sut.h"
#include "harness/turns.h"
#include "lua/actors.h"
#include "lua/block.h"
#include "lua/options.h"
#include "lua/verdicts.h"

#define VERDICT_CLASS "closerace.verdict"

/* With real time its connections are given that long to become idle; unless
 * nothing can happen any more, because every program is at rest and no timer
 * runs. */
#define SETTLE_MS 250

struct settling {
	struct lab *lab;
	int64_t until_ms;
};

static bool
all_idle(struct lab *lab)
{
	struct lab_backend *b;
	struct backend_conn c;

	for (unsigned n = 1; (b = lab_actor(lab, LAB_BACKEND, n)) != NULL; n++)
		for (unsigned i = 1; backend_conn(lab_backend_facts(b), i, &c);
		     i++)
			if (!c.closed && !c.idle && !c.ended)
				return false;
	return true;
}

/* Embedded, whoever asks stands in a quiet world already. */
static bool
is_settled(void *arg)
{
	const struct settling *s = arg;

	return !lab_is_real(s->lab) || all_idle(s->lab) ||
	    lab_now_ms(s->lab) >= s->until_ms;
}

static void
set_flag(lua_State *L, const char *name, bool value)
{
	lua_pushboolean(L, value);
	lua_setfield(L, -2, name);
}

static void
push_told(lua_State *L, const struct lab_verdict *v)
{
	lua_createtable(L, 0, 7);
	if (v->told.complete && v->status != 0) {
		lua_pushinteger(L, v->status);
		lua_setfield(L, -2, "status");
	}
	set_flag(L, "complete", v->told.complete);
	set_flag(L, "closed", v->told.closed);
	set_flag(L, "reset", v->told.reset);
	set_flag(L, "truncated", v->told.truncated);
	set_flag(L, "timeout", v->told.timeout);
	set_flag(L, "failed", v->told.failed);
}

static void
push_verdict(lua_State *L, const char *id, const struct lab_verdict *v)
{
	lua_createtable(L, 0, 14);
	lua_pushstring(L, verdict_word(v->name));
	lua_setfield(L, -2, "name");
	lua_pushstring(L, id);
	lua_setfield(L, -2, "id");
	lua_pushinteger(L, v->executed);
	lua_setfield(L, -2, "executed");
	lua_pushinteger(L, v->executed_max);
	lua_setfield(L, -2, "executed_max");
	lua_pushinteger(L, v->attempts);
	lua_setfield(L, -2, "attempts");
	lua_pushinteger(L, v->connections);
	lua_setfield(L, -2, "connections");
	lua_pushinteger(L, v->altered);
	lua_setfield(L, -2, "altered");
	set_flag(L, "unseen", v->unseen);
	set_flag(L, "reached", v->reached);
	lua_pushstring(L, verdict_order_word(v->order));
	lua_setfield(L, -2, "order");
	lua_pushinteger(L, exchange_ms(v->exchange));
	lua_setfield(L, -2, "ms");
	if (v->mark != 0) {
		lua_pushinteger(L, (lua_Integer)v->mark);
		lua_setfield(L, -2, "mark");
	}
	push_told(L, v);
	lua_setfield(L, -2, "told");
	luaL_setmetatable(L, VERDICT_CLASS);
}

static int
judged(lua_State *L, int status, lua_KContext ctx)
{
	struct lab_box *box = handle_check_lab(L, 1);
	const char *id = luaL_checkstring(L, 2);
	struct lab_verdict v;

	if (!lab_verdict(box->lab, id, &v))
		return luaL_error(
		    L, "lab:verdict: no request has the id '%s'", id);
	if (!v.told.done)
		return luaL_error(L,
		    "lab:verdict: the request '%s' is still under way; wait "
		    "for it first",
		    id);
	push_verdict(L, id, &v);
	if (lab_is_private(box->lab))
		return 1;
	lua_getiuservalue(L, 1, 1);
	lua_insert(L, -2);
	verdicts_record(L, -2, id);
	return 1;
}

/* How long to wait, at most, with real time. */
static int
settle_ms(lua_State *L, struct lab_box *box)
{
	bool rests = false;

	if (lab_actor(box->lab, LAB_SUT, 1) != NULL && box->running == NULL)
		block_check(L, box, turns_rest(box->lab, SETTLE_MS, &rests),
		    "lab:verdict");
	return rests && clock_next_ms(lab_clock(box->lab)) < 0 ? 0 : SETTLE_MS;
}

/* lab:verdict(id [, { wait = true }]) */
int
verdictlib_verdict(lua_State *L)
{
	static const char *const names[] = { "wait", NULL };
	struct lab_box *box = handle_check_lab(L, 1);
	struct settling *s;
	bool wait;
	int ms = 0;

	luaL_checkstring(L, 2);
	options_check(L, 3, "lab:verdict", names);
	wait = options_boolean(L, 3, "lab:verdict", "wait", true);
	lua_settop(L, 2);
	if (!wait)
		return judged(L, LUA_OK, 0);
	s = lua_newuserdatauv(L, sizeof *s, 0);
	if (lab_is_real(box->lab))
		ms = settle_ms(L, box);
	*s = (struct settling){ box->lab, lab_now_ms(box->lab) + ms };
	if (ms > 0)
		lab_wake_at(box->lab, s->until_ms);
	return block(L, box, is_settled, s, "lab:verdict", judged);
}

/* "refused (executed 0, attempts 1)", "unknown (executed 1 to 2, attempts 2)" */
static int
verdict_tostring(lua_State *L)
{
	char executed[32];
	int least, most;

	lua_getfield(L, 1, "name");
	lua_getfield(L, 1, "executed");
	lua_getfield(L, 1, "executed_max");
	lua_getfield(L, 1, "attempts");
	least = (int)lua_tointeger(L, -3);
	most = (int)lua_tointeger(L, -2);
	snprintf(executed, sizeof executed, most > least ? "%d to %d" : "%d",
	    least, most);
	lua_pushfstring(L, "%s (executed %s, attempts %d)", lua_tostring(L, -4),
	    executed, (int)lua_tointeger(L, -1));
	return 1;
}

void
verdictlib_open(lua_State *L)
{
	luaL_newmetatable(L, VERDICT_CLASS);
	lua_pushcfunction(L, verdict_tostring);
	lua_setfield(L, -2, "__tostring");
	lua_pop(L, 1);
}
