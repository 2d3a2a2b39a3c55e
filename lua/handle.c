/* handle.c - see handle.h. */
#include "lua/handle.h"

#include <string.h>

#include "backend/endpoint.h"
#include "harness/lab_backend.h"
#include "harness/lab_proxy.h"
#include "harness/sut.h"

/* upvalues: methods, field function (or nil) */
static int
index_object(lua_State *L)
{
	lua_pushvalue(L, 2);
	if (lua_rawget(L, lua_upvalueindex(1)) != LUA_TNIL)
		return 1;
	if (lua_isnil(L, lua_upvalueindex(2)))
		return 1;
	lua_pushvalue(L, lua_upvalueindex(2));
	lua_pushvalue(L, 1);
	lua_pushvalue(L, 2);
	lua_call(L, 2, 1);
	return 1;
}

void
handle_class(lua_State *L, const char *name, const luaL_Reg *methods,
    const luaL_Reg *metamethods, lua_CFunction field)
{
	luaL_newmetatable(L, name);
	luaL_setfuncs(L, metamethods, 0);
	lua_newtable(L);
	luaL_setfuncs(L, methods, 0);
	if (field != NULL)
		lua_pushcfunction(L, field);
	else
		lua_pushnil(L);
	lua_pushcclosure(L, index_object, 2);
	lua_setfield(L, -2, "__index");
	lua_pop(L, 1);
}

static struct lab_box *
box_of(lua_State *L, int index)
{
	struct lab_box *box = luaL_testudata(L, index, LAB_CLASS);

	return box != NULL ? box
			   : ((struct handle *)lua_touserdata(L, index))->box;
}

struct handle *
handle_push(lua_State *L, int lab_index, const char *class, void *actor,
    unsigned long n)
{
	struct handle *h;

	lab_index = lua_absindex(L, lab_index);
	h = lua_newuserdatauv(L, sizeof *h, 1);
	*h = (struct handle){
		.box = box_of(L, lab_index), .actor = actor, .n = n
	};
	if (luaL_testudata(L, lab_index, LAB_CLASS) != NULL)
		lua_pushvalue(L, lab_index);
	else
		lua_getiuservalue(L, lab_index, 1);
	lua_setiuservalue(L, -2, 1);
	luaL_setmetatable(L, class);
	return h;
}

struct handle *
handle_push_passing(lua_State *L, int lab_index, const char *class, void *actor,
    unsigned long n)
{
	struct handle *h = handle_push(L, lab_index, class, actor, n);

	h->passing = true;
	h->n_resets = h->box->n_resets;
	return h;
}

bool
handle_is_good(const struct handle *h)
{
	return h->box->lab != NULL &&
	    (!h->passing || h->n_resets == h->box->n_resets);
}

struct handle *
handle_check(lua_State *L, int index, const char *class)
{
	struct handle *h = luaL_checkudata(L, index, class);

	if (h->box->lab == NULL)
		luaL_error(
		    L, "the lab of this %s is closed", strchr(class, '.') + 1);
	if (!handle_is_good(h))
		luaL_error(L, "this %s is gone: the lab was reset",
		    strchr(class, '.') + 1);
	return h;
}

void *
handle_actor(lua_State *L, int index, const char *class)
{
	return handle_check(L, index, class)->actor;
}

struct lab_box *
handle_check_lab(lua_State *L, int index)
{
	struct lab_box *box = luaL_checkudata(L, index, LAB_CLASS);

	if (box->lab == NULL)
		luaL_error(L, "the lab is closed");
	return box;
}

static const struct sockaddr_in *
listening_sut(lua_State *L, int index, const char *option)
{
	const struct sockaddr_in *address =
	    sut_address(handle_actor(L, index, SUT_CLASS));

	if (address == NULL)
		luaL_error(L,
		    "%s: this sut does not listen: $LISTEN_FD stands nowhere "
		    "in its argv, config or env",
		    option);
	return address;
}

static void
text_address(lua_State *L, int index, const char *option, struct endpoint *e)
{
	char why[256] = "";

	if (lua_type(L, index) == LUA_TSTRING &&
	    endpoint_parse(e, lua_tostring(L, index), why, sizeof why) == 0 &&
	    !endpoint_has_no_port(e))
		return;
	luaL_error(L,
	    "%s: expected a proxy, a backend, a sut or an address, got %s; "
	    "allowed: %s%s%s%s",
	    option, luaL_tolstring(L, index, NULL), ENDPOINT_FORMS,
	    *why != '\0' ? " (" : "", why, *why != '\0' ? ")" : "");
}

void
handle_address(lua_State *L, int index, const char *option, struct endpoint *e)
{
	if (luaL_testudata(L, index, PROXY_CLASS) != NULL)
		endpoint_of(
		    e, lab_proxy_address(handle_actor(L, index, PROXY_CLASS)));
	else if (luaL_testudata(L, index, BACKEND_CLASS) != NULL)
		endpoint_of(e,
		    lab_backend_address(handle_actor(L, index, BACKEND_CLASS)));
	else if (luaL_testudata(L, index, SUT_CLASS) != NULL)
		endpoint_of(e, listening_sut(L, index, option));
	else
		text_address(L, index, option, e);
}

void
handle_ipv4(
    lua_State *L, int index, const char *option, struct sockaddr_in *sin)
{
	struct endpoint e;

	handle_address(L, index, option, &e);
	for (size_t i = 0; i < e.n; i++)
		if (e.at[i].ss_family == AF_INET) {
			memcpy(sin, &e.at[i], sizeof *sin);
			return;
		}
	luaL_error(L, "%s: '%s' has no IPv4 address", option, e.text);
}
