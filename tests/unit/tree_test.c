/* Is a program at rest, and stopping it.  The program is what descends from
 * this one; each has its orders from a pipe, and ends when that does. */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "check.h"
#include "harness/tree.h"

#define PATIENCE_S 60
#define MANY	   2000 /* looks */

/* What all processes share. */
static struct shared {
	atomic_bool over; /* whoever is busy ends that */
	atomic_ulong n[8];
	atomic_int pid;
} * shared;

/* ------------------------------------------------------------ the program -- */

struct child {
	pid_t pid;
	int fd; /* closed: it ends */
	int told_fd;
};

static int orders_fd, tell_fd;

/* Rest until there is something to do, or nothing ever will be. */
static void
block(void)
{
	char c;

	while (read(orders_fd, &c, 1) < 0 && errno == EINTR)
		continue;
}

static void
tell(void)
{
	if (write(tell_fd, "!", 1) != 1)
		_exit(1);
}

static void
spin(unsigned i)
{
	while (!shared->over)
		shared->n[i]++;
}

static void
spin_0(void)
{
	spin(0);
}

static void
spin_1(void)
{
	spin(1);
}

static struct child
start(void (*what)(void))
{
	int orders[2], told[2];
	struct child c;

	if (pipe2(orders, O_CLOEXEC) != 0 || pipe2(told, O_CLOEXEC) != 0)
		abort();
	c.pid = fork();
	if (c.pid == 0) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		close(orders[1]);
		close(told[0]);
		orders_fd = orders[0];
		tell_fd = told[1];
		what();
		_exit(0);
	}
	close(orders[0]);
	close(told[1]);
	c.fd = orders[1];
	c.told_fd = told[0];
	return c;
}

/* Wait until it has told something. */
static bool
hear(const struct child *c)
{
	struct pollfd p = { .fd = c->told_fd, .events = POLLIN };
	char byte;

	return poll(&p, 1, PATIENCE_S * 1000) == 1 &&
	    read(c->told_fd, &byte, 1) == 1;
}

static void
order(const struct child *c)
{
	if (write(c->fd, "!", 1) != 1)
		abort();
}

static void
end(struct child *c)
{
	shared->over = true;
	close(c->fd);
	close(c->told_fd);
	kill(c->pid, SIGKILL);
	waitpid(c->pid, NULL, 0);
	shared->over = false;
}

/* --------------------------------------------------------------- looking --- */

/* It rests, sooner or later. */
static bool
comes_to_rest(struct tree *tree)
{
	time_t start_s = time(NULL);

	while (!tree_rests(tree)) {
		if (time(NULL) - start_s > PATIENCE_S)
			return false;
		sched_yield();
	}
	return true;
}

/* However often one looks. */
static bool
never_rests(struct tree *tree)
{
	for (unsigned i = 0; i < MANY; i++)
		if (tree_rests(tree))
			return false;
	return true;
}

static char
state_of(pid_t pid, pid_t tid)
{
	char path[64], state = '\0';
	FILE *f;

	snprintf(path, sizeof path, "/proc/%d/task/%d/stat", pid, tid);
	f = fopen(path, "r");
	if (f != NULL) {
		if (fscanf(f, "%*d (%*[^)]) %c", &state) != 1)
			state = '\0';
		fclose(f);
	}
	return state;
}

/* Is every descendant stopped, or dead? */
static bool
all_stopped(pid_t pid)
{
	char path[64];
	bool good = true;
	int child;
	FILE *f;

	snprintf(path, sizeof path, "/proc/%d/task/%d/children", pid, pid);
	f = fopen(path, "r");
	while (f != NULL && fscanf(f, "%d", &child) == 1) {
		char state = state_of(child, child);

		good = good && (state == 'T' || state == 'Z') &&
		    all_stopped(child);
	}
	if (f != NULL)
		fclose(f);
	return good;
}

/* ----------------------------------------------------------------- resting - */

static void
nothing(struct tree *tree)
{
	CHECK(tree_rests(tree), "a program of which nothing is left rests");
	tree_stop(tree);
	tree_continue(tree);
	CHECK(tree_rests(tree), "and can be stopped");
}

static void
work_once(void)
{
	block();
	tell();
	spin(0);
	block();
}

static void
one(struct tree *tree)
{
	struct child c = start(work_once);

	CHECK(comes_to_rest(tree), "who waits for something to read rests");
	order(&c);
	CHECK(!tree_rests(tree), "not any more, when it has got it");
	hear(&c);
	CHECK(never_rests(tree), "who is busy never rests");
	shared->over = true;
	CHECK(comes_to_rest(tree), "until it has done its work");
	shared->over = false;
	end(&c);
	CHECK(comes_to_rest(tree), "when it has gone, nothing is left to rest");
}

