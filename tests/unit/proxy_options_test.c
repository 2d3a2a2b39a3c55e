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
	const char *name, *help;
	char value[64], allowed[128];
	struct proxy_options before;
	size_t n = 0;

	proxy_options_init(&o);
	before = o;
	CHECK(o.reuse == REUSE_ALWAYS && o.retry == RETRY_IDEMPOTENT &&
		o.retries == 1 && o.verify == VERIFY_PEEK && o.backoff_ms == 0,
	    "the defaults are those of the design");
	for (; proxy_options_describe(n, &name, &help, value, allowed) == 0;
	     n++)
		CHECK(*help && *allowed &&
			(*value == '\0' || set(name, value) == 0),
		    "%s is described, and its default is allowed", name);
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
		{ "verify", "", "none, peek" },
		{ "retries", "-1", "0 to 100" },
		{ "retries", "101", "0 to 100" },
		{ "retries", "1x", "0 to 100" },
		{ "retries", "", "0 to 100" },
		{ "retries", "99999999999999999999", "0 to 100" },
		{ "head_bytes", "255", "256 to" },
		{ "upstream", "127.0.0.1", "ADDR:PORT" },
		{ "upstream", "localhost:80", "ADDR:PORT" },
		{ "upstream", "127.0.0.1:0", "ADDR:PORT" },
		{ "upstream", "127.0.0.1:65536", "ADDR:PORT" },
		{ "upstream", "127.0.0.1:80x", "ADDR:PORT" },
		{ "retry_list", "POST", "METHOD path-pattern" },
		{ "retry_list", "POST ", "METHOD path-pattern" },
		{ "retry_list", "POST /a b", "METHOD path-pattern" },
		{ "retry_list", "ABCDEFGHIJKLMNOPQ /", "METHOD path-pattern" },
		{ "colour", "red", "retry_list" },
	};

	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
		CHECK(set(rows[i].name, rows[i].value) == -1 &&
			strstr(error, rows[i].name) &&
			strstr(error, rows[i].told),
		    "%s=%s: %s", rows[i].name, rows[i].value, error);
}

int
main(void)
{
	char address[INET_ADDRSTRLEN];
	int n = 0;

	defaults();
	mistakes();
	CHECK(set("retry", "listed") == 0 && o.retry == RETRY_LISTED,
	    "a word is set");
	CHECK(set("backoff_ms", "250") == 0 && o.backoff_ms == 250,
	    "a number is set");
	CHECK(set("upstream", "127.0.0.2:8080") == 0 &&
		ntohs(o.upstream.sin_port) == 8080 &&
		strcmp(inet_ntop(AF_INET, &o.upstream.sin_addr, address,
			   sizeof address),
		    "127.0.0.2") == 0,
	    "an address is set");
	CHECK(set("retry_list", "POST /pay/*") == 0 &&
		set("retry_list", "* /x") == 0 && o.n_retry_list == 2 &&
		strcmp(o.retry_list[0].path, "/pay/*") == 0 &&
		strcmp(o.retry_list[1].method, "*") == 0,
	    "patterns add up");
	while (set("retry_list", "GET /") == 0)
		n++;
	CHECK(n == RETRY_LIST_MAX - 2, "up to a limit");
	return CHECK_DONE();
}
