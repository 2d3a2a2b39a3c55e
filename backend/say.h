/* say.h - put a mark into what a fault says, so that it is known again.
 *
 * Pure.
 */
#ifndef BACKEND_SAY_H
#define BACKEND_SAY_H

#include <stddef.h>

#include "backend/fault.h"

/* Room for what say_mark() adds. */
#define SAY_MARK_MAX 48

/* Copy bytes to out, which has room for size + SAY_MARK_MAX.  If they begin
 * with a whole status line, the mark header is put behind it.
 *
 * Returns: the new size.  status: of the response, 0 if it is none.
 */
size_t say_mark(
    char *out, const char *bytes, size_t size, unsigned long mark, int *status);

#endif
