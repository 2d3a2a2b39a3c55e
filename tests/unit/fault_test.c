#include "backend/fault.h"
#include "check.h"

#include <string.h>

static char error[512];

static int
parses(const char *line)
{
	struct fault f;

	error[0] = '\0';
	return fault_parse(&f, line, error, sizeof error) == 0;
}

static int
says(const char *line, const char *complaint)
{
	return !parses(line) && strstr(error, complaint) != NULL;
}

static void
names(void)
{
	struct fault f;
	int n = 0;

	for (int i = 0; i < N_POINTS; i++) {
		fault_init(&f);
		n += fault_set(&f, "on", fault_point_name((enum close_point)i),
			 0, error, sizeof error) == 0 &&
		    f.on == (enum close_point)i;
	}
	CHECK(n == N_POINTS && n == 12, "every close point is known by name");
	for (int i = n = 0; i < N_ENDINGS; i++) {
		fault_init(&f);
		n += fault_set(&f, "close", fault_ending_name((enum ending)i),
			 0, error, sizeof error) == 0 &&
		    f.close == (enum ending)i;
	}
	CHECK(n == N_ENDINGS && n == 6, "every ending is known by name");
	CHECK(strcmp(fault_point_name(N_POINTS), "none") == 0 &&
		strcmp(fault_ending_name(N_ENDINGS), "none") == 0,
	    "what is no point or ending has a name, too");
}

static void
complaints(void)
{
	CHECK(says("on=foo,close=rst",
		  "on: 'foo' is not a close point; allowed: accept, idle, "
		  "arrival, request_byte, request_line, request_head, "
		  "request_end, executed, interim, response_byte, "
		  "response_head, response_end"),
	    "a wrong point is answered by the list of points");
	CHECK(says("on=idle,close=bang",
		  "allowed: fin, rst, half, plain, "
		  "vanish, stall"),
	    "a wrong ending is answered by the list of endings");
	CHECK(says("when=now", "'when' is not a key of a fault; allowed: conn"),
	    "a wrong key is answered by the list of keys");
	CHECK(says("on", "'on' is not key=value"), "a key needs a value");
	CHECK(says("close=rst", "on is needed"), "on is needed");
	CHECK(says("on=arrival", "close is needed"), "close is needed");
	CHECK(
	    says("on=request_byte,close=rst", "at is needed with request_byte"),
	    "request_byte needs at");
	CHECK(says("on=response_byte,close=rst",
		  "at is needed with response_byte"),
	    "response_byte needs at");
	CHECK(says("on=request_head,at=3,close=rst", "not to request_head"),
	    "no other point takes at");
	CHECK(says("on=request_byte,at=0,close=rst", "at: '0'"),
	    "byte 0 is arrival, not request_byte");
	CHECK(says("on=arrival,after_ms=5,close=rst", "only to idle"),
	    "after_ms belongs to idle");
	CHECK(says("on=request_end,announce=true,close=fin", "announce needs"),
	    "nothing can be announced before a response");
	CHECK(says("on=accept,method=GET,close=fin", "knows only conn"),
	    "an accept fault knows no method");
	CHECK(says("on=accept,request=1,close=fin", "knows only conn"),
	    "an accept fault knows no request");
	CHECK(says("on=idle,id=a,close=fin", "knows only conn and request"),
	    "an idle fault knows no id");
	CHECK(says("on=idle,times=0,close=fin", "times: '0'"),
	    "a fault fires at least once");
	CHECK(says("conn=-1,on=idle,close=fin", "conn: '-1'"),
	    "a connection has no negative number");
	CHECK(says("conn=99999999999999999999,on=idle,close=fin", "conn: "),
	    "nor one beyond counting");
	CHECK(says("conn=,on=idle,close=fin", "conn: ''"),
	    "nothing is not a number");
	CHECK(says("optional=maybe,on=idle,close=fin", "true"),
	    "optional is true or false");
	CHECK(says("method=,on=arrival,close=fin", "method: "),
	    "an empty method is not a method");
	CHECK(says("say=\\q,on=arrival,close=fin", "not an escape"),
	    "an unknown escape is not swallowed");
}

static void
lines(void)
{
	struct fault f;
	char line[512], again[512];

	CHECK(parses("conn=1,request=2,on=arrival,close=rst"),
	    "the line of the manual is accepted");
	CHECK(fault_parse(&f,
		  "conn=3,request=4,method=GET,path=/a\\,b,id=i1,"
		  "on=response_byte,at=17,"
		  "say=HTTP/1.1 408 Late\\r\\n\\x00\\xff\\r\\n,"
		  "announce=true,times=2,optional=true,close=half",
		  error, sizeof error) == 0,
	    "every key can be set");
	CHECK(f.conn == 3 && f.request == 4 && f.at == 17 && f.times == 2 &&
		f.announce && f.optional && f.close == ENDING_HALF &&
		f.on == POINT_RESPONSE_BYTE,
	    "and is where it belongs");
	CHECK(strcmp(f.path, "/a,b") == 0, "an escaped comma is a comma");
	CHECK(f.say_size == 23 &&
		memcmp(f.say, "HTTP/1.1 408 Late\r\n\0\xff\r\n", 23) == 0,
	    "say may hold any byte (%zu)", f.say_size);
	fault_print(&f, line, sizeof line);
	CHECK(fault_parse(&f, line, error, sizeof error) == 0,
	    "what is printed can be read again: %s", line);
	fault_print(&f, again, sizeof again);
	CHECK(strcmp(line, again) == 0, "and means the same");
	CHECK(fault_print(&f, line, 8) == strlen(again) && strlen(line) == 7,
	    "a short buffer is not overrun");
	fault_init(&f);
	CHECK(f.times == 1 && f.on == N_POINTS && f.close == N_ENDINGS,
	    "a new fault fires once and is incomplete");
}

