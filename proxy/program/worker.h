/* worker.h - what serves: a proxy, its access log, its counters.  It runs in
 * the program's own loop, or in that of a process of its own. */
#ifndef PROXY_PROGRAM_WORKER_H
#define PROXY_PROGRAM_WORKER_H

#include "proxy/program/report.h"

struct event_base;
struct worker;

typedef void worker_over_fn(void *arg);

/* A base as a worker needs it.  Returns: NULL where that cannot be, and says
 * so. */
struct event_base *worker_base(void);

/* Serve clients of fd, a listening socket.
 *
 * Owns:    takes fd; borrows base and arguments.
 * Calls back: over, when nothing is left to serve after worker_drain(), or its
 *          time is over.
 * Returns: NULL, and says why on stderr.
 */
struct worker *worker_new(struct event_base *, const struct arguments *, int fd,
    worker_over_fn *over, void *over_arg);

/* Accept nobody any more, and finish what is in progress. */
void worker_drain(struct worker *);

/* Have another retry list (NULL: the same), and open the access log again. */
void worker_reload(struct worker *, const struct retry_list *);

/* Tell all but report.worker and .pid.  The status goes into text. */
void worker_report(struct worker *, struct report *, struct evbuffer *text);

/* Close every connection at once.  NULL is allowed. */
void worker_free(struct worker *);

#endif