static void
answer_each(void)
{
	char c;

	while (read(orders_fd, &c, 1) == 1)
		tell();
}

/* What is said of it first when it rests again. */
static enum tree_rest
rests_again(struct tree *tree)
{
	enum tree_rest rest;

	while ((rest = tree_rests(tree)) == TREE_RUNS)
		sched_yield();
	return rest;
}

static void
ever_since(struct tree *tree)
{
	struct child c = start(answer_each), other;

	CHECK(rests_again(tree) == TREE_RESTS, "who has started rests");
	CHECK(tree_rests(tree) == TREE_HAS_RESTED, "and goes on resting");
	order(&c);
	hear(&c);
	CHECK(rests_again(tree) == TREE_RESTS, "who has run rests again");
	CHECK(tree_rests(tree) == TREE_HAS_RESTED, "and goes on again");
	other = start(block);
	CHECK(rests_again(tree) == TREE_RESTS, "so does one who joins");
	CHECK(tree_rests(tree) == TREE_HAS_RESTED, "both go on");
	end(&other);
	CHECK(rests_again(tree) == TREE_RESTS, "who has ended has not rested");
	end(&c);
}

static int ball[2][2];

/* Get the ball from one pipe, give it to the other. */
static void *
play(void *arg)
{
	const int *from = ball[(size_t)arg], *to = ball[1 - (size_t)arg];
	char c;

	while (read(from[0], &c, 1) == 1 && !shared->over)
		if (write(to[1], &c, 1) != 1)
			break;
	return NULL;
}

static void
throw_in(void)
{
	if (write(ball[0][1], "o", 1) != 1)
		_exit(1);
	tell();
}

static void
play_with_a_process(void)
{
	if (fork() == 0) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		play((void *)1);
		block();
		_exit(0);
	}
	throw_in();
	play(NULL);
	block();
}

static void
play_with_a_thread(void)
{
	pthread_t thread;

	pthread_create(&thread, NULL, play, (void *)1);
	throw_in();
	play(NULL);
	block();
}

static void
two(struct tree *tree, void (*players)(void), const char *name)
{
	struct child c;

	if (pipe(ball[0]) != 0 || pipe(ball[1]) != 0)
		abort();
	c = start(players);
	hear(&c);
	CHECK(never_rests(tree),
	    "two %s that wake one another in turn never rest", name);
	shared->over = true;
	CHECK(comes_to_rest(tree), "until they stop that");
	end(&c);
	for (int i = 0; i < 4; i++)
		close(ball[i / 2][i % 2]);
}

/* Two on one processor; each counts what it does. */
static void
share(struct tree *tree)
{
	struct child a, b;
	cpu_set_t one, all;
	int64_t used_ms, waited_ms;

	sched_getaffinity(0, sizeof all, &all);
	CPU_ZERO(&one);
	for (size_t cpu = 0; CPU_COUNT(&one) == 0; cpu++)
		if (CPU_ISSET(cpu, &all))
			CPU_SET(cpu, &one);
	sched_setaffinity(0, sizeof one, &one);
	a = start(spin_0);
	b = start(spin_1);
	sched_setaffinity(0, sizeof all, &all);
	waited_ms = tree_waited_ms(tree, true);
	used_ms = tree_used_ms(tree);
	do
		sched_yield();
	while (tree_used_ms(tree) < used_ms + 100);
	CHECK(shared->n[0] > 0 || shared->n[1] > 0,
	    "who uses a processor has done something for it");
	CHECK(tree_waited_ms(tree, true) > waited_ms,
	    "of two that share one, one waits");
	end(&a);
	end(&b);
	CHECK(comes_to_rest(tree), "and nobody when both have gone");
}

static void *
be_busy(void *arg)
{
	tell();
	spin((unsigned)(size_t)arg);
	return NULL;
}

static void
make_a_child(void)
{
	block();
	if (fork() == 0) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		be_busy(NULL);
		block();
		_exit(0);
	}
	block();
}

static void
make_a_thread(void)
{
	pthread_t thread;

	block();
	pthread_create(&thread, NULL, be_busy, NULL);
	block();
}

/* A child of a thread that is not the first one. */
static void *
make_a_child_beside(void *arg)
{
	make_a_child();
	return NULL;
}

