/* folder.c - see folder.h. */
#include "harness/folder.h"

#include <errno.h>
#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

bool
folder_make(char path[FOLDER_PATH_MAX])
{
	static const char name[] = "closerace-XXXXXX";
	const char *tmp = getenv("TMPDIR");

	if (tmp == NULL || strlen(tmp) + sizeof name >= FOLDER_PATH_MAX)
		tmp = "/tmp";
	snprintf(path, FOLDER_PATH_MAX, "%s/%s", tmp, name);
	if (mkdtemp(path) != NULL)
		return true;
	path[0] = '\0';
	return false;
}

bool
folder_is_left_by(const char *name)
{
	for (const char *p = name; p != NULL; p = strchr(p, '/')) {
		p += *p == '/';
		if (p[0] == '.' && p[1] == '.' && (p[2] == '/' || p[2] == 0))
			return true;
	}
	return false;
}

/* Make the directories in front of the last part of a path. */
static void
make_parents(char *path)
{
	for (char *p = strchr(path + 1, '/'); p != NULL;
	     p = strchr(p + 1, '/')) {
		*p = '\0';
		mkdir(path, 0700);
		*p = '/';
	}
}

bool
folder_write(const char *folder, const char *name, const char *text)
{
	char path[512];
	FILE *f;
	bool good;

	if (snprintf(path, sizeof path, "%s/%s", folder, name) >=
	    (int)sizeof path) {
		errno = ENAMETOOLONG;
		return false;
	}
	make_parents(path);
	f = fopen(path, "w");
	good = f != NULL && fputs(text, f) >= 0;
	if (f != NULL && fclose(f) != 0)
		good = false;
	return good;
}

static int
remove_one(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
	return remove(path);
}

void
folder_remove(const char *path)
{
	if (path[0] != '\0')
		nftw(path, remove_one, 8, FTW_DEPTH | FTW_PHYS);
}
