/* folder.c - see folder.h. */
#include "harness/folder.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

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

/* ---------------------------------------------------------------- removing */

/* A directory of the program's may lack the right to be written to, or lie
 * deeper than any path may be long.  So nothing is walked down: what lies in a
 * directory of the first level moves up beside it, until there is none. */

/* Give a directory below root another place in it, where nothing is yet. */
static bool
move_up(int from_fd, const char *name, int root_fd, unsigned *n)
{
	char place[32];
	int done;

	fchmodat(from_fd, name, 0700, 0); /* its ".." is to be changed */
	do {
		snprintf(place, sizeof place, "left-%u", (*n)++);
		done =
		    renameat2(from_fd, name, root_fd, place, RENAME_NOREPLACE);
	} while (done != 0 && errno == EEXIST);
	return done == 0;
}

static bool
is_dots(const char *name)
{
	return strcmp(name, ".") == 0 || strcmp(name, "..") == 0;
}

static DIR *
open_directory(int at_fd, const char *name)
{
	int fd = openat(
	    at_fd, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	DIR *dir = fd >= 0 ? fdopendir(fd) : NULL;

	if (fd >= 0 && dir == NULL)
		close(fd);
	return dir;
}

/* Remove the files of a directory of the first level, and move up its
 * directories.  Returns: something was done. */
static bool
lift(int root_fd, const char *name, unsigned *n)
{
	struct dirent *entry;
	bool done = false;
	DIR *dir;

	fchmodat(root_fd, name, 0700, 0);
	dir = open_directory(root_fd, name);
	while (dir != NULL && (entry = readdir(dir)) != NULL)
		if (!is_dots(entry->d_name) &&
		    (unlinkat(dirfd(dir), entry->d_name, 0) == 0 ||
			move_up(dirfd(dir), entry->d_name, root_fd, n)))
			done = true;
	if (dir != NULL)
		closedir(dir);
	return unlinkat(root_fd, name, AT_REMOVEDIR) == 0 || done;
}

/* Returns: something was done. */
static bool
flatten(const char *path, unsigned *n)
{
	DIR *dir = open_directory(AT_FDCWD, path);
	struct dirent *entry;
	bool done = false;

	while (dir != NULL && (entry = readdir(dir)) != NULL)
		if (!is_dots(entry->d_name) &&
		    (unlinkat(dirfd(dir), entry->d_name, 0) == 0 ||
			lift(dirfd(dir), entry->d_name, n)))
			done = true;
	if (dir != NULL)
		closedir(dir);
	return done;
}

void
folder_remove(const char *path)
{
	unsigned n = 0;

	if (path[0] == '\0')
		return;
	chmod(path, 0700);
	while (rmdir(path) != 0 && flatten(path, &n))
		continue;
}
