/* tree.c - see tree.h. */
#include "harness/tree.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "harness/rank.h"

/* A thread that cannot be interrupted stops when the kernel is done with it;
 * but the parent of a vfork() waits for its child, which is stopped.  So many
 * looks, with a nap before each, which a busy machine makes longer. */
#define D_STATE_LOOKS  200
#define D_STATE_NAP_NS 1000000

struct state {
	char letter;   /* 'R', 'S', …; '\0': the task is gone */
	int n_threads; /* of its process */
	int cpu;       /* that it ran on last */
};

struct task {
	pid_t pid, tid;
	int stat_fd, runs_fd, children_fd;
	struct state state; /* as it was read last */
	uint64_t n_runs;    /* how often it was given a processor */
	int only_cpu;	    /* the one that it may run on, or -1 */
	bool is_ours;	    /* tree_stop() has stopped its process */
};

struct tree {
	pid_t root;
	int root_fd; /* the root's children */
	struct task *tasks;
	size_t n, room;
	bool blind; /* somebody could not be looked at */
	bool rests; /* as tree_rests() has said */
};

/* --------------------------------------------------------------- reading --- */

static int
open_file(pid_t pid, pid_t tid, const char *name)
{
	char path[64];

	snprintf(
	    path, sizeof path, "/proc/%d/task/%d/%s", (int)pid, (int)tid, name);
	return open(path, O_RDONLY | O_CLOEXEC);
}

/* Returns: bytes read, at most size - 1, with a zero behind them; 0 where the
 * task is gone. */
static size_t
read_file(int fd, char *text, size_t size)
{
	ssize_t n = pread(fd, text, size - 1, 0);

	text[n > 0 ? n : 0] = '\0';
	return n > 0 ? (size_t)n : 0;
}

/* "123 (a name) S …", proc(5). */
static char
read_state(struct task *t)
{
	char text[512], *end;
	int field = 3;

	t->state = (struct state){ '\0', 0, -1 };
	if (read_file(t->stat_fd, text, sizeof text) == 0 ||
	    (end = strrchr(text, ')')) == NULL || end[1] == '\0')
		return '\0';
	t->state.letter = end[2];
	for (const char *p = end + 2; *p != '\0' && field <= 39; p++) {
		if (*p != ' ')
			continue;
		if (++field == 20)
			t->state.n_threads = atoi(p + 1);
		else if (field == 39)
			t->state.cpu = atoi(p + 1);
	}
	return t->state.letter;
}

/* The third number of schedstat, which is the last. */
static uint64_t
read_runs(const struct task *t)
{
	char text[96];
	const char *last;

	if (read_file(t->runs_fd, text, sizeof text) == 0 ||
	    (last = strrchr(text, ' ')) == NULL)
		return 0;
	return strtoull(last, NULL, 10);
}

int64_t
tree_read_waited_ms(int fd)
{
	char text[96], *second;

	if (fd < 0 || read_file(fd, text, sizeof text) == 0)
		return 0;
	strtoull(text, &second, 10);
	return (int64_t)(strtoull(second, NULL, 10) / 1000000);
}

/* Processor time of a process; of those that it has waited for; or both.
 * stat's fields 14 to 17, in ticks. */
static int64_t
read_ticks(pid_t pid, int first, int last)
{
	char path[32], text[512], *p;
	int64_t ticks = 0;
	int fd, field = 3;

	snprintf(path, sizeof path, "/proc/%d/stat", (int)pid);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return 0;
	read_file(fd, text, sizeof text);
	close(fd);
	p = strrchr(text, ')');
	for (p = p != NULL ? p + 2 : text; *p != '\0' && field < last; p++)
		if (*p == ' ' && ++field >= first)
			ticks += strtoll(p + 1, NULL, 10);
	return ticks;
}

/* --------------------------------------------------------------- the list -- */

static void
close_task(struct task *t)
{
	const int fds[] = { t->stat_fd, t->runs_fd, t->children_fd };

	for (size_t i = 0; i < sizeof fds / sizeof *fds; i++)
		if (fds[i] >= 0)
			close(fds[i]);
}

static struct task *
find(const struct tree *tree, pid_t tid)
{
	for (size_t i = 0; i < tree->n; i++)
		if (tree->tasks[i].tid == tid)
			return &tree->tasks[i];
	return NULL;
}

static void
forget(struct tree *tree, size_t i)
{
	close_task(&tree->tasks[i]);
	tree->tasks[i] = tree->tasks[--tree->n];
}

/* What cannot be opened is gone, or there is no descriptor for it. */
static bool
is_gone(int error)
{
	return error == ENOENT || error == ESRCH;
}

