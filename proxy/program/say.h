/* say.h - what the program has to say on stderr: one line, written at once, so
 * that the lines of several processes do not mix. */
#ifndef PROXY_PROGRAM_SAY_H
#define PROXY_PROGRAM_SAY_H

#define PROGRAM_NAME "closerace-proxy"

/* From now on it is the n-th worker that speaks. */
void say_as_worker(int number);

/* "closerace-proxy: …", or "closerace-proxy: worker N: …", and a newline. */
void say(const char *format, ...) __attribute__((format(printf, 1, 2)));

#endif
