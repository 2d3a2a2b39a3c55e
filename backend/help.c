/* help.c - see help.h. */
#include "backend/help.h"

#include <stdio.h>
#include <string.h>

#include "backend/endpoint.h"
#include "backend/options.h"

/* "title word word …", in lines of 80 columns. */
static void
print_words(const char *title, const char *(*word)(int))
{
	int column = printf("%s", title);

	for (int i = 0; word(i) != NULL; i++) {
		if (column + 1 + strlen(word(i)) > 80)
			column = printf("\n ") - 1;
		column += printf(" %s", word(i));
	}
	printf("\n");
}

static const char *
key_word(int i)
{
	return fault_keys()[i];
}

static const char *
point_word(int i)
{
	return i < N_POINTS ? fault_point_name((enum close_point)i) : NULL;
}

static const char *
ending_word(int i)
{
	return i < N_ENDINGS ? fault_ending_name((enum ending)i) : NULL;
}

static void
print_option(const char *name, const char *value, const char *text)
{
	char option[64];

	snprintf(option, sizeof option, "--%s %s", name, value);
	for (char *c = option; *c != '\0'; c++)
		if (*c == '_')
			*c = '-';
	printf("  %-21s %s\n", option, text);
}

static void
print_more(const char *text)
{
	printf("  %-21s %s\n", "", text);
}

static void
print_options(void)
{
	const char *name, *text;
	char value[64], allowed[128], line[256];

	print_option("listen", "ADDR", "where to accept; port 0 picks one");
	print_more("(" ENDPOINT_TCP_FORMS ",");
	print_more("fd@N: an inherited socket)");
	print_option("fault", "KEYS", "a fault, as in");
	print_more("conn=1,request=2,on=arrival,close=rst");
	print_option(
	    "control", "ADDR", "serve GET /ledger, GET /ledger?id=ID, GET,");
	print_more("POST and DELETE /faults there; there is no");
	print_more("authentication: keep it on loopback");
	print_more("(" ENDPOINT_FORMS ")");
	print_option(
	    "ledger_max", "N", "keep the latest N attempts, count the others");
	print_more("(1 to 100000000; default 100000)");
	for (size_t i = 0;
	     backend_options_describe(i, &name, &text, value, allowed) == 0;
	     i++) {
		snprintf(line, sizeof line, "(%s%s%s)", allowed,
		    value[0] != '\0' ? "; default " : "", value);
		print_option(name, "", text);
		print_more(line);
	}
	printf("  --help, --version\n");
}

void
help_print(void)
{
	printf("usage: closerace-backend --listen ADDR [--fault KEYS]… "
	       "[--OPTION VALUE]…\n\n"
	       "An HTTP/1.1 origin server that ends its connections where it "
	       "is told to.\n\n");
	print_options();
	printf("\n");
	print_words("keys of a fault:", key_word);
	print_words("close points (on):", point_word);
	print_words("endings (close):", ending_word);
	printf("\nserves /bytes/N /chunked/N /echo /delay/MS /status/NNN and "
	       "/id/ID/…; a request's\nid is its X-Closerace-Id, or else ID\n\n"
	       "On stdout, a line an event, fields are KEY=VALUE and only ever "
	       "added; where\nnobody reads, lines are lost, counted, and that "
	       "is said on stderr:\n"
	       "  listening on ADDR:PORT\n"
	       "  control on ADDR:PORT\n"
	       "  executed conn=N request=N id=ID\n"
	       "  answered conn=N request=N id=ID\n"
	       "  ended conn=N request=N id=ID on=POINT close=ENDING\n"
	       "  server-ended conn=N request=N id=ID on=POINT close=fin|rst "
	       "idle_ms=N\n"
	       "and on SIGINT or SIGTERM the ledger, a line an attempt:\n"
	       "  attempt conn=N request=N id=ID method=METHOD path=PATH "
	       "unread=BYTES\n"
	       "    read=BYTES whole=0|1 executed=N answered=BYTES "
	       "answered_whole=0|1\n"
	       "    executed_max=N after_end=0|1 unseen=0|1 on=POINT|none "
	       "close=ENDING|none\n"
	       "    server_close=fin|rst|none server_idle_ms=N\n"
	       "  never_fired fault=N KEYS\n\n"
	       "exit status: 0; 1 where a fault never fired that is not "
	       "optional=true; 2 for\nwrong usage\n");
}
