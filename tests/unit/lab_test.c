/* What a lab does where something is lacking that it cannot do without. */
#include <event2/event.h>
#include <stdbool.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <unistd.h>

#include "check.h"
#include "harness/lab.h"

/* libevent's n-th allocation from now fails; 0: none. */
static unsigned countdown;

static bool
fails(void)
{
	return countdown > 0 && --countdown == 0;
}

static void *
scarce_malloc(size_t size)
{
	return fails() ? NULL : malloc(size);
}

static void *
scarce_realloc(void *p, size_t size)
{
	return fails() ? NULL : realloc(p, size);
}

/* A lab either is what it should be, or is not. */
static bool
is_usable(struct lab *lab)
{
	return lab_settle(lab) == LAB_MOVED && lab_pass_time(lab) == LAB_STUCK;
}

static void
no_memory(void)
{
	unsigned n_none = 0, n_bad = 0;
	struct lab *lab;

	for (unsigned n = 1; n < 60; n++) {
		countdown = n;
		lab = lab_new(1000);
		countdown = 0;
		n_none += lab == NULL;
		n_bad += lab != NULL && !is_usable(lab);
		lab_free(lab);
	}
	CHECK(n_none > 5, "without libevent's memory there is no lab (%u)",
	    n_none);
	CHECK(n_bad == 0, "a lab that is made can be used");
}

static void
no_descriptor(void)
{
	struct rlimit was, now;
	struct lab *lab;
	int next = dup(0);

	getrlimit(RLIMIT_NOFILE, &was);
	close(next);
	now = was;
	now.rlim_cur = (rlim_t)next;
	setrlimit(RLIMIT_NOFILE, &now);
	lab = lab_new(1000);
	setrlimit(RLIMIT_NOFILE, &was);
	CHECK(lab == NULL, "without a descriptor for epoll there is no lab");
	lab_free(lab);
}

int
main(void)
{
	event_set_mem_functions(scarce_malloc, scarce_realloc, free);
	no_memory();
	no_descriptor();
	return CHECK_DONE();
}
