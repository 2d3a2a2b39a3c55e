/* What a lab does where something is lacking that it cannot do without. */
#include <event2/event.h>
#include <netinet/in.h>
#include <stdbool.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include "check.h"
#include "backend/endpoint.h"
#include "harness/client.h"
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

/* -------------------------------------------------------- full listeners -- */

#define N_CLIENTS 12

static unsigned n_accepted;

static void
accept_all(evutil_socket_t fd, short what, void *arg)
{
	while (accept4(fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC) >= 0)
		n_accepted++;
}

/* Clients connect to a listener that has room for one or two. */
static void
full_listener(void)
{
	const struct client_request request = { .timeout_ms = 60000 };
	struct lab *lab = lab_new(60000);
	struct sockaddr_in address;
	struct endpoint to;
	struct event *ev;
	int fd = lab_listen(lab, &address);

	endpoint_of(&to, &address);
	listen(fd, 1);
	for (int i = 0; i < N_CLIENTS; i++)
		client_start(client_new(lab, &to, 60000), &request);
	CHECK(lab_settle(lab) == LAB_MOVED && lab_now_ms(lab) == 0,
	    "where nobody accepts, a full listener is nothing to wait for");
	ev = event_new(
	    lab_base(lab), fd, EV_READ | EV_PERSIST, accept_all, NULL);
	event_add(ev, NULL);
	lab_settle(lab);
	CHECK(n_accepted == N_CLIENTS,
	    "where somebody does, time does not go by before all have "
	    "connected (%u)",
	    n_accepted);
	CHECK(lab_pass_time(lab) == LAB_MOVED && lab_now_ms(lab) == 60000,
	    "then it does");
	event_free(ev);
	close(fd);
	lab_free(lab);
}

int
main(void)
{
	event_set_mem_functions(scarce_malloc, scarce_realloc, free);
	no_memory();
	no_descriptor();
	full_listener();
	return CHECK_DONE();
}
