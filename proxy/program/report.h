/* report.h - what a worker says of itself when it is asked, and what is made
 * of it: metrics in Prometheus' text format, and the status as JSON.
 *
 * Pure: the answers go into an evbuffer.  Errors: out of memory shows as a text
 * that is cut short.
 */
#ifndef PROXY_PROGRAM_REPORT_H
#define PROXY_PROGRAM_REPORT_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

#include "proxy/program/address.h"
#include "proxy/program/arguments.h"
#include "proxy/program/counters.h"

struct evbuffer;

struct report {
	int worker; /* from 1 */
	pid_t pid;
	bool answered; /* where not, what follows is nothing */
	struct counters counters;
	const char *status; /* members of a JSON object; borrowed */
	size_t status_size;
};

/* What is known of the program as a whole. */
struct report_program {
	const struct arguments *arguments;
	char listening[ADDRESS_TEXT];
	int64_t started_us; /* since 1970 */
	bool draining;
	unsigned long n_lists_read, n_lists_refused; /* by SIGHUP */
};

void report_metrics(struct evbuffer *, const struct report_program *,
    const struct report *, size_t n);
void report_status(struct evbuffer *, const struct report_program *,
    const struct report *, size_t n);

/* A worker's own part of the status, for report.status. */
void report_worker(struct evbuffer *, const struct proxy *,
    const struct arguments *, bool draining);

#endif
