/* line.c - see line.h.  Both formats go through the same calls, so that they
 * have the same fields under the same names.  printf would cost several times as
 * much; what is inline, is so that the keys' lengths are known beforehand. */
#include "proxy/program/line.h"

#include <assert.h>
#include <string.h>
#include <time.h>

enum { WHY_MAX = 256 };

struct out {
	char *begin, *at;
	bool json;
};

static inline void
put(struct out *o, const char *text)
{
	size_t n = strlen(text);

	memcpy(o->at, text, n);
	o->at += n;
}

static void
put_number(struct out *o, uint64_t n)
{
	char digits[20];
	size_t size = 0;

	do
		digits[sizeof digits - ++size] = (char)('0' + n % 10);
	while ((n /= 10) > 0);
	memcpy(o->at, digits + sizeof digits - size, size);
	o->at += size;
}

/* Exactly so many digits. */
static void
put_digits(struct out *o, int64_t n, int width)
{
	for (int i = width; i-- > 0; n /= 10)
		o->at[i] = (char)('0' + n % 10);
	o->at += width;
}

static void
put_time(struct out *o, int64_t us)
{
	time_t seconds = (time_t)(us / 1000000);
	struct tm t;

	gmtime_r(&seconds, &t);
	put_digits(o, t.tm_year + 1900, 4);
	*o->at++ = '-';
	put_digits(o, t.tm_mon + 1, 2);
	*o->at++ = '-';
	put_digits(o, t.tm_mday, 2);
	*o->at++ = 'T';
	put_digits(o, t.tm_hour, 2);
	*o->at++ = ':';
	put_digits(o, t.tm_min, 2);
	*o->at++ = ':';
	put_digits(o, t.tm_sec, 2);
	*o->at++ = '.';
	put_digits(o, us / 1000 % 1000, 3);
	*o->at++ = 'Z';
}

size_t
line_write_time(char out[LINE_TIME_SIZE], int64_t us)
{
	struct out o = { out, out, false };

	put_time(&o, us);
	*o.at = '\0';
	return (size_t)(o.at - out);
}

/* ------------------------------------------------------------------ fields */

static inline void
put_key(struct out *o, const char *key)
{
	bool first = o->at == o->begin;

	if (!o->json) {
		if (!first)
			*o->at++ = ' ';
		put(o, key);
		*o->at++ = '=';
	} else {
		*o->at++ = first ? '{' : ',';
		*o->at++ = '"';
		put(o, key);
		put(o, "\":");
	}
}

static void
put_nothing(struct out *o)
{
	put(o, o->json ? "null" : "-");
}

/* A word that needs no escaping. */
static inline void
field_word(struct out *o, const char *key, const char *word)
{
	put_key(o, key);
	if (word == NULL) {
		put_nothing(o);
		return;
	}
	if (o->json)
		*o->at++ = '"';
	put(o, word);
	if (o->json)
		*o->at++ = '"';
}

static inline void
field_number(struct out *o, const char *key, uint64_t n)
{
	put_key(o, key);
	put_number(o, n);
}

/* From one moment to another; 0: it never came.  What an earlier attempt has
 * left behind does not count. */
static inline void
field_ms(struct out *o, const char *key, int64_t from_us, int64_t to_us)
{
	put_key(o, key);
	if (from_us == 0 || to_us < from_us) {
		put_nothing(o);
		return;
	}
	put_number(o, (uint64_t)(to_us - from_us) / 1000);
	*o->at++ = '.';
	put_digits(o, (to_us - from_us) % 1000, 3);
}

static bool
is_plain(unsigned char c)
{
	return c >= ' ' && c <= '~' && c != '"' && c != '\\';
}

/* At most max bytes between the quotes, or "..." in their last place. */
static void
field_quoted(
    struct out *o, const char *key, const char *text, size_t size, size_t max)
{
	static const char hex[] = "0123456789abcdef";
	const char *escape = o->json ? "\\u00" : "\\x";
	size_t escaped = strlen(escape) + 2;
	char *end;

	put_key(o, key);
	*o->at++ = '"';
	end = o->at + max - 3;
	for (size_t i = 0; i < size; i++) {
		unsigned char c = (unsigned char)text[i];

		if (o->at + (is_plain(c) ? 1 : escaped) > end) {
			put(o, "...");
			break;
		}
		if (is_plain(c)) {
			*o->at++ = (char)c;
			continue;
		}
		put(o, escape);
		*o->at++ = hex[c >> 4];
		*o->at++ = hex[c & 15];
	}
	*o->at++ = '"';
}

static void
field_request(struct out *o, const char *head, size_t size)
{
	size_t n = 0;

	while (n < size && head[n] != '\r' && head[n] != '\n')
		n++;
	if (n == 0) {
		put_key(o, "request");
		put_nothing(o);
		return;
	}
	field_quoted(o, "request", head, n, LINE_REQUEST_MAX);
}

size_t
line_write(
    char out[LINE_SIZE], enum line_format format, const struct line_facts *f)
{
	const struct proxy_account *a = f->account;
	char time[LINE_TIME_SIZE], code[3] = { a->who, a->when, '\0' };
	struct out o = { out, out, format == LINE_JSON };

	line_write_time(time, f->begun_us);
	field_word(&o, "time", time);
	field_word(&o, "client", f->client);
	field_word(&o, "upstream", f->upstream);
	put_key(&o, "status");
	if (a->status > 0)
		put_number(&o, (uint64_t)a->status);
	else
		put_nothing(&o);
	field_word(&o, "code", code);
	field_number(&o, "attempts", a->n_attempts);
	field_number(&o, "retries", a->n_retries);
	field_word(&o, "connection",
	    a->n_attempts == 0 ? NULL
		: a->reused    ? "reused"
			       : "fresh");
	field_number(&o, "received", a->received);
	field_number(&o, "sent", a->sent);
	field_ms(&o, "head_ms", a->begun_us, a->asked_us);
	field_ms(&o, "connect_ms", a->asked_us, a->ready_us);
	field_ms(&o, "response_ms", a->ready_us, a->answered_us);
	field_ms(&o, "total_ms", a->begun_us, a->done_us);
	field_request(&o, f->head, f->head_size);
	field_quoted(&o, "why", a->why, strlen(a->why), WHY_MAX);
	if (o.json)
		*o.at++ = '}';
	*o.at++ = '\n';
	assert(o.at - out <= LINE_SIZE);
	return (size_t)(o.at - out);
}
