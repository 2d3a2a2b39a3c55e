/* folder.h - a program's temporary directory. */
#ifndef HARNESS_FOLDER_H
#define HARNESS_FOLDER_H

#include <stdbool.h>

#define FOLDER_PATH_MAX 64

/* Make a directory below $TMPDIR, or /tmp.
 *
 * Returns: false with errno, and the path empty.
 */
bool folder_make(char path[FOLDER_PATH_MAX]);

/* Does one of a name's parts lead out of the directory? */
bool folder_is_left_by(const char *name);

/* Write a file; its name may have directories, which are made.  Returns: false
 * with errno. */
bool folder_write(const char *path, const char *name, const char *text);

/* Remove it with all that is in it, however deep and whatever its permissions;
 * "" is allowed. */
void folder_remove(const char *path);

#endif
