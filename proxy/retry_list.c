/* retry_list.c - see retry_list.h. */
#include "proxy/retry_list.h"

#include <fnmatch.h>
#include <stdio.h>
#include <string.h>

/* A path longer than that is longer than any pattern that makes sense. */
enum { PATH_MAX_BYTES = 4096 };

static const char blank[] = " \t\r";

/* The next word of a line that ends at end. */
static const char *
word_at(const char **at, const char *end, size_t *size)
{
	const char *begin = *at;

	while (begin < end && strchr(blank, *begin) != NULL)
		begin++;
	*at = begin;
	while (*at < end && strchr(blank, **at) == NULL)
		++*at;
	*size = (size_t)(*at - begin);
	return begin;
}

static bool
keep(struct retry_list *l, const char *word, size_t size)
{
	if (size >= RETRY_LIST_BYTES - l->size)
		return false;
	memcpy(l->text + l->size, word, size);
	l->size += size;
	l->text[l->size++] = '\0';
	return true;
}

/* Returns: NULL, or what is wrong. */
static const char *
add_line(struct retry_list *l, const char *line, const char *end)
{
	const char *at = line, *method, *pattern;
	size_t method_size, pattern_size, more;

	/* A NUL would end the pattern in the middle. */
	if (memchr(line, '\0', (size_t)(end - line)) != NULL)
		return "a NUL";
	method = word_at(&at, end, &method_size);
	if (method_size == 0 || *method == '#')
		return NULL;
	pattern = word_at(&at, end, &pattern_size);
	if (pattern_size == 0 || (*pattern != '/' && *pattern != '*'))
		return "no path pattern, which begins with '/' or '*'";
	word_at(&at, end, &more);
	if (more > 0)
		return "more than two words";
	if (!keep(l, method, method_size) || !keep(l, pattern, pattern_size))
		return "the list is too long";
	l->n++;
	return NULL;
}

int
retry_list_add(struct retry_list *l, const char *text, size_t size, char *error,
    size_t error_size)
{
	size_t n_before = l->n, size_before = l->size;
	const char *end = text + size, *line = text, *why;

	for (unsigned long number = 1; line < end; number++) {
		const char *lf = memchr(line, '\n', (size_t)(end - line));
		const char *line_end = lf != NULL ? lf : end;

		why = add_line(l, line, line_end);
		if (why != NULL) {
			int shown =
			    line_end - line > 60 ? 60 : (int)(line_end - line);

			snprintf(error, error_size,
			    "line %lu: '%.*s': %s; allowed: METHOD"
			    " path-pattern",
			    number, shown, line, why);
			l->n = n_before;
			l->size = size_before;
			return -1;
		}
		line = line_end + 1;
	}
	return 0;
}

bool
retry_list_has(const struct retry_list *l, const char *method,
    size_t method_size, const char *path, size_t path_size)
{
	char text[PATH_MAX_BYTES];
	const char *at = l->text;

	if (l->n == 0 || path_size >= sizeof text)
		return false;
	memcpy(text, path, path_size);
	text[path_size] = '\0';
	for (size_t i = 0; i < l->n; i++) {
		const char *wanted = at, *pattern = at + strlen(at) + 1;

		at = pattern + strlen(pattern) + 1;
		if (strcmp(wanted, "*") != 0 &&
		    (strlen(wanted) != method_size ||
			memcmp(wanted, method, method_size) != 0))
			continue;
		if (fnmatch(pattern, text, FNM_NOESCAPE) == 0)
			return true;
	}
	return false;
}
