/* clientlib.c - lab:client {…}: requests as exact bytes. */
#include <arpa/inet.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "backend/endpoint.h"
#include "harness/client.h"
#include "lua/actors.h"
#include "lua/block.h"
#include "lua/handle.h"
#include "lua/options.h"

#define MAX_HEADERS 64
#define TIMEOUT_MS  60000
#define NO_LENGTH   (-2)

/* The client could not be given what it needs; errno says why. */
static int
fail(lua_State *L, const char *call)
{
	int error = errno;

	luaL_where(L, 1);
	lua_pushfstring(L, "%s: ", call);
	block_push_error(L, error);
	lua_concat(L, 3);
	return lua_error(L);
}

int
clientlib_new(lua_State *L)
{
	static const char *const names[] = { "to", "timeout_ms", "half_open",
		NULL };
	static const char call[] = "lab:client";
	struct lab_box *box = handle_check_lab(L, 1);
	struct endpoint to;
	struct client *c;
	long timeout_ms;
	bool half_open;

	options_check(L, 2, call, names);
	half_open = options_boolean(L, 2, call, "half_open", false);
	timeout_ms =
	    options_integer(L, 2, call, "timeout_ms", TIMEOUT_MS, 0, 1L << 30);
	if (!lua_istable(L, 2) || lua_getfield(L, 2, "to") == LUA_TNIL)
		return luaL_error(L,
		    "%s: to is missing: a proxy, a backend, a "
		    "sut or \"ADDR:PORT\"",
		    call);
	handle_address(L, -1, "lab:client: to", &to);
	c = client_new(box->lab, &to, (int)timeout_ms);
	if (c == NULL)
		return luaL_error(L, "%s: out of memory", call);
	if (half_open)
		client_stay_half_open(c);
	handle_push(L, 1, CLIENT_CLASS, c, 0);
	return 1;
}

/* --------------------------------------------------------------- requests -- */

/* A C string of the same length: nothing of it would be left out. */
static void
check_whole(lua_State *L, int index, const char *call, const char *what)
{
	if (strlen(lua_tostring(L, index)) != lua_rawlen(L, index))
		luaL_error(L,
		    "%s: %s: no zero bytes (client:raw sends any bytes)", call,
		    what);
}

static void
check_token(lua_State *L, const char *call, const char *what, const char *text)
{
	for (const char *p = text; *p != '\0'; p++)
		if ((unsigned char)*p <= ' ' || *p == 127)
			luaL_error(L,
			    "%s: %s: no blanks or control characters "
			    "(client:raw sends any bytes)",
			    call, what);
	if (*text == '\0')
		luaL_error(L, "%s: %s: must not be empty", call, what);
}

/* Headers as a list of { name, value }: their order is the script's. */
static size_t
read_header_list(lua_State *L, const char *call, struct client_header *headers)
{
	size_t n = 0;

	for (; lua_geti(L, -1, (lua_Integer)n + 1) != LUA_TNIL; n++) {
		if (n == MAX_HEADERS)
			luaL_error(
			    L, "%s: headers: at most %d", call, MAX_HEADERS);
		if (!lua_istable(L, -1))
			luaL_error(
			    L, "%s: headers: expected { name, value }", call);
		lua_geti(L, -1, 1);
		lua_geti(L, -2, 2);
		if (lua_type(L, -2) != LUA_TSTRING ||
		    lua_type(L, -1) != LUA_TSTRING)
			luaL_error(
			    L, "%s: headers: expected { name, value }", call);
		check_whole(L, -2, call, "headers");
		check_whole(L, -1, call, "headers");
		headers[n].name = lua_tostring(L, -2);
		headers[n].value = lua_tostring(L, -1);
		lua_pop(L, 3);
	}
	lua_pop(L, 1);
	return n;
}

static int
by_name(const void *a, const void *b)
{
	return strcmp(((const struct client_header *)a)->name,
	    ((const struct client_header *)b)->name);
}