static void
add_task(struct tree *tree, pid_t pid, pid_t tid)
{
	struct task t = { .pid = pid, .tid = tid };

	if (tree->n == tree->room) {
		size_t room = tree->room == 0 ? 8 : 2 * tree->room;
		struct task *more = realloc(tree->tasks, room * sizeof *more);

		if (more == NULL) {
			tree->blind = true;
			return;
		}
		tree->tasks = more;
		tree->room = room;
	}
	t.only_cpu = rank_processor(tid);
	t.runs_fd = t.children_fd = -1;
	if ((t.stat_fd = open_file(pid, tid, "stat")) >= 0 &&
	    (t.runs_fd = open_file(pid, tid, "schedstat")) >= 0 &&
	    (t.children_fd = open_file(pid, tid, "children")) >= 0) {
		read_state(&t);
		tree->tasks[tree->n++] = t;
		return;
	}
	tree->blind = tree->blind || !is_gone(errno);
	close_task(&t);
}

/* Add the threads of a process that are not in the list.  Returns: there were
 * any. */
static bool
add_process(struct tree *tree, pid_t pid)
{
	size_t before = tree->n;
	struct dirent *entry;
	char path[32];
	DIR *dir;

	snprintf(path, sizeof path, "/proc/%d/task", (int)pid);
	dir = opendir(path);
	if (dir == NULL)
		tree->blind = tree->blind || !is_gone(errno);
	while (dir != NULL && (entry = readdir(dir)) != NULL) {
		pid_t tid = atoi(entry->d_name);

		if (tid > 0 && find(tree, tid) == NULL)
			add_task(tree, pid, tid);
	}
	if (dir != NULL)
		closedir(dir);
	return tree->n != before;
}

/* "12 34 ": add those processes that are new.  The kernel tells a page at a
 * time, which may end within a number.  Returns: there were any. */
static bool
add_children(struct tree *tree, int children_fd)
{
	bool added = false;
	char text[4096];
	off_t at = 0;
	pid_t pid = 0;
	ssize_t n;

	do {
		n = pread(children_fd, text, sizeof text, at);
		for (ssize_t i = 0; i < n; i++) {
			if (text[i] >= '0' && text[i] <= '9') {
				pid = 10 * pid + (text[i] - '0');
				continue;
			}
			if (pid > 0 && find(tree, pid) == NULL)
				added = add_process(tree, pid) || added;
			pid = 0;
		}
		at += n;
	} while (n > (ssize_t)sizeof text / 2);
	return added;
}

/* How many of a process' threads are in the list. */
static long
count_threads(const struct tree *tree, pid_t pid)
{
	long n = 0;

	for (size_t i = 0; i < tree->n; i++)
		n += tree->tasks[i].pid == pid;
	return n;
}

/* Bring the list up to date, from the states that were just read.  Returns: it
 * was.  Of whoever has gone meanwhile the children may have been missed: they
 * have moved up, behind our back. */
static bool
update(struct tree *tree)
{
	bool same;

	tree->blind = tree->root_fd < 0;
	same = !add_children(tree, tree->root_fd);
	for (size_t i = 0; i < tree->n; i++) {
		/* A copy: to add somebody may move them all. */
		const struct task t = tree->tasks[i];

		if (t.state.letter == '\0') {
			forget(tree, i--);
			same = false;
			continue;
		}
		if (add_children(tree, t.children_fd))
			same = false;
		if (t.pid == t.tid &&
		    count_threads(tree, t.pid) < t.state.n_threads &&
		    add_process(tree, t.pid))
			same = false;
	}
	return same;
}

static bool
read_and_update(struct tree *tree)
{
	for (size_t i = 0; i < tree->n; i++)
		read_state(&tree->tasks[i]);
	return update(tree);
}

/* ----------------------------------------------------------------- resting - */

static bool
is_rest(char state)
{
	return state != 'R' && state != 'D';
}

/* Do all rest, one after the other?  n_runs is brought up to date. */
static bool
look(struct tree *tree, bool *same)
{
	*same = true;
	for (size_t i = 0; i < tree->n; i++) {
		struct task *t = &tree->tasks[i];
		uint64_t n_runs;

		if (!is_rest(read_state(t)))
			return false;
		n_runs = read_runs(t);
		*same = *same && n_runs == t->n_runs;
		t->n_runs = n_runs;
	}
	return true;
}

/* Whoever has not run between two looks has rested all the time.  Of several
 * that is needed: one of them may have been woken by another behind our back,
 * and that one have gone to sleep before we came to it. */
enum tree_rest
tree_rests(struct tree *tree)
{
	bool rested = tree->rests, same;

	tree->rests = false;
	if (!look(tree, &same))
		return TREE_RUNS;
	if (rested && same) {
		/* Who rests starts nobody; but the root may have. */
		tree->rests =
		    !add_children(tree, tree->root_fd) && !tree->blind;
		return tree->rests ? TREE_HAS_RESTED : TREE_RUNS;
	}
	tree->rests = update(tree) && !tree->blind &&
	    (tree->n <= 1 || (look(tree, &same) && same));
	return tree->rests ? TREE_RESTS : TREE_RUNS;
}

bool
tree_has_ended(const struct tree *tree, pid_t pid)
{
	/* A first thread may have ended before the others. */
	for (size_t i = 0; i < tree->n; i++)
		if (tree->tasks[i].tid == pid)
			return count_threads(tree, pid) == 1 &&
			    tree->tasks[i].state.letter == 'Z';
	return true;
}