static void
make_a_thread_s_child(void)
{
	pthread_t thread;

	pthread_create(&thread, NULL, make_a_child_beside, NULL);
	pthread_join(thread, NULL);
}

static void
newcomer(struct tree *tree, void (*maker)(void), const char *name)
{
	struct child c = start(maker);

	comes_to_rest(tree);
	order(&c);
	hear(&c);
	CHECK(never_rests(tree), "%s is found", name);
	shared->over = true;
	CHECK(comes_to_rest(tree), "and rests when it is done");
	end(&c);
}

/* Forks, and ends; the child goes on. */
static void
hand_over(void)
{
	prctl(PR_SET_CHILD_SUBREAPER, 0);
	if (fork() == 0) {
		if (fork() != 0)
			_exit(0);
		setsid();
		shared->pid = getpid();
		be_busy(NULL);
		block();
		_exit(0);
	}
	wait(NULL);
}

static void
orphan(struct tree *tree)
{
	struct child c = start(hand_over);

	hear(&c);
	CHECK(never_rests(tree), "who has lost its parents is found");
	kill(shared->pid, SIGKILL);
	waitpid(shared->pid, NULL, 0);
	end(&c);
}

/* More than the kernel tells at once. */
static void
crowd(struct tree *tree)
{
	enum { N = 1000 };
	struct rlimit was, more;
	struct child *c = calloc(N + 1, sizeof *c);

	getrlimit(RLIMIT_NOFILE, &was);
	more = was;
	more.rlim_cur = more.rlim_max < 8192 ? more.rlim_max : 8192;
	setrlimit(RLIMIT_NOFILE, &more);
	for (int i = 0; i < N; i++)
		c[i] = start(block);
	c[N] = start(work_once);
	CHECK(comes_to_rest(tree), "a thousand processes rest");
	order(&c[N]);
	hear(&c[N]);
	CHECK(!tree_rests(tree), "unless the last of them does not");
	shared->over = true;
	for (int i = 0; i <= N; i++)
		end(&c[i]);
	setrlimit(RLIMIT_NOFILE, &was);
	free(c);
}

static void
unseen(struct tree *tree)
{
	struct child c = start(block);
	struct rlimit was, now;
	int next = dup(0);
	bool rests;

	getrlimit(RLIMIT_NOFILE, &was);
	close(next);
	now = was;
	while (state_of(c.pid, c.pid) != 'S')
		sched_yield();
	for (int i = 0; i <= 3; i++) {
		now.rlim_cur = (rlim_t)(next + i);
		setrlimit(RLIMIT_NOFILE, &now);
		rests = tree_rests(tree) || tree_rests(tree);
		setrlimit(RLIMIT_NOFILE, &was);
		CHECK(!rests,
		    "who cannot be looked at does not rest (%d descriptors)",
		    i);
	}
	CHECK(comes_to_rest(tree), "who can be looked at again does");
	end(&c);
}

/* ---------------------------------------------------------------- stopping - */

static void
be_four(void)
{
	pthread_t thread;

	tell_fd = open("/dev/null", O_WRONLY);
	for (unsigned i = 0; i < 2; i++)
		if (fork() == 0) {
			prctl(PR_SET_PDEATHSIG, SIGKILL);
			spin(i);
			_exit(0);
		}
	pthread_create(&thread, NULL, be_busy, (void *)2);
	spin(3);
}

/* Do all four go on? */
static bool
all_move(void)
{
	unsigned long was[4];
	time_t start_s = time(NULL);

	for (int i = 0; i < 4; i++)
		was[i] = shared->n[i];
	for (int i = 0; i < 4; i++)
		while (shared->n[i] == was[i]) {
			if (time(NULL) - start_s > PATIENCE_S)
				return false;
			sched_yield();
		}
	return true;
}

static bool
any_moves(void)
{
	unsigned long was[4];
	bool moved = false;

	for (int i = 0; i < 4; i++)
		was[i] = shared->n[i];
	for (int k = 0; k < 1000; k++)
		sched_yield();
	for (int i = 0; i < 4; i++)
		moved = moved || shared->n[i] != was[i];
	return moved;
}

static void
stopped(struct tree *tree)
{
	struct child c = start(be_four);

	all_move();
	for (int i = 0; i < 3; i++) {
		tree_stop(tree);
		CHECK(all_stopped(getpid()), "who is to be stopped is");
		CHECK(!any_moves(), "none of its processes and threads runs");
		CHECK(tree_rests(tree), "who is stopped rests");
		tree_continue(tree);
		CHECK(all_move(), "who may go on does, all of it");
	}
	end(&c);
}

