/* check.h - the whole unit test framework: TAP on stdout, exit status 0 or 1. */
#ifndef TESTS_CHECK_H
#define TESTS_CHECK_H

#include <stdio.h>

static int check_count, check_failures;

#define CHECK(cond, ...)                                                      \
	do {                                                                  \
		int ok_ = (cond);                                             \
		printf("%sok %d - ", ok_ ? "" : "not ", ++check_count);       \
		printf(__VA_ARGS__);                                          \
		putchar('\n');                                                \
		if (!ok_) {                                                   \
			check_failures++;                                     \
			printf("#   %s:%d: %s\n", __FILE__, __LINE__, #cond); \
		}                                                             \
	} while (0)

#define CHECK_DONE() (printf("1..%d\n", check_count), check_failures != 0)

#endif
