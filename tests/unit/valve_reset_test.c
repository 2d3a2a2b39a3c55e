/* A new beginning of the backend: whoever still has a connection is told, also
 * of those that have ended. */
#include "check.h"
#include "rig.h"

#define WARM "GET /id/w/warm HTTP/1.1\r\nHost: t\r\n\r\n"

/* What the peer's kernel knows, whether its program looks or not. */
static bool
was_told_by_reset(int fd)
{
	struct pollfd p = { .fd = fd };

	return poll(&p, 1, 0) == 1 && (p.revents & POLLERR) != 0;
}

static void
new_beginning(enum ending ending)
{
	struct rig *r = rig_open(NULL);
	int fd = peer_dial(r), next;
	char error[128];

	peer_ask(r, fd, WARM);
	CHECK(backend_end(
		  r->backend, 1, ending, NULL, 0, error, sizeof error) == 0,
	    "%s of an idle connection", fault_ending_name(ending));
	CHECK(!was_told_by_reset(fd), "is no reset");
	backend_reset(r->backend);
	CHECK(was_told_by_reset(fd), "a new beginning is one");
	next = peer_dial(r);
	peer_ask(r, next, WARM);
	CHECK(r->n_got > 0 && r->fate == OPEN, "and others can come");
	close(next);
	close(fd);
	rig_close(r);
}

static int
next_descriptor(void)
{
	int fd = dup(0);

	close(fd);
	return fd;
}

/* More than are kept for a new beginning: the oldest are given back. */
static void
many_plain(void)
{
	enum { MANY = 100, KEPT = 64 };
	struct rig *r = rig_open(NULL);
	int fds[MANY], first = next_descriptor(), n_told = 0;
	char error[128];

	for (unsigned n = 0; n < MANY; n++) {
		fds[n] = peer_dial(r);
		rig_pump(r);
		backend_end(r->backend, n + 1, ENDING_PLAIN, NULL, 0, error,
		    sizeof error);
	}
	backend_reset(r->backend);
	for (int n = 0; n < MANY; n++) {
		n_told += was_told_by_reset(fds[n]);
		close(fds[n]);
	}
	CHECK(n_told == KEPT, "%d of %d plain ends are told, want %d", n_told,
	    MANY, KEPT);
	CHECK(next_descriptor() == first, "no descriptor is left");
	rig_close(r);
}

int
main(void)
{
	static const enum ending endings[] = { ENDING_FIN, ENDING_HALF,
		ENDING_PLAIN, ENDING_STALL, ENDING_VANISH };

	for (size_t i = 0; i < sizeof endings / sizeof *endings; i++)
		if (endings[i] != ENDING_VANISH ||
		    backend_cannot_vanish() == NULL)
			new_beginning(endings[i]);
	many_plain();
	return CHECK_DONE();
}
