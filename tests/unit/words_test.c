/* What stands in the place of $WORDS. */
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "check.h"
#include "harness/words.h"

static const struct word words[] = { { "$PORT", "80" }, { "$PORT_FD", "3" },
	{ "$POR", "short" }, { "$EMPTY", "" } };

#define N_WORDS (sizeof words / sizeof *words)

static bool
becomes(const char *text, const char *expected, unsigned expected_used)
{
	unsigned used = 0;
	char *filled = words_fill(text, words, N_WORDS, &used);
	bool good = filled != NULL && strcmp(filled, expected) == 0 &&
	    used == expected_used;

	if (!good)
		printf("# '%s' became '%s', used %u\n", text,
		    filled != NULL ? filled : "(null)", used);
	free(filled);
	return good;
}

int
main(void)
{
	unsigned used = 1U << 2;
	char *filled;

	CHECK(becomes("", "", 0), "an empty text stays empty");
	CHECK(becomes("no word", "no word", 0), "a text without one stays");
	CHECK(becomes("a$PORT-b", "a80-b", 1), "a word may stand anywhere");
	CHECK(becomes("$PORT$PORT", "8080", 1), "a word may stand twice");
	CHECK(becomes("$PORT_FD", "3", 2),
	    "of two names that begin alike the longer is meant, listed later");
	CHECK(becomes("$POR+", "short+", 4),
	    "of three names that begin alike the shortest, where it stands");
	CHECK(becomes("$PORT_F", "80_F", 1),
	    "behind a name, what does not belong to a longer one stays");
	CHECK(becomes("[$EMPTY]", "[]", 8), "a value may be empty");
	CHECK(becomes("$", "$", 0), "a $ alone stays");
	CHECK(becomes("$$ $", "$$ $", 0), "so do several");
	CHECK(becomes("$$PORT", "$80", 1), "a $ in front of a word stays");
	CHECK(becomes("$UNKNOWN $port", "$UNKNOWN $port", 0),
	    "an unknown word stays");
	CHECK(becomes("$PORT $EMPTY", "80 ", 1 | 8),
	    "each word that was used is told");
	free(words_fill("$PORT", words, N_WORDS, &used));
	CHECK(used == (1 | 4), "what was used before stays told");
	filled = words_fill("$PORT", words, N_WORDS, NULL);
	CHECK(filled != NULL && strcmp(filled, "80") == 0,
	    "nobody need ask what was used");
	free(filled);
	return CHECK_DONE();
}
