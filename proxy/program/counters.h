/* counters.h - what one worker has counted since it started, and what it has
 * open now.  All zero is none.  No pointers: it is sent as it is. */
#ifndef PROXY_PROGRAM_COUNTERS_H
#define PROXY_PROGRAM_COUNTERS_H

#include <stdint.h>

#include "proxy/options.h"
#include "proxy/proxy.h"

/*	seconds	microseconds	*/
#define COUNTERS_BUCKETS(X) \
	X("0.00025", 250)   \
	X("0.0005", 500)    \
	X("0.001", 1000)    \
	X("0.0025", 2500)   \
	X("0.005", 5000)    \
	X("0.01", 10000)    \
	X("0.025", 25000)   \
	X("0.05", 50000)    \
	X("0.1", 100000)    \
	X("0.25", 250000)   \
	X("0.5", 500000)    \
	X("1", 1000000)     \
	X("2.5", 2500000)   \
	X("5", 5000000)     \
	X("10", 10000000)   \
	X("+Inf", INT64_MAX)

#define X(text, us) +1
enum { N_BUCKETS = COUNTERS_BUCKETS(X) };
#undef X

/* Of account.who and .when, in this order. */
#define COUNTERS_WHO  "-CcUuPI"
#define COUNTERS_WHEN "-RCSHDT"
enum { N_WHO = sizeof COUNTERS_WHO - 1, N_WHEN = sizeof COUNTERS_WHEN - 1 };

/* "none", "1xx" … "5xx"; and the upstreams behind "none". */
enum { N_CLASSES = 6, N_ASKED = PROXY_UPSTREAMS_MAX + 1 };

struct counters {
	int64_t started_us; /* since 1970 */

	uint64_t requests[N_ASKED][N_CLASSES];
	uint64_t codes[N_WHO][N_WHEN];
	uint64_t n_retries, n_elsewhere;
	uint64_t n_reused, n_fresh; /* attempts */
	uint64_t received, sent;
	uint64_t buckets[N_BUCKETS]; /* each without those below it */
	uint64_t total_us;
	uint64_t n_sessions, n_upstreams; /* opened */
	uint64_t n_lost;		  /* lines of the access log */

	uint64_t n_sessions_open, n_upstreams_open;
	uint64_t n_idle[PROXY_UPSTREAMS_MAX];
};

/* Count an exchange that is over. */
void counters_add(struct counters *, const struct proxy_account *);

#endif