/* It makes children as fast as it can. */
static void
multiply(void)
{
	while (!shared->over) {
		if (fork() == 0) {
			shared->n[0]++;
			_exit(0);
		}
		wait(NULL);
	}
}

static void
stopped_in_flight(struct tree *tree)
{
	struct child c[3];
	unsigned n_bad = 0;

	for (int i = 0; i < 3; i++)
		c[i] = start(multiply);
	for (int i = 0; i < 100; i++) {
		unsigned long was = shared->n[0];

		tree_stop(tree);
		n_bad += !all_stopped(getpid());
		tree_continue(tree);
		while (shared->n[0] == was)
			sched_yield();
	}
	CHECK(n_bad == 0, "nor a process that is just being made (%u of 100)",
	    n_bad);
	for (int i = 0; i < 3; i++)
		end(&c[i]);
}

static void
stop_oneself(void)
{
	raise(SIGSTOP);
	tell();
	block();
}

static void
stopped_by_itself(struct tree *tree)
{
	struct child sleeper = start(stop_oneself), worker = start(work_once);
	int status;

	waitpid(sleeper.pid, &status, WUNTRACED);
	CHECK(WIFSTOPPED(status), "a program has stopped itself");
	order(&worker);
	hear(&worker);
	tree_stop(tree);
	CHECK(all_stopped(getpid()), "the others are stopped, too");
	tree_continue(tree);
	for (unsigned long was = shared->n[0]; shared->n[0] == was;)
		sched_yield();
	CHECK(state_of(sleeper.pid, sleeper.pid) == 'T',
	    "when the others go on, it stays stopped");
	kill(sleeper.pid, SIGCONT);
	CHECK(hear(&sleeper), "until somebody else lets it go on");
	end(&worker);
	end(&sleeper);
}

/* Somebody lets it go on that we have stopped, until he is stopped himself. */
static void
wake_the_other(void)
{
	tell();
	while (!shared->over)
		kill(shared->pid, SIGCONT);
}

static void
stopped_against_another(struct tree *tree)
{
	struct child worker = start(work_once), waker;
	unsigned n_bad = 0;

	order(&worker);
	hear(&worker);
	shared->pid = worker.pid;
	waker = start(wake_the_other);
	hear(&waker);
	for (int i = 0; i < 50; i++) {
		tree_stop(tree);
		n_bad += !all_stopped(getpid());
		tree_continue(tree);
	}
	CHECK(
	    n_bad == 0, "who is woken by another one is stopped all the same");
	end(&waker);
	end(&worker);
}

static void
fork_slowly(void)
{
	/* As vfork() does it, of which the compiler would not let us say more
	 * than exec. */
	pid_t pid =
	    (pid_t)syscall(SYS_clone, CLONE_VFORK | SIGCHLD, 0, 0, 0, 0);

	if (pid == 0) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		tell();
		block();
		_exit(0);
	}
	tell();
	block();
}

static void
stopped_in_vfork(struct tree *tree)
{
	struct child c = start(fork_slowly);

	hear(&c);
	CHECK(
	    never_rests(tree), "who waits for its child's exec does not rest");
	tree_stop(tree);
	CHECK(true, "it does not keep the others from being stopped");
	tree_continue(tree);
	order(&c);
	CHECK(hear(&c), "and goes on with its child");
	end(&c);
}

int
main(void)
{
	struct tree *tree = tree_new(getpid());

	setvbuf(
	    stdout, NULL, _IOLBF, 0); /* who forks has nothing to say twice */
	prctl(PR_SET_CHILD_SUBREAPER, 1);
	shared = mmap(NULL, sizeof *shared, PROT_READ | PROT_WRITE,
	    MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	nothing(tree);
	one(tree);
	ever_since(tree);
	two(tree, play_with_a_process, "processes");
	two(tree, play_with_a_thread, "threads");
	share(tree);
	newcomer(tree, make_a_child, "a new child");
	newcomer(tree, make_a_thread, "a new thread");
	newcomer(tree, make_a_thread_s_child, "a thread's new child");
	orphan(tree);
	crowd(tree);
	unseen(tree);
	stopped(tree);
	stopped_in_flight(tree);
	stopped_by_itself(tree);
	stopped_against_another(tree);
	stopped_in_vfork(tree);
	tree_free(tree);
	while (waitpid(-1, NULL, 0) > 0)
		continue; /* what others have left to us */
	return CHECK_DONE();
}
