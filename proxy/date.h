/* date.h - a moment as HTTP writes it (RFC 9110 5.6.7).  Pure. */
#ifndef PROXY_DATE_H
#define PROXY_DATE_H

#include <stdint.h>

/* "Sun, 06 Nov 1994 08:49:37 GMT" and its NUL */
enum { DATE_SIZE = 30 };

/* Write the moment, in seconds since 1970, as an IMF-fixdate.
 * Needs: a year of four digits. */
void date_write(char date[DATE_SIZE], int64_t seconds);

#endif
