#include "proxy/options.h"
#include "check.h"

#include <arpa/inet.h>
#include <stdlib.h>
#include <string.h>

static struct proxy_options o;
static char error[512];

static int
set(const char *name, const char *value)
{
	error[0] = '\0';
	return proxy_options_set(&o, name, value, error, sizeof error);
}

static void
defaults(void)
{
	struct proxy_option option;
	struct proxy_options before;
	size_t n = 0;

	proxy_options_init(&o);
	before = o;
	CHECK(o.reuse == REUSE_ALWAYS && o.retry == RETRY_IDEMPOTENT &&
		o.retries == 1 && o.verify == VERIFY_PEEK && o.backoff_ms == 0,
	    "the defaults are those of the design");
	for (; proxy_options_describe(n, &option) == 0; n++)
		CHECK(*option.help && *option.allowed &&
			(*option.value == '\0' ||
			    set(option.name, option.value) == 0),
		    "%s is described, and its default is allowed", option.name);
	CHECK(memcmp(&before, &o, sizeof o) == 0,
	    "setting every default changes nothing");
	CHECK(n > 15, "there are many");
}

static void
mistakes(void)
{
	static const struct {
		const char *name, *value, *told;
	} rows[] = {
		{ "retry", "sometimes", "never, static, idempotent, listed" },
		{ "reuse", "listed", "never, static, idempotent, always" },
		{ "verify", "", "none, peek, options" },
		{ "retries", "-1", "0 to 100" },
		{ "retries", "101", "0 to 100" },
		{ "retries", "1x", "0 to 100" },
		{ "retries", "", "0 to 100" },
		{ "retries", "99999999999999999999", "0 to 100" },
		{ "head_bytes", "255", "256 to" },
		{ "upstream", "127.0.0.1", "ADDR:PORT" },
		{ "upstream", "localhost", "ADDR:PORT" },
		{ "upstream", "127.0.0.1:0", "ADDR:PORT" },
		{ "upstream", "127.0.0.1:65536", "ADDR:PORT" },
		{ "upstream", "127.0.0.1:80x", "ADDR:PORT" },
		{ "retry_list", "POST", "METHOD path-pattern" },
		{ "retry_list", "POST ", "METHOD path-pattern" },
		{ "retry_list", "POST /a b", "METHOD path-pattern" },
		{ "retry_list", "POST pay", "METHOD path-pattern" },
		{ "retry_list", "POST /a\n# b\n\nGET", "line 4: 'GET'" },
		{ "probe_unsafe", "yes", "none, expect, fresh" },
		{ "colour", "red", "retry_list" },
	};

	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
		CHECK(set(rows[i].name, rows[i].value) == -1 &&
			strstr(error, rows[i].name) &&
			strstr(error, rows[i].told),
		    "%s=%s: %s", rows[i].name, rows[i].value, error);
}

static bool
lists(const char *method, const char *path)
{
	return retry_list_has(
	    &o.retry_list, method, strlen(method), path, strlen(path));
}

/* Options that do not go together. */
static void
together(void)
{
	proxy_options_init(&o);
	CHECK(proxy_options_check(&o, error, sizeof error) == -1 &&
		strcmp(error, "upstream is missing") == 0,
	    "somebody must be served");
	set("upstream", "127.0.0.1:1");
	set("pool_size", "3");
	CHECK(set("spares", "3") == 0 &&
		proxy_options_check(&o, error, sizeof error) == 0,
	    "as many spares as the pool keeps");
	CHECK(set("spares", "4") == 0 &&
		proxy_options_check(&o, error, sizeof error) == -1 &&
		strstr(error, "spares: 4"),
	    "no more: %s", error);
	CHECK(set("spares", "1") == 0 && set("reuse", "never") == 0 &&
		proxy_options_check(&o, error, sizeof error) == -1 &&
		strstr(error, "reuse never"),
	    "no spares that nobody may ride: %s", error);
}

int
main(void)
{
	int n = 0;

	defaults();
	mistakes();
	CHECK(set("retry", "listed") == 0 && o.retry == RETRY_LISTED,
	    "a word is set");
	CHECK(set("backoff_ms", "250") == 0 && o.backoff_ms == 250,
	    "a number is set");
	CHECK(set("upstream", "127.0.0.2:8080") == 0 && o.n_upstreams == 1 &&
		o.upstreams[0].n == 1 &&
		strcmp(o.upstreams[0].host, "127.0.0.2:8080") == 0,
	    "an address is set");
	CHECK(set("upstream", "unix:/run/s") == 0 &&
		set("upstream", ":81") == 0 && o.upstreams[2].n == 2 &&
		set("upstream", "[::1]:82") == 0 && o.n_upstreams == 4 &&
		strcmp(o.upstreams[1].host, "localhost") == 0 &&
		strcmp(o.upstreams[2].host, "localhost:81") == 0 &&
		strcmp(o.upstreams[3].host, "[::1]:82") == 0,
	    "of any form, and each has its Host");
	CHECK(set("retry_list", "POST /pay/*") == 0 &&
		set("retry_list", "# a\n\n *\t/x\r\n") == 0 &&
		o.retry_list.n == 2 && lists("POST", "/pay/1") &&
		lists("GET", "/x") && !lists("GET", "/pay/1") &&
		!lists("POST", "/pay"),
	    "lines of the retry list add up");
	CHECK(set("retry_list", "GET /good\nbad") == -1 &&
		o.retry_list.n == 2 && !lists("GET", "/good"),
	    "of a text with a bad line, nothing is kept");
	while (set("retry_list", "GET /") == 0)
		n++;
	CHECK(n > 1000 && strstr(error, "too long"), "up to a limit");
	while (set("upstream", "127.0.0.1:1") == 0)
		;
	CHECK(o.n_upstreams == PROXY_UPSTREAMS_MAX,
	    "upstreams add up to a limit");
	together();
	return CHECK_DONE();
}
