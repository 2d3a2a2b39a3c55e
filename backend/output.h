/* output.h - lines on a descriptor that must never keep the program waiting.
 *
 * Lines are gathered and written when the loop comes to rest.  Where the
 * reader is slow they wait in a buffer; what finds no room there, or cannot be
 * written, is lost and counted.
 */
#ifndef BACKEND_OUTPUT_H
#define BACKEND_OUTPUT_H

#include <stdint.h>

struct event_base;
struct output;

/* Called once, when the first line is lost.  error: the errno; EAGAIN where
 * the descriptor is not read. */
typedef void output_lost_fn(int error);

/* Write to what fd is open on; fd itself stays open and as it is.  Returns:
 * NULL with errno. */
struct output *output_open(struct event_base *, int fd, output_lost_fn *);

/* Append a line; its newline is added here.  At most 4 KiB. */
void output_line(struct output *, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

/* No loop runs any more: from now on a full buffer waits for the reader as
 * long as it goes on reading, and half a second if it does not. */
void output_finish(struct output *);

/* Write what is left, as after output_finish().  NULL is allowed.  Returns:
 * how many lines were lost. */
uint64_t output_close(struct output *);

#endif
