/* help.c - the help text of arguments.h. */
#include <stdio.h>
#include <string.h>

#include "proxy/program/arguments.h"
#include "proxy/program/say.h"

/* Text from that column on, broken at its blanks into lines of 80 columns. */
static void
print_folded(int at, const char *text)
{
	int column = at;

	while (*text != '\0') {
		int size = (int)strcspn(text, " ");

		if (column > at && column + 1 + size > 80)
			column = printf("\n%*s", at, "") - 1;
		else if (column > at)
			column += printf(" ");
		column += printf("%.*s", size, text);
		text += size + (text[size] == ' ');
	}
	printf("\n");
}

static void
print_option(const struct proxy_option *option)
{
	const char *allowed = option->allowed;
	char name[64], range[256];

	snprintf(name, sizeof name, "%s", option->name);
	arguments_spell(name);
	/* The library takes text, the program the name of a file. */
	if (strcmp(name, "retry-list") == 0)
		allowed = "a file; a line each: METHOD path-pattern";
	printf("  --%-22s ", name);
	print_folded(27, option->help);
	snprintf(range, sizeof range, "(%s%s%s)", allowed,
	    *option->value != '\0' ? "; default " : "", option->value);
	printf("%27s", "");
	print_folded(27, range);
}

static void
print_options(void)
{
	struct proxy_option option;
	const char *group = "";

	printf("Running\n");
	for (size_t i = 0; arguments_describe(i, &option) == 0; i++)
		print_option(&option);
	for (size_t i = 0; proxy_options_describe(i, &option) == 0; i++) {
		if (strcmp(group, option.group) != 0)
			printf("\n%s\n", option.group);
		group = option.group;
		print_option(&option);
	}
}

static void
print_log(void)
{
	printf(
	    "\nThe access log has a line an exchange. Its fields are KEY=VALUE,"
	    " or members\n"
	    "of a JSON object, and only ever added; - (null): there was"
	    " none.\n"
	    "  time          when its first byte came, UTC\n"
	    "  client        address of the client\n"
	    "  upstream      address of the backend that was asked last\n"
	    "  status        that the client was sent\n"
	    "  code          who ended it early, and what was going on; --:"
	    " nobody did\n"
	    "  attempts      sendings of the request\n"
	    "  retries       of them, those after something had been sent\n"
	    "  connection    of the last attempt: reused, or fresh\n"
	    "  received      bytes of the request's head and content\n"
	    "  sent          bytes that the client was sent\n"
	    "  head_ms       from the request's first byte to its head's last\n"
	    "  connect_ms    until the last attempt had its connection\n"
	    "  response_ms   until the response's first byte\n"
	    "  total_ms      from the first byte to the end\n"
	    "  request       request line; control characters, quotes and the"
	    " like as \\xHH;\n"
	    "                beyond %d bytes it ends in ...\n"
	    "  why           the code in words\n"
	    "Who: C the client is gone, c it took too long; U the backend, u it"
	    " took too\n"
	    "long; P the request was refused; I the proxy lacks something. When:"
	    " R its\n"
	    "request was read; C connecting; S sending it; H waiting for the"
	    " response;\n"
	    "D relaying it; T in a tunnel.\n",
	    LINE_REQUEST_MAX);
}

void
arguments_help(void)
{
	printf("usage: " PROGRAM_NAME " --listen ADDR:PORT --upstream"
	       " ADDR:PORT [--OPTION VALUE]…\n\n"
	       "A reverse proxy for HTTP/1.1 with an upstream pool and"
	       " retries.\n\n");
	print_options();
	print_log();
	printf("\nOn stdout it says first \"listening on ADDR:PORT\", then"
	       " \"admin on ADDR:PORT\"; on\n"
	       "stderr where stdout is the access log.\n\n"
	       "SIGTERM and SIGINT finish what is in progress; a second one"
	       " ends at once.\n"
	       "SIGHUP reads the retry list again and opens the access log"
	       " again.\n\n"
	       "--admin asks for no password: who can connect can read.  But"
	       " it answers 403\nto web pages of another site (Origin,"
	       " Sec-Fetch-Site), and to a Host that is\nneither a loopback"
	       " address nor, with its port, localhost or the address"
	       " that\nwas connected to.\n\n"
	       "--help, --version\n\n"
	       "exit status: 0; 1 for trouble; 2 for wrong usage\n");
}
