/* say.c - see say.h. */
#include "backend/say.h"

#include <stdio.h>
#include <string.h>

#include "backend/ledger.h"

/* "HTTP/1.1 408 …" */
static int
status_of(const char *line, size_t size)
{
	int status = 0;

	if (size < 12 || memcmp(line, "HTTP/1.", 7) != 0 || line[8] != ' ')
		return 0;
	for (int i = 9; i < 12; i++) {
		if (line[i] < '0' || line[i] > '9')
			return 0;
		status = status * 10 + (line[i] - '0');
	}
	return status;
}

size_t
say_mark(
    char *out, const char *bytes, size_t size, unsigned long mark, int *status)
{
	const char *eol = size > 0 ? memchr(bytes, '\n', size) : NULL;
	size_t line = eol != NULL ? (size_t)(eol - bytes) + 1 : 0;
	size_t n;

	*status = status_of(bytes, line);
	if (*status == 0) {
		if (size > 0)
			memcpy(out, bytes, size);
		return size;
	}
	memcpy(out, bytes, line);
	n = (size_t)snprintf(
	    out + line, SAY_MARK_MAX, "%s: %lu\r\n", LEDGER_MARK_HEADER, mark);
	memcpy(out + line + n, bytes + line, size - line);
	return size + n;
}
