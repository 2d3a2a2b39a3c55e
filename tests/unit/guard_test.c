#include "backend/guard.h"
#include "check.h"

#include <stddef.h>

static void
hosts(void)
{
	static const char *const names[] = { "Backend:8082", "10.1.2.3:8082",
		"[2001:DB8::0:1]:8082", ":8082", "unix:/run/x", NULL };
	static const struct {
		const char *host;
		bool allowed;
	} rows[] = {
		{ "127.0.0.1:8082", true },
		{ "127.0.0.1", true },
		{ "127.8.9.1:1", true },
		{ "[::1]:8082", true },
		{ "[0:0:0:0:0:0:0:1]", true },
		{ "localhost:8082", true },
		{ "LocalHost", true },
		{ "backend", true },
		{ "backend:9999", true },
		{ "10.1.2.3", true },
		{ "[2001:db8::1]:8082", true },
		{ "evil.example", false },
		{ "evil.example:8082", false },
		{ "127.0.0.1.evil.example", false },
		{ "localhost.evil.example", false },
		{ "127.0.0.1:8082@evil.example", false },
		{ "127.0.0.1:", false },
		{ "127.0.0.1:x", false },
		{ "127.1", false },
		{ "0.0.0.0", false },
		{ "128.0.0.1", false },
		{ "[::1", false },
		{ "[::1]x", false },
		{ "[::2]", false },
		{ "::1", false },
		{ "10.1.2.4", false },
		{ "", false },
		{ ":8082", false },
		{ "unix", false },
		{ NULL, false },
	};

	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
		CHECK(guard_host(rows[i].host, names) == rows[i].allowed,
		    "Host: %s", rows[i].host != NULL ? rows[i].host : "(none)");
}

static void
origins(void)
{
	static const struct {
		const char *origin, *site;
		bool allowed;
	} rows[] = {
		{ NULL, NULL, true },
		{ "http://127.0.0.1:8082", NULL, true },
		{ "http://127.0.0.1:8082", "same-origin", true },
		{ NULL, "same-origin", true },
		{ NULL, "none", true },
		{ "http://evil.example", NULL, false },
		{ "null", NULL, false },
		{ "", NULL, false },
		{ "http://127.0.0.1:3000", NULL, false },
		{ "http://127.0.0.1:80820", NULL, false },
		{ "https://127.0.0.1:8082", NULL, false },
		{ "127.0.0.1:8082", NULL, false },
		{ NULL, "cross-site", false },
		{ NULL, "same-site", false },
		{ NULL, "", false },
		{ "http://127.0.0.1:8082", "cross-site", false },
	};

	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
		CHECK(guard_origin(rows[i].origin, rows[i].site,
			  "127.0.0.1:8082") == rows[i].allowed,
		    "Origin: %s, Sec-Fetch-Site: %s",
		    rows[i].origin != NULL ? rows[i].origin : "(none)",
		    rows[i].site != NULL ? rows[i].site : "(none)");
}

static void
types(void)
{
	static const struct {
		const char *type;
		bool form;
	} rows[] = {
		{ NULL, true },
		{ "", true },
		{ " ;charset=utf-8", true },
		{ "text/plain", true },
		{ "TEXT/Plain;charset=UTF-8", true },
		{ " text/plain , application/json", true },
		{ "application/x-www-form-urlencoded", true },
		{ "multipart/form-data; boundary=x", true },
		{ "text/x-closerace-fault", false },
		{ "application/json", false },
		{ "text/plainer", false },
	};

	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
		CHECK(guard_is_form(rows[i].type) == rows[i].form,
		    "Content-Type: %s",
		    rows[i].type != NULL ? rows[i].type : "(none)");
}

int
main(void)
{
	hosts();
	origins();
	types();
	return CHECK_DONE();
}
