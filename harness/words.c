/* words.c - see words.h. */
#include "harness/words.h"

#include <stdio.h>
#include <string.h>

/* Returns: the word that stands at the beginning of text, -1 for none. */
static int
find(const char *text, const struct word *words, unsigned n_words)
{
	size_t longest = 0;
	int found = -1;

	for (unsigned i = 0; i < n_words; i++) {
		size_t size = strlen(words[i].name);

		if (size > longest && strncmp(text, words[i].name, size) == 0) {
			longest = size;
			found = (int)i;
		}
	}
	return found;
}

char *
words_fill(const char *text, const struct word *words, unsigned n_words,
    unsigned *used)
{
	char *out = NULL;
	size_t size = 0;
	FILE *f = open_memstream(&out, &size);

	if (f == NULL)
		return NULL;
	while (*text != '\0') {
		int i = *text == '$' ? find(text, words, n_words) : -1;

		if (i < 0) {
			fputc(*text++, f);
			continue;
		}
		if (used != NULL)
			*used |= 1U << i;
		fputs(words[i].value, f);
		text += strlen(words[i].name);
	}
	return fclose(f) == 0 ? out : NULL;
}
