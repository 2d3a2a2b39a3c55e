/* tree.c - see tree.h. */
#include "harness/tree.h"

#include <dirent.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

struct task {
	pid_t pid, tid;
	int stat_fd, runs_fd, children_fd;
	uint64_t n_runs; /* how often it was given a processor */
	bool is_ours;	 /* tree_stop() has stopped its process */
};

struct tree {
	pid_t root;
	int root_fd; /* the root's children */
	struct task *tasks;
	size_t n, room;
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

/* "123 (a name) S …": its state, and how many threads its process has. */
static char
read_state(const struct task *t, long *n_threads)
{
	char text[512], *end;
	int field = 3;

	if (read_file(t->stat_fd, text, sizeof text) == 0 ||
	    (end = strrchr(text, ')')) == NULL || end[1] == '\0')
		return '\0';
	*n_threads = 0;
	for (char *p = end + 2; *p != '\0' && field <= 20; p++) {
		if (*p == ' ')
			field++;
		else if (field == 20) {
			*n_threads = strtol(p, NULL, 10);
			break;
		}
	}
	return end[2];
}

/* The third number of schedstat. */
static uint64_t
read_runs(const struct task *t)
{
	char text[96];
	unsigned long long n = 0;

	if (read_file(t->runs_fd, text, sizeof text) == 0 ||
	    sscanf(text, "%*u %*u %llu", &n) != 1)
		return 0;
	return n;
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

static void
add_task(struct tree *tree, pid_t pid, pid_t tid)
{
	struct task t = { .pid = pid, .tid = tid };

	if (tree->n == tree->room) {
		size_t room = tree->room == 0 ? 8 : 2 * tree->room;
		struct task *more = realloc(tree->tasks, room * sizeof *more);

		if (more == NULL)
			return;
		tree->tasks = more;
		tree->room = room;
	}
	t.stat_fd = open_file(pid, tid, "stat");
	t.runs_fd = open_file(pid, tid, "schedstat");
	t.children_fd = open_file(pid, tid, "children");
	if (t.stat_fd < 0 || t.runs_fd < 0 || t.children_fd < 0)
		close_task(&t); /* gone meanwhile */
	else
		tree->tasks[tree->n++] = t;
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
	while (dir != NULL && (entry = readdir(dir)) != NULL) {
		pid_t tid = atoi(entry->d_name);

		if (tid > 0 && find(tree, tid) == NULL)
			add_task(tree, pid, tid);
	}
	if (dir != NULL)
		closedir(dir);
	return tree->n != before;
}

/* "12 34 ": add those processes that are new.  Returns: there were any. */
static bool
add_children(struct tree *tree, int children_fd)
{
	bool added = false;
	char text[4096], *p = text, *end;
	long pid;

	read_file(children_fd, text, sizeof text);
	for (; (pid = strtol(p, &end, 10)) > 0 && end != p; p = end)
		if (find(tree, (pid_t)pid) == NULL)
			added = add_process(tree, (pid_t)pid) || added;
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

/* Bring the list up to date.  Returns: nothing was to be added. */
static bool
update(struct tree *tree)
{
	bool same = !add_children(tree, tree->root_fd);
	long n_threads;

	for (size_t i = 0; i < tree->n; i++) {
		if (read_state(&tree->tasks[i], &n_threads) == '\0') {
			forget(tree, i--);
			continue;
		}
		if (add_children(tree, tree->tasks[i].children_fd))
			same = false;
		if (tree->tasks[i].pid == tree->tasks[i].tid &&
		    count_threads(tree, tree->tasks[i].pid) < n_threads &&
		    add_process(tree, tree->tasks[i].pid))
			same = false;
	}
	return same;
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
	long n_threads;

	*same = true;
	for (size_t i = 0; i < tree->n; i++) {
		struct task *t = &tree->tasks[i];
		uint64_t n_runs;

		if (!is_rest(read_state(t, &n_threads)))
			return false;
		n_runs = read_runs(t);
		*same = *same && n_runs == t->n_runs;
		t->n_runs = n_runs;
	}
	return true;
}

bool
tree_rests(struct tree *tree)
{
	bool same;

	if (!look(tree, &same) || !update(tree))
		return false;
	/* One thread may have been woken by another behind our back, and that
	 * one have gone to sleep before we came to it.  Whoever has not run
	 * between two looks has rested all the time. */
	return tree->n <= 1 || (look(tree, &same) && same);
}

bool
tree_ran(const struct tree *tree)
{
	for (size_t i = 0; i < tree->n; i++)
		if (read_runs(&tree->tasks[i]) != tree->tasks[i].n_runs)
			return true;
	return false;
}

/* ---------------------------------------------------------------- stopping - */

/* Send a signal to each process of the list once. */
static void
tell(struct tree *tree, int signal)
{
	for (size_t i = 0; i < tree->n; i++)
		if (tree->tasks[i].pid == tree->tasks[i].tid &&
		    tree->tasks[i].is_ours)
			kill(tree->tasks[i].pid, signal);
}

static bool
all_stopped(struct tree *tree)
{
	long n_threads;

	for (size_t i = 0; i < tree->n; i++) {
		char state = read_state(&tree->tasks[i], &n_threads);

		if (state == 'R' || state == 'D' || state == 'S')
			return false;
	}
	return true;
}

void
tree_stop(struct tree *tree)
{
	long n_threads;

	while (!update(tree))
		continue;
	for (size_t i = 0; i < tree->n; i++)
		tree->tasks[i].is_ours =
		    read_state(&tree->tasks[i], &n_threads) != 'T';
	tell(tree, SIGSTOP);
	while (!all_stopped(tree))
		sched_yield();
}

void
tree_continue(struct tree *tree)
{
	tell(tree, SIGCONT);
	for (size_t i = 0; i < tree->n; i++)
		tree->tasks[i].is_ours = false;
}

/* -------------------------------------------------------------------- life - */

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