static struct fault
fault_of(const char *line)
{
	struct fault f;

	if (fault_parse(&f, line, error, sizeof error) != 0)
		printf("# %s: %s\n", line, error);
	return f;
}

static void
matches(void)
{
	static const struct {
		const char *fault;
		struct fault_facts facts;
		enum fault_match match;
	} rows[] = {
		{ "on=arrival,close=rst", { 1, 1, NULL, NULL, NULL },
		    FAULT_YES },
		{ "conn=1,on=arrival,close=rst", { 1, 7, NULL, NULL, NULL },
		    FAULT_YES },
		{ "conn=2,on=arrival,close=rst", { 1, 1, NULL, NULL, NULL },
		    FAULT_NO },
		{ "request=2,on=arrival,close=rst", { 1, 1, NULL, NULL, NULL },
		    FAULT_NO },
		{ "request=2,on=arrival,close=rst", { 1, 2, NULL, NULL, NULL },
		    FAULT_YES },
		{ "method=GET,on=arrival,close=rst", { 1, 1, NULL, NULL, NULL },
		    FAULT_UNKNOWN },
		{ "method=GET,on=arrival,close=rst",
		    { 1, 1, "GET", NULL, NULL }, FAULT_YES },
		{ "method=GET,on=arrival,close=rst",
		    { 1, 1, "POST", NULL, NULL }, FAULT_NO },
		{ "method=GET,id=a,on=arrival,close=rst",
		    { 1, 1, "GET", "/", NULL }, FAULT_UNKNOWN },
		{ "method=GET,id=a,on=arrival,close=rst",
		    { 1, 1, "POST", "/", NULL }, FAULT_NO },
		{ "conn=2,id=a,on=arrival,close=rst",
		    { 1, 1, NULL, NULL, NULL }, FAULT_NO },
		{ "path=/a,on=arrival,close=rst", { 1, 1, "GET", "/a", NULL },
		    FAULT_YES },
		{ "path=/a,on=arrival,close=rst", { 1, 1, "GET", "/ab", NULL },
		    FAULT_NO },
		{ "id=a,on=arrival,close=rst", { 1, 1, "GET", "/", "" },
		    FAULT_NO },
		{ "id=a,on=arrival,close=rst", { 1, 1, "GET", "/", "a" },
		    FAULT_YES },
	};

	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
		struct fault f = fault_of(rows[i].fault);

		CHECK(fault_matches(&f, &rows[i].facts) == rows[i].match,
		    "row %zu: %s", i, rows[i].fault);
	}
}

static void
choices(void)
{
	struct fault table[] = {
		fault_of("on=accept,conn=2,close=rst"),
		fault_of("on=idle,request=1,close=fin"),
		fault_of("on=arrival,id=x,close=rst"),
		fault_of("on=request_end,conn=1,close=fin"),
		fault_of("on=executed,close=fin,times=2"),
	};
	struct fault_facts blind = { 1, 1, NULL, NULL, NULL };
	struct fault_facts other = { 1, 1, "GET", "/", "y" };
	struct fault_facts x = { 1, 1, "GET", "/", "x" };
	struct fault_facts two = { 2, 1, "GET", "/", "" };

	CHECK(fault_choose(table, 5, &blind) == -2,
	    "an entry that may yet fit stands before those that do");
	CHECK(fault_choose(table, 5, &x) == 2, "the first that fits wins");
	CHECK(fault_choose(table, 5, &other) == 3,
	    "what does not fit is passed over, accept and idle always");
	CHECK(fault_choose(table, 5, &two) == 4, "the last one fits anything");
	table[4].n_fired = 1;
	CHECK(fault_choose(table, 5, &two) == 4, "it fires its times");
	table[4].n_fired = 2;
	CHECK(fault_choose(table, 5, &two) == -1, "and then no more");
	table[2].n_fired = 1;
	CHECK(fault_choose(table, 5, &blind) == 3,
	    "a spent entry leaves nothing unknown");
	CHECK(fault_choose(table, 0, &x) == -1, "an empty table has none");
	CHECK(fault_choose_accept(table, 5, 1) == -1 &&
		fault_choose_accept(table, 5, 2) == 0,
	    "an accept fault is chosen by the connection");
	CHECK(fault_choose_idle(table, 5, 9, 1) == 1 &&
		fault_choose_idle(table, 5, 9, 2) == -1,
	    "an idle fault by the number of finished requests");
}

int
main(void)
{
	names();
	complaints();
	lines();
	matches();
	choices();
	return CHECK_DONE();
}