/* Headers as name = value, sent in the order of their names. */
static size_t
read_header_map(lua_State *L, const char *call, struct client_header *headers)
{
	size_t n = 0;

	lua_pushnil(L);
	while (lua_next(L, -2) != 0) {
		if (n == MAX_HEADERS)
			luaL_error(
			    L, "%s: headers: at most %d", call, MAX_HEADERS);
		if (lua_type(L, -2) != LUA_TSTRING ||
		    lua_type(L, -1) != LUA_TSTRING)
			luaL_error(L,
			    "%s: headers: expected strings as names "
			    "and values",
			    call);
		check_whole(L, -2, call, "headers");
		check_whole(L, -1, call, "headers");
		headers[n].name = lua_tostring(L, -2);
		headers[n++].value = lua_tostring(L, -1);
		lua_pop(L, 1);
	}
	qsort(headers, n, sizeof *headers, by_name);
	return n;
}

static void
read_headers(lua_State *L, int index, const char *call,
    struct client_request *r, struct client_header *headers)
{
	if (!lua_istable(L, index) ||
	    lua_getfield(L, index, "headers") == LUA_TNIL)
		return;
	if (!lua_istable(L, -1))
		luaL_error(L, "%s: headers: expected a table, got %s", call,
		    luaL_typename(L, -1));
	r->headers = headers;
	r->n_headers = lua_rawlen(L, -1) > 0
	    ? read_header_list(L, call, headers)
	    : read_header_map(L, call, headers);
	for (size_t i = 0; i < r->n_headers; i++) {
		check_token(L, call, "headers: a name", headers[i].name);
		if (strpbrk(headers[i].value, "\r\n") != NULL)
			luaL_error(L,
			    "%s: headers: no line ends in a value "
			    "(client:raw sends any bytes)",
			    call);
	}
	lua_pop(L, 1);
}

static void
read_body(lua_State *L, int index, const char *call, struct client_request *r)
{
	long length =
	    options_integer(L, index, call, "length", NO_LENGTH, 0, 1L << 40);

	r->body = options_bytes(L, index, call, "body", &r->body_size);
	r->chunked = options_boolean(L, index, call, "chunked", false);
	r->open = options_boolean(L, index, call, "open", false);
	r->length = length == NO_LENGTH ? -1 : length;
	if (length != NO_LENGTH && !r->open)
		luaL_error(L,
		    "%s: length goes with open only; a whole body "
		    "has its own",
		    call);
	if (r->open && (r->body != NULL || r->chunked))
		luaL_error(L,
		    "%s: with open, the body follows by "
		    "exchange:send; give length, or nothing for a "
		    "chunked one",
		    call);
	if (r->chunked && r->body == NULL)
		luaL_error(L, "%s: chunked wants a body", call);
}

static struct client *
check_client(lua_State *L, const char *call)
{
	struct client *c = handle_actor(L, 1, CLIENT_CLASS);

	if (client_open_exchange(c) != NULL)
		luaL_error(L,
		    "%s: the request '%s' is still open; finish it, "
		    "or use another client",
		    call, exchange_path(client_open_exchange(c)));
	return c;
}

static void
check_id(lua_State *L, const char *call, const char *id)
{
	check_token(L, call, "id", id);
	if (strlen(id) >= LEDGER_ID_MAX)
		luaL_error(L, "%s: id: at most %d characters", call,
		    LEDGER_ID_MAX - 1);
}

static void
start(lua_State *L, const char *call)
{
	static const char *const names[] = { "method", "path", "id", "headers",
		"body", "chunked", "open", "length", "timeout_ms", NULL };
	struct client *c = check_client(L, call);
	struct client_header headers[MAX_HEADERS];
	struct client_request r = { 0 };
	struct exchange *e;

	options_check(L, 2, call, names);
	r.method = options_string(L, 2, call, "method", "GET");
	r.path = options_string(L, 2, call, "path", "/");
	r.id = options_string(L, 2, call, "id", NULL);
	r.timeout_ms =
	    (int)options_integer(L, 2, call, "timeout_ms", -1, 0, 1L << 30);
	check_token(L, call, "method", r.method);
	check_token(L, call, "path", r.path);
	if (r.id != NULL)
		check_id(L, call, r.id);
	read_headers(L, 2, call, &r, headers);
	read_body(L, 2, call, &r);
	e = client_start(c, &r);
	if (e == NULL)
		fail(L, call);
	exchangelib_push(L, 1, e);
}

