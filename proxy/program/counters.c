/* counters.c - see counters.h. */
#include "proxy/program/counters.h"

#include <string.h>

/* What is not known counts as "-". */
static size_t
place_in(const char *letters, char letter)
{
	const char *at = letter != '\0' ? strchr(letters, letter) : NULL;

	return at != NULL ? (size_t)(at - letters) : 0;
}

static void
count_time(struct counters *c, int64_t us)
{
	static const int64_t bounds[N_BUCKETS] = {
#define X(text, bound) bound,
		COUNTERS_BUCKETS(X)
#undef X
	};
	size_t i = 0;

	while (us > bounds[i])
		i++;
	c->buckets[i]++;
	c->total_us += (uint64_t)us;
}

void
counters_add(struct counters *c, const struct proxy_account *a)
{
	size_t asked = a->n_attempts > 0 ? a->upstream + 1 : 0;
	size_t class = (size_t)a->status / 100;

	c->requests[asked][class < N_CLASSES ? class : 0]++;
	c->codes[place_in(COUNTERS_WHO, a->who)]
		[place_in(COUNTERS_WHEN, a->when)]++;
	c->n_retries += a->n_retries;
	if (a->n_attempts > 0)
		c->n_elsewhere += a->n_attempts - 1 - a->n_retries;
	c->n_reused += a->n_reused;
	c->n_fresh += a->n_attempts - a->n_reused;
	c->received += a->received;
	c->sent += a->sent;
	count_time(c, a->done_us - a->begun_us);
}
