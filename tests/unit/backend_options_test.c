#include "backend/options.h"
#include "check.h"

#include <arpa/inet.h>
#include <string.h>

int
main(void)
{
	static const struct {
		const char *name, *value, *complaint; /* NULL: accepted */
	} rows[] = {
		{ "keep_alive_ms", "0", NULL },
		{ "keep_alive_ms", "60000", NULL },
		{ "keep_alive_ms", "-1", "allowed: 0 to 2147483647" },
		{ "keep_alive_ms", "1s", "keep_alive_ms: '1s' is not allowed" },
		{ "keep_alive_ms", "", "keep_alive_ms: ''" },
		{ "keep_alive_ms", "2147483648", "allowed: 0 to" },
		{ "keep_alive_close", "rst", NULL },
		{ "keep_alive_close", "RST",
		    "allowed: fin, rst, half, plain, vanish, stall" },
		{ "keep_alive_hint", "true", NULL },
		{ "keep_alive_hint", "maybe", "allowed: true, false" },
		{ "upstream", "127.0.0.1:8080", NULL },
		{ "upstream", "127.0.0.1", "allowed: ADDR:PORT" },
		{ "upstream", "127.0.0.1:0", "allowed: ADDR:PORT" },
		{ "upstream", "127.0.0.1:65536", "allowed: ADDR:PORT" },
		{ "upstream", "localhost:80", NULL },
		{ "upstream", "LOCALHOST:80", NULL },
		{ "upstream", "[::1]:3000", NULL },
		{ "upstream", "[::ffff:127.0.0.1]:3000", NULL },
		{ "upstream", ":8081", NULL },
		{ "upstream", "unix:/run/app.sock", NULL },
		{ "upstream", "[::1]", "allowed: ADDR:PORT" },
		{ "upstream", "[::1]:0", "allowed: ADDR:PORT" },
		{ "upstream", "[::1:80", "allowed: ADDR:PORT" },
		{ "upstream", "[]:80", "allowed: ADDR:PORT" },
		{ "upstream", "[localhost]:80", "(localhost: " },
		{ "upstream", "::1:3000", "allowed: ADDR:PORT" },
		{ "upstream", ":", "allowed: ADDR:PORT" },
		{ "upstream", ":0", "allowed: ADDR:PORT" },
		{ "upstream", ":+80", "allowed: ADDR:PORT" },
		{ "upstream", "localhost", "allowed: ADDR:PORT" },
		{ "upstream", "localhost:http", "allowed: ADDR:PORT" },
		{ "upstream", "no.such.name.invalid:80",
		    "(no.such.name.invalid: " },
		{ "upstream", "unix:", "(a path of 1 to 107 bytes" },
		{ "upstream", "", "NAME:PORT, [IPv6]:PORT, :PORT, unix:PATH" },
		{ "upstream", "127.0.0.1:8080", NULL },
		{ "upstream", "127.0.0.1:80x", "allowed: ADDR:PORT" },
		{ "timeout", "1",
		    "'timeout' is not an option of the backend; allowed: "
		    "upstream, keep_alive_ms, keep_alive_close, "
		    "keep_alive_hint" },
	};
	struct backend_options o;
	const char *name, *help;
	char value[64], allowed[128], error[256];
	size_t n = 0, good = 0;

	backend_options_init(&o);
	CHECK(o.keep_alive_ms == 0 && o.keep_alive_close == ENDING_FIN &&
		!o.keep_alive_hint && o.upstream.n == 0,
	    "by default nothing is closed and nothing hinted");
	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
		int r;

		error[0] = '\0';
		r = backend_options_set(
		    &o, rows[i].name, rows[i].value, error, sizeof error);
		CHECK(rows[i].complaint == NULL
			? r == 0
			: r == -1 && strstr(error, rows[i].complaint) != NULL,
		    "%s = '%s'", rows[i].name, rows[i].value);
	}
	CHECK(o.keep_alive_ms == 60000 && o.keep_alive_close == ENDING_RST &&
		o.keep_alive_hint && o.upstream.n == 1 &&
		strcmp(o.upstream.text, "127.0.0.1:8080") == 0,
	    "what was accepted is set, and what was refused is not");
	for (; backend_options_describe(n, &name, &help, value, allowed) == 0;
	     n++)
		good += help[0] != '\0' && allowed[0] != '\0' &&
		    (value[0] == '\0' ||
			backend_options_set(
			    &o, name, value, error, sizeof error) == 0);
	CHECK(n == 4 && good == n, "every default is an allowed value");
	return CHECK_DONE();
}
