/* list_file.h - the file of --retry-list. */
#ifndef PROXY_PROGRAM_LIST_FILE_H
#define PROXY_PROGRAM_LIST_FILE_H

#include "proxy/retry_list.h"

/* Put the file's lines into list, in place of what was there.
 *
 * Returns: 0, or -1 with a sentence in error that names the file and, where a
 *          line is bad, its number; list is then as it was.
 */
int list_file_read(
    const char *path, struct retry_list *, char *error, size_t error_size);

#endif
