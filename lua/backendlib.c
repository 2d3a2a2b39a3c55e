/* backendlib.c - lab:backend {…}: the origin server of a lab. */
#include <arpa/inet.h>
#include <stdio.h>
#include <string.h>

#include "harness/lab_backend.h"
#include "lua/actors.h"
#include "lua/handle.h"
#include "lua/options.h"

#define MAX_NAMES 32

/* Raise where the kernel will refuse an ending. */
static void
check_possible(
    lua_State *L, const char *call, const char *name, enum ending ending)
{
	if (ending == ENDING_VANISH && backend_cannot_vanish() != NULL)
		luaL_error(L, "%s: %s: 'vanish' is not possible here: %s", call,
		    name, backend_cannot_vanish());
}

/* A fault, from the table at index. */
static void
read_fault(lua_State *L, int index, const char *call, struct fault *f)
{
	char error[256];

	index = lua_absindex(L, index);
	options_check(L, index, call, fault_keys());
	fault_init(f);
	lua_pushnil(L);
	while (lua_next(L, index) != 0) {
		const char *key = lua_tostring(L, -2);
		size_t size;
		bool is_say = strcmp(key, "say") == 0;
		const char *value =
		    options_text(L, -1, call, key, is_say ? &size : NULL);

		if (!is_say)
			size = strlen(value);
		if (fault_set(f, key, value, size, error, sizeof error) != 0)
			luaL_error(L, "%s: %s", call, error);
		lua_pop(L, 2);
	}
	if (fault_check(f, error, sizeof error) != 0)
		luaL_error(L, "%s: %s", call, error);
	check_possible(L, call, "close", f->close);
}

static void
add_fault(lua_State *L, struct backend *b, const struct fault *f)
{
	if (backend_add_fault(b, f) < 0)
		luaL_error(L, "out of memory");
}

static void
add_faults(lua_State *L, int index, struct backend *b)
{
	lua_Integer n;

	if (lua_getfield(L, index, "faults") == LUA_TNIL) {
		lua_pop(L, 1);
		return;
	}
	n = options_list(L, -1, "lab:backend", "faults", "faults");
	for (lua_Integer i = 1; i <= n; i++) {
		char call[64];
		struct fault f;

		snprintf(call, sizeof call, "lab:backend: faults[%d]", (int)i);
		lua_geti(L, -1, i);
		read_fault(L, -1, call, &f);
		add_fault(L, b, &f);
		lua_pop(L, 1);
	}
	lua_pop(L, 1);
}

static void
read_options(lua_State *L, int index, struct backend_options *o)
{
	const char *names[MAX_NAMES] = { "faults", "name" };
	const char *help;
	char value[64], allowed[128], error[256];
	size_t n = 0;

	while (n + 3 < MAX_NAMES &&
	    backend_options_describe(n, &names[n + 2], &help, value, allowed) ==
		0)
		n++;
	names[n + 2] = NULL;
	options_check(L, index, "lab:backend", names);
	backend_options_init(o);
	for (size_t i = 2; i < n + 2 && lua_istable(L, index); i++) {
		if (lua_getfield(L, index, names[i]) != LUA_TNIL) {
			const char *text =
			    options_text(L, -1, "lab:backend", names[i], NULL);

			if (backend_options_set(
				o, names[i], text, error, sizeof error) != 0)
				luaL_error(L, "lab:backend: %s", error);
			lua_pop(L, 1);
		}
		lua_pop(L, 1);
	}
	check_possible(
	    L, "lab:backend", "keep_alive_close", o->keep_alive_close);
}

/* What the timeline calls it; NULL: by its number. */
static const char *
read_name(lua_State *L, int index)
{
	const char *name =
	    options_string(L, index, "lab:backend", "name", NULL);
	size_t n = 0;

	if (name == NULL)
		return NULL;
	while (name[n] >= ' ' && name[n] <= '~')
		n++;
	if (n == 0 || n > LAB_BACKEND_NAME || name[n] != '\0')
		luaL_error(L,
		    "lab:backend: name: expected 1 to %d printable characters, "
		    "got '%s'",
		    LAB_BACKEND_NAME, name);
	return name;
}

int
backendlib_new(lua_State *L)
{
	struct lab_box *box = handle_check_lab(L, 1);
	struct backend_options options;
	struct lab_backend *b;
	const char *name;
	char error[256];

	read_options(L, 2, &options);
	name = read_name(L, 2);
	b = lab_backend_new(box->lab, &options, error, sizeof error);
	if (b == NULL)
		return luaL_error(L, "lab:backend: %s", error);
	if (name != NULL)
		lab_backend_set_name(b, name);
	if (lua_istable(L, 2))
		add_faults(L, 2, lab_backend_backend(b));
	handle_push(L, 1, BACKEND_CLASS, b, 0);
	return 1;
}

/* backend:fault { … } */
static int
backend_add(lua_State *L)
{
	struct lab_backend *b = handle_actor(L, 1, BACKEND_CLASS);
	struct fault f;

	luaL_checktype(L, 2, LUA_TTABLE);
	read_fault(L, 2, "backend:fault", &f);
	add_fault(L, lab_backend_backend(b), &f);
	return 0;
}

/* backend:clear_faults(): nothing fires any more, nor was to */
static int
backend_clear(lua_State *L)
{
	struct lab_backend *b = handle_actor(L, 1, BACKEND_CLASS);

	backend_clear_faults(lab_backend_backend(b));
	return 0;
}

/* backend:hold(): who connects waits in the kernel */
static int
backend_hold_method(lua_State *L)
{
	struct lab_backend *b = handle_actor(L, 1, BACKEND_CLASS);

	backend_hold_accepting(lab_backend_backend(b));
	return 0;
}

