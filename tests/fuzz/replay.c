/* replay.c - runs a fuzz target over kept inputs, without a fuzzer.
 *
 *   replay FILE …
 *
 * TAP, a test for each file and one for leaks.  What a target finds aborts it,
 * so it runs in a child; behind a finding the next child goes on.
 */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static uint8_t bytes[1 << 20];
static int n_tests, n_failed;

static void
tell(int good, const char *name)
{
	const char *slash = strrchr(name, '/');

	printf("%sok %d - %s\n", good ? "" : "not ", ++n_tests,
	    slash == NULL ? name : slash + 1);
	n_failed += !good;
}

static void
run(const char *file)
{
	FILE *f = fopen(file, "rb");
	size_t size;

	if (f == NULL) {
		perror(file);
		exit(1);
	}
	size = fread(bytes, 1, sizeof bytes, f);
	fclose(f);
	LLVMFuzzerTestOneInput(bytes, size);
}

/* Run from *done on; it counts how far they came.  Returns: 0 where all went
 * well, to the end of the process. */
static int
run_in_child(char **files, int n, int *done)
{
	int status = 1;
	pid_t child;

	fflush(NULL);
	child = fork();
	if (child == 0) {
		for (; *done < n; ++*done)
			run(files[*done]);
		exit(0); /* leaks are looked for here */
	}
	if (child < 0 || waitpid(child, &status, 0) != child)
		return 1;
	return status;
}

int
main(int argc, char **argv)
{
	int n = argc - 1, leaked = 0, told = 0, status;
	int *done = mmap(NULL, sizeof *done, PROT_READ | PROT_WRITE,
	    MAP_SHARED | MAP_ANONYMOUS, -1, 0);

	if (done == MAP_FAILED)
		return 1;
	printf("1..%d\n", n + 1);
	while (told < n) {
		status = run_in_child(argv + 1, n, done);
		for (; told < *done; told++)
			tell(1, argv[1 + told]);
		leaked |= status != 0 && *done == n;
		if (*done < n) {
			tell(0, argv[1 + told++]);
			++*done;
		}
	}
	tell(!leaked, "nothing leaks");
	return n_failed != 0;
}
