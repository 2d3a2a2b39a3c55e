/* words.h - $WORDS in texts, and what stands in their place.
 */
#ifndef HARNESS_WORDS_H
#define HARNESS_WORDS_H

struct word {
	const char *name; /* such as "$LISTEN" */
	char value[96];
};

/* Put values in the place of names.  Where a name begins like another one, the
 * longer is meant.
 *
 * used:    gets the bit 1 << i of each words[i] that text has; may be NULL.
 * Returns: a new string, NULL when out of memory.
 */
char *words_fill(const char *text, const struct word *words, unsigned n_words,
    unsigned *used);

#endif
