/* line.h - an exchange as a line of the access log.
 *
 * Pure: facts in, text out.  Whatever a client sends stays inside its field: no
 * control character, quote, backslash or byte above 0x7e is written as it is.
 */
#ifndef PROXY_PROGRAM_LINE_H
#define PROXY_PROGRAM_LINE_H

#include <stddef.h>
#include <stdint.h>

#include "proxy/proxy.h"

/* A whole line, its newline included: what a pipe takes in one piece. */
#define LINE_SIZE	 4096
#define LINE_REQUEST_MAX 2800 /* of it, for the escaped request line */

enum line_format { LINE_TEXT, LINE_JSON };

struct line_facts {
	int64_t begun_us;	       /* since 1970 */
	const char *client, *upstream; /* ADDR:PORT; NULL: none */
	const char *head;	       /* what is known of the request's head */
	size_t head_size;	       /* 0: nothing */
	const struct proxy_account *account;
};

/* Write a line.  Returns: its size. */
size_t line_write(
    char out[LINE_SIZE], enum line_format, const struct line_facts *);

/* Write 2026-11-24T21:45:32.123Z.  Returns: its size. */
#define LINE_TIME_SIZE 32
size_t line_write_time(char out[LINE_TIME_SIZE], int64_t us);

#endif