bool
tree_ran(const struct tree *tree)
{
	for (size_t i = 0; i < tree->n; i++)
		if (read_runs(&tree->tasks[i]) != tree->tasks[i].n_runs)
			return true;
	return false;
}

int64_t
tree_used_ms(const struct tree *tree)
{
	int64_t ticks = read_ticks(tree->root, 16, 17);

	for (size_t i = 0; i < tree->n; i++)
		if (tree->tasks[i].pid == tree->tasks[i].tid)
			ticks += read_ticks(tree->tasks[i].pid, 14, 17);
	return ticks * 1000 / sysconf(_SC_CLK_TCK);
}

int64_t
tree_waited_ms(struct tree *tree, bool afresh)
{
	int64_t ms = 0;

	if (afresh)
		read_and_update(tree);
	for (size_t i = 0; i < tree->n; i++)
		ms += tree_read_waited_ms(tree->tasks[i].runs_fd);
	return ms;
}

bool
tree_is_confined(const struct tree *tree, int cpu)
{
	for (size_t i = 0; i < tree->n; i++)
		if (tree->tasks[i].only_cpu != cpu ||
		    tree->tasks[i].state.cpu != cpu)
			return false;
	return true;
}

void
tree_line_up(struct tree *tree)
{
	/* Until it is told, a thread may start another one. */
	do {
		while (!read_and_update(tree))
			continue;
		for (size_t i = 0; i < tree->n; i++)
			rank_line_up(tree->tasks[i].tid);
	} while (!read_and_update(tree));
}

/* ---------------------------------------------------------------- stopping - */

static bool
is_process(const struct task *t)
{
	return t->pid == t->tid;
}

/* Stop each process that is not stopped: not yet, or no longer, because
 * another one let it go on. */
static void
stop_all(struct tree *tree)
{
	for (size_t i = 0; i < tree->n; i++) {
		struct task *t = &tree->tasks[i];

		if (!is_process(t) || read_state(t) == 'T')
			continue;
		t->is_ours = true;
		kill(t->pid, SIGSTOP);
	}
}

/* May a thread still run?  'D': it cannot be stopped yet; '\0': no. */
static char
find_running(struct tree *tree)
{
	char found = '\0';

	for (size_t i = 0; i < tree->n; i++) {
		char state = read_state(&tree->tasks[i]);

		if (state == 'R' || state == 'S')
			return state;
		if (state == 'D')
			found = state;
	}
	return found;
}

static void
wait_until_stopped(struct tree *tree)
{
	const struct timespec nap = { 0, D_STATE_NAP_NS };
	unsigned n_looks = 0;
	char state;

	while ((state = find_running(tree)) != '\0') {
		n_looks = state == 'D' ? n_looks + 1 : 0;
		if (n_looks > D_STATE_LOOKS)
			return;
		if (state == 'D')
			nanosleep(&nap, NULL);
		else
			sched_yield();
		stop_all(tree);
	}
}

void
tree_stop(struct tree *tree)
{
	for (size_t i = 0; i < tree->n; i++)
		tree->tasks[i].is_ours = false;
	/* Until it is stopped, a process may start another one. */
	do {
		while (!read_and_update(tree))
			continue;
		stop_all(tree);
		wait_until_stopped(tree);
	} while (!read_and_update(tree));
}

void
tree_stop_resting(struct tree *tree)
{
	for (size_t i = 0; i < tree->n; i++)
		tree->tasks[i].is_ours = false;
	stop_all(tree);
	wait_until_stopped(tree);
}

void
tree_continue(struct tree *tree)
{
	for (size_t i = 0; i < tree->n; i++) {
		struct task *t = &tree->tasks[i];

		if (is_process(t) && t->is_ours)
			kill(t->pid, SIGCONT);
		t->is_ours = false;
	}
}

/* -------------------------------------------------------------------- life - */

const char *
tree_lacks(void)
{
	static const char *const names[] = { "stat", "schedstat", "children" };

	for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
		int fd = open_file(getpid(), getpid(), names[i]);

		if (fd < 0 && is_gone(errno))
			return "that a program is at rest is seen in /proc/PID/"
			       "task (stat, schedstat and, with "
			       "CONFIG_PROC_CHILDREN, children), which is not "
			       "there";
		if (fd >= 0)
			close(fd);
	}
	return NULL;
}

struct tree *
tree_new(pid_t root)
{
	struct tree *tree = calloc(1, sizeof *tree);

	if (tree == NULL)
		return NULL;
	tree->root = root;
	tree->root_fd = open_file(root, root, "children");
	return tree;
}

void
tree_free(struct tree *tree)
{
	if (tree == NULL)
		return;
	while (tree->n > 0)
		forget(tree, tree->n - 1);
	if (tree->root_fd >= 0)
		close(tree->root_fd);
	free(tree->tasks);
	free(tree);
}
