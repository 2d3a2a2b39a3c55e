/* resource.c - see resource.h. */
#include "backend/resource.h"

#include <string.h>

#include "backend/follow.h"

static const struct {
	const char *prefix;
	enum resource_kind kind;
	size_t least, most;
} table[] = {
	{ "/bytes/", RESOURCE_BYTES, 0, RESOURCE_BYTES_MAX },
	{ "/chunked/", RESOURCE_CHUNKED, 0, RESOURCE_BYTES_MAX },
	{ "/close/", RESOURCE_CLOSE, 0, RESOURCE_BYTES_MAX },
	{ "/delay/", RESOURCE_DELAY, 0, RESOURCE_DELAY_MAX },
	{ "/status/", RESOURCE_STATUS, 200, 599 },
};

/* All of the text a decimal number?  One too big for size_t becomes the
 * biggest. */
static int
number(const char *text, size_t *n)
{
	*n = 0;
	if (*text == '\0')
		return -1;
	for (; *text != '\0'; text++) {
		if (*text < '0' || *text > '9')
			return -1;
		if (*n > RESOURCE_BYTES_MAX * 16)
			continue;
		*n = *n * 10 + (size_t)(*text - '0');
	}
	return 0;
}

struct resource
resource_of(const char *target)
{
	struct resource r = { RESOURCE_TEXT, 0 };
	char id[FOLLOW_ID_MAX], path[256];

	follow_path(follow_path_id(target, id), path, sizeof path);
	if (strcmp(path, "/echo") == 0) {
		r.kind = RESOURCE_ECHO;
		return r;
	}
	for (size_t i = 0; i < sizeof table / sizeof *table; i++) {
		size_t n = strlen(table[i].prefix);

		if (strncmp(path, table[i].prefix, n) != 0 ||
		    number(path + n, &r.n) != 0)
			continue;
		r.kind = r.n < table[i].least || r.n > table[i].most
		    ? RESOURCE_BAD
		    : table[i].kind;
		return r;
	}
	return r;
}

void
resource_fill(char *to, size_t offset, size_t size)
{
	static const char pattern[] = "0123456789abcdefghijklmnopqrstuvwxyz"
				      "ABCDEFGHIJKLMNOPQRSTUVWXYZ-\n";

	for (size_t i = 0; i < size; i++)
		to[i] = pattern[(offset + i) % (sizeof pattern - 1)];
}
