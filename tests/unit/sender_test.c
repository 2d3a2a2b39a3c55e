#include "proxy/program/sender.h"
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
		CHECK(sender_names(rows[i].host, names) == rows[i].allowed,
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
		CHECK(sender_is_same(rows[i].origin, rows[i].site,
			  "127.0.0.1:8082") == rows[i].allowed,
		    "Origin: %s, Sec-Fetch-Site: %s",
		    rows[i].origin != NULL ? rows[i].origin : "(none)",
		    rows[i].site != NULL ? rows[i].site : "(none)");
}

int
main(void)
{
	hosts();
	origins();
	return CHECK_DONE();
}
