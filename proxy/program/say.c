/* say.c - see say.h. */
#include "proxy/program/say.h"

#include <stdarg.h>
#include <stdio.h>
#include <unistd.h>

enum { LINE_SIZE = 4096 };

static int worker; /* 0: none */

void
say_as_worker(int number)
{
	worker = number;
}

void
say(const char *format, ...)
{
	char line[LINE_SIZE];
	size_t n;
	va_list args;

	n = (size_t)(worker > 0
		? snprintf(
		      line, sizeof line, PROGRAM_NAME ": worker %d: ", worker)
		: snprintf(line, sizeof line, PROGRAM_NAME ": "));
	va_start(args, format);
	n += (size_t)vsnprintf(line + n, sizeof line - n, format, args);
	va_end(args);
	if (n > sizeof line - 1)
		n = sizeof line - 1;
	line[n++] = '\n';
	/* Where stderr is gone there is nobody to tell. */
	if (write(STDERR_FILENO, line, n) < 0)
		return;
}