/* backend:accept(): how many waited and are accepted now */
static int
backend_accept_method(lua_State *L)
{
	struct lab_backend *b = handle_actor(L, 1, BACKEND_CLASS);

	if (!backend_holds_accepting(lab_backend_facts(b)))
		return luaL_error(L,
		    "backend:accept: accepting is not held; call "
		    "backend:hold() first");
	lua_pushinteger(L, backend_accept_waiting(lab_backend_backend(b)));
	return 1;
}

/* backend:release(): accept as they come */
static int
backend_release_method(lua_State *L)
{
	struct lab_backend *b = handle_actor(L, 1, BACKEND_CLASS);

	backend_release_accepting(lab_backend_backend(b));
	return 0;
}

static void
set_integer(lua_State *L, const char *name, lua_Integer value)
{
	lua_pushinteger(L, value);
	lua_setfield(L, -2, name);
}

static void
set_boolean(lua_State *L, const char *name, bool value)
{
	lua_pushboolean(L, value);
	lua_setfield(L, -2, name);
}

static void
set_string(lua_State *L, const char *name, const char *value)
{
	lua_pushstring(L, value);
	lua_setfield(L, -2, name);
}

static void
push_attempt(lua_State *L, const struct ledger_attempt *a)
{
	lua_createtable(L, 0, 25);
	set_string(L, "id", a->id);
	set_string(L, "method", a->method);
	set_string(L, "path", a->path);
	set_integer(L, "conn", a->conn);
	set_integer(L, "request", a->request);
	set_integer(L, "unread", (lua_Integer)a->unread);
	set_integer(L, "read", (lua_Integer)a->read);
	set_integer(L, "head", (lua_Integer)a->head);
	set_boolean(L, "whole", a->whole);
	set_boolean(L, "after_end", a->after_end);
	set_boolean(L, "unseen", a->unseen);
	set_integer(L, "executed", a->executed);
	set_integer(L, "executed_max", a->executed_max);
	if (a->content_known)
		set_integer(L, "content", (lua_Integer)a->content_size);
	set_integer(L, "answered", (lua_Integer)a->answered);
	set_boolean(L, "answered_whole", a->answered_whole);
	set_integer(L, "response_head", (lua_Integer)a->response_head);
	set_boolean(L, "until_close", a->until_close);
	set_integer(L, "mark", (lua_Integer)a->mark);
	if (a->server_ending != N_ENDINGS) {
		set_string(
		    L, "server_close", fault_ending_name(a->server_ending));
		set_integer(L, "server_idle_ms", a->server_idle_ms);
	}
	set_boolean(L, "ended", a->ended);
	if (!a->ended)
		return;
	set_string(L, "ended_on", fault_point_name(a->ended_on));
	set_string(L, "ending", fault_ending_name(a->ending));
	set_boolean(L, "by_hand", a->by_hand);
}

/* backend:ledger([id]): attempts in the order in which they came; .executed
 * is how often the request ran, over all of them, at least, and .executed_max
 * how often at most. */
static int
backend_books(lua_State *L)
{
	struct lab_backend *b = handle_actor(L, 1, BACKEND_CLASS);
	const struct ledger *books = backend_ledger(lab_backend_facts(b));
	const char *id = luaL_optstring(L, 2, NULL);
	lua_Integer n = 0, executed = 0, executed_max = 0;

	lua_newtable(L);
	for (size_t i = 0; i < ledger_n_attempts(books); i++) {
		const struct ledger_attempt *a = ledger_attempt(books, i);

		if (id != NULL && strcmp(a->id, id) != 0)
			continue;
		push_attempt(L, a);
		lua_rawseti(L, -2, ++n);
		executed += a->executed;
		executed_max += a->executed_max;
	}
	set_integer(L, "executed", executed);
	set_integer(L, "executed_max", executed_max);
	return 1;
}

static int
backend_field(lua_State *L)
{
	struct lab_backend *b = handle_actor(L, 1, BACKEND_CLASS);
	const char *key = luaL_checkstring(L, 2);
	const struct sockaddr_in *a = lab_backend_address(b);

	if (strcmp(key, "address") == 0)
		lua_pushfstring(L, "127.0.0.1:%d", (int)ntohs(a->sin_port));
	else if (strcmp(key, "port") == 0)
		lua_pushinteger(L, ntohs(a->sin_port));
	else if (strcmp(key, "n_conns") == 0)
		lua_pushinteger(L, backend_n_conns(lab_backend_facts(b)));
	else
		lua_pushnil(L);
	return 1;
}

static int
backend_tostring(lua_State *L)
{
	struct handle *h = luaL_checkudata(L, 1, BACKEND_CLASS);

	if (h->box->lab == NULL) {
		lua_pushliteral(L, "backend (closed)");
		return 1;
	}
	lua_pushfstring(L, "backend %d (127.0.0.1:%d, %d connections)",
	    (int)lab_backend_number(h->actor),
	    (int)ntohs(lab_backend_address(h->actor)->sin_port),
	    (int)backend_n_conns(lab_backend_facts(h->actor)));
	return 1;
}

void
backendlib_open(lua_State *L)
{
	static const luaL_Reg methods[] = { { "conn", connlib_conn },
		{ "fault", backend_add }, { "clear_faults", backend_clear },
		{ "hold", backend_hold_method },
		{ "accept", backend_accept_method },
		{ "release", backend_release_method },
		{ "ledger", backend_books }, { NULL, NULL } };
	static const luaL_Reg meta[] = { { "__tostring", backend_tostring },
		{ NULL, NULL } };

	handle_class(L, BACKEND_CLASS, methods, meta, backend_field);
}