/* client:start {…}: an exchange under way */
static int
client_start_method(lua_State *L)
{
	start(L, "client:start");
	return 1;
}

/* client:request {…}: start and wait */
static int
client_request(lua_State *L)
{
	static const char call[] = "client:request";

	if (options_boolean(L, 2, call, "open", false))
		return luaL_error(L,
		    "%s: an open request must be started "
		    "(client:start)",
		    call);
	start(L, call);
	return exchangelib_wait_top(L, call);
}

/* client:raw(bytes [, { timeout_ms = }]): bytes as they are */
static int
client_raw_method(lua_State *L)
{
	static const char *const names[] = { "timeout_ms", NULL };
	static const char call[] = "client:raw";
	struct client *c = check_client(L, call);
	struct exchange *e;
	size_t size;
	const char *bytes = luaL_checklstring(L, 2, &size);
	int timeout_ms;

	options_check(L, 3, call, names);
	timeout_ms =
	    (int)options_integer(L, 3, call, "timeout_ms", -1, 0, 1L << 30);
	e = client_raw(c, bytes, size, timeout_ms);
	if (e == NULL)
		return fail(L, call);
	exchangelib_push(L, 1, e);
	return 1;
}

/* client:watch {…}: a request that a program under test is about to send */
static int
client_watch_method(lua_State *L)
{
	static const char *const names[] = { "method", "path", "id", "body",
		NULL };
	static const char call[] = "client:watch";
	struct client *c = check_client(L, call);
	struct client_request r = { 0 };
	struct exchange *e;

	options_check(L, 2, call, names);
	r.method = options_string(L, 2, call, "method", "GET");
	r.path = options_string(L, 2, call, "path", "/");
	r.id = options_string(L, 2, call, "id", NULL);
	r.body = options_bytes(L, 2, call, "body", &r.body_size);
	check_token(L, call, "method", r.method);
	check_token(L, call, "path", r.path);
	if (r.id == NULL)
		return luaL_error(L, "%s: id is missing", call);
	check_id(L, call, r.id);
	e = client_watch(c, &r, r.body != NULL);
	if (e == NULL)
		return luaL_error(L, "%s: out of memory", call);
	exchangelib_push(L, 1, e);
	return 1;
}

/* client:connect(): now, not with the next request */
static int
client_connect_method(lua_State *L)
{
	if (!client_connect(handle_actor(L, 1, CLIENT_CLASS)))
		return luaL_error(L, "client:connect: out of memory");
	return 0;
}

/* client:half_close(): FIN behind what was sent */
static int
client_half_close_method(lua_State *L)
{
	lua_pushboolean(L, client_half_close(handle_actor(L, 1, CLIENT_CLASS)));
	return 1;
}

/* client:close(): drop the connection by a reset */
static int
client_close_method(lua_State *L)
{
	client_close(handle_actor(L, 1, CLIENT_CLASS));
	return 0;
}

static int
client_tostring(lua_State *L)
{
	struct handle *h = luaL_checkudata(L, 1, CLIENT_CLASS);

	if (h->box->lab == NULL)
		lua_pushliteral(L, "client (closed)");
	else
		lua_pushfstring(L, "client %d", (int)client_number(h->actor));
	return 1;
}

void
clientlib_open(lua_State *L)
{
	static const luaL_Reg methods[] = { { "request", client_request },
		{ "start", client_start_method }, { "raw", client_raw_method },
		{ "watch", client_watch_method },
		{ "connect", client_connect_method },
		{ "half_close", client_half_close_method },
		{ "close", client_close_method }, { NULL, NULL } };
	static const luaL_Reg meta[] = { { "__tostring", client_tostring },
		{ NULL, NULL } };

	handle_class(L, CLIENT_CLASS, methods, meta, NULL);
}
