/* list_file.c - see list_file.h. */
#include "proxy/program/list_file.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Comments do not count against the list's own limit. */
enum { FILE_BYTES = 1024 * 1024 };

/* Returns: its size, or -1 with errno. */
static long
slurp(const char *path, char *text)
{
	FILE *file = fopen(path, "re");
	size_t n;
	int error;

	if (file == NULL)
		return -1;
	n = fread(text, 1, FILE_BYTES, file);
	error = ferror(file) ? errno : n == FILE_BYTES ? EFBIG : 0;
	fclose(file);
	errno = error;
	return error == 0 ? (long)n : -1;
}

int
list_file_read(
    const char *path, struct retry_list *list, char *error, size_t error_size)
{
	char *text = malloc(FILE_BYTES), why[256];
	struct retry_list *fresh = calloc(1, sizeof *fresh);
	int status = -1;
	long n = -1;

	if (text != NULL && fresh != NULL)
		n = slurp(path, text);
	if (n < 0)
		snprintf(error, error_size, "%s: %s", path, strerror(errno));
	else if (retry_list_add(fresh, text, (size_t)n, why, sizeof why) != 0)
		snprintf(error, error_size, "%s: %s", path, why);
	else {
		*list = *fresh;
		status = 0;
	}
	free(fresh);
	free(text);
	return status;
}
