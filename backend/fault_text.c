/* fault_text.c - faults as text: keys and values, and the line that holds them
 * all.  Keys are rows of one list: a name, and how it is set. */
#include "backend/fault.h"

#include <errno.h>
#include <limits.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define X(symbol, word) [symbol] = word,
static const char *const point_names[N_POINTS] = { BACKEND_POINTS(X) };
static const char *const ending_names[N_ENDINGS] = { BACKEND_ENDINGS(X) };
#undef X

/* A value as it was given, and where a complaint goes. */
struct text {
	const char *key;
	const char *value;
	size_t size;
	char *error;
	size_t error_size;
};

static int complain(const struct text *, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

static int
complain(const struct text *t, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	vsnprintf(t->error, t->error_size, format, args);
	va_end(args);
	return -1;
}

/* Returns: the index of a name, -1 where it is none of them. */
static int
find(const char *const *names, int n, const char *name)
{
	for (int i = 0; i < n; i++)
		if (strcmp(names[i], name) == 0)
			return i;
	return -1;
}

static void
join(const char *const *names, int n, char *list, size_t size)
{
	size_t used = 0;

	for (int i = 0; i < n; i++)
		used += (size_t)snprintf(list + used, size - used, "%s%s",
		    i > 0 ? ", " : "", names[i]);
}

static int
one_of(const struct text *t, const char *const *names, int n, const char *what)
{
	char list[256] = "";
	int i = find(names, n, t->value);

	if (i >= 0)
		return i;
	join(names, n, list, sizeof list);
	return complain(
	    t, "%s: '%s' is not %s; allowed: %s", t->key, t->value, what, list);
}

static int
number(const struct text *t, unsigned long least, unsigned long most,
    unsigned long *n)
{
	char *end;

	errno = 0;
	*n = strtoul(t->value, &end, 10);
	if (errno != 0 || end == t->value || *end != '\0' ||
	    t->value[0] < '0' || t->value[0] > '9' || *n < least || *n > most)
		return complain(t,
		    "%s: '%s' is not allowed; allowed: %lu to %lu", t->key,
		    t->value, least, most);
	return 0;
}

static int
word(const struct text *t, char *to, size_t to_size)
{
	size_t n = strlen(t->value);

	if (n == 0 || n >= to_size)
		return complain(
		    t, "%s: allowed: 1 to %zu characters", t->key, to_size - 1);
	memcpy(to, t->value, n + 1);
	return 0;
}

static int
yes_or_no(const struct text *t, bool *to)
{
	static const char *const names[] = { "false", "true", "no", "yes" };
	int n = one_of(t, names, 4, "true or false");

	if (n < 0)
		return -1;
	*to = n & 1;
	return 0;
}

static int
set_on(struct fault *f, const struct text *t)
{
	int n = one_of(t, point_names, N_POINTS, "a close point");

	if (n < 0)
		return -1;
	f->on = (enum close_point)n;
	return 0;
}

static int
set_at(struct fault *f, const struct text *t)
{
	unsigned long n;

	if (number(t, 1, LONG_MAX, &n) != 0)
		return -1;
	f->at = n;
	return 0;
}

static int
set_after_ms(struct fault *f, const struct text *t)
{
	unsigned long n;

	if (number(t, 0, INT_MAX, &n) != 0)
		return -1;
	f->after_ms = (int)n;
	return 0;
}

static int
set_close(struct fault *f, const struct text *t)
{
	int n = one_of(t, ending_names, N_ENDINGS, "an ending");

	if (n < 0)
		return -1;
	f->close = (enum ending)n;
	return 0;
}

static int
set_announce(struct fault *f, const struct text *t)
{
	return yes_or_no(t, &f->announce);
}

static int
set_optional(struct fault *f, const struct text *t)
{
	return yes_or_no(t, &f->optional);
}

static int
set_unsigned(unsigned *to, const struct text *t, unsigned long least)
{
	unsigned long n;

	if (number(t, least, UINT_MAX, &n) != 0)
		return -1;
	*to = (unsigned)n;
	return 0;
}

static int
set_times(struct fault *f, const struct text *t)
{
	return set_unsigned(&f->times, t, 1);
}

static int
set_say(struct fault *f, const struct text *t)
{
	if (t->size > sizeof f->say)
		return complain(
		    t, "say: allowed: at most %zu bytes", sizeof f->say);
	memcpy(f->say, t->value, t->size);
	f->say_size = t->size;
	return 0;
}

static int
set_conn(struct fault *f, const struct text *t)
{
	return set_unsigned(&f->conn, t, 0);
}

static int
set_request(struct fault *f, const struct text *t)
{
	return set_unsigned(&f->request, t, 0);
}

static int
set_method(struct fault *f, const struct text *t)
{
	return word(t, f->method, sizeof f->method);
}

static int
set_path(struct fault *f, const struct text *t)
{
	return word(t, f->path, sizeof f->path);
}

static int
set_id(struct fault *f, const struct text *t)
{
	return word(t, f->id, sizeof f->id);
}

#define KEYS(X)     \
	X(conn)     \
	X(request)  \
	X(method)   \
	X(path)     \
	X(id)       \
	X(on)       \
	X(at)       \
	X(after_ms) \
	X(close)    \
	X(say)      \
	X(announce) \
	X(times)    \
	X(optional)

typedef int set_fn(struct fault *, const struct text *);

#define X(name) #name,
static const char *const key_names[] = { KEYS(X) NULL };
#undef X
#define X(name) set_##name,
static set_fn *const key_set[] = { KEYS(X) };
#undef X

enum { N_KEYS = sizeof key_set / sizeof *key_set };

const char *const *
fault_keys(void)
{
	return key_names;
}

int
fault_set(struct fault *f, const char *key, const char *value, size_t size,
    char *error, size_t error_size)
{
	struct text t = { key, value, size, error, error_size };
	char list[160] = "";
	int i = find(key_names, N_KEYS, key);

	if (i >= 0)
		return key_set[i](f, &t);
	join(key_names, N_KEYS, list, sizeof list);
	return complain(
	    &t, "'%s' is not a key of a fault; allowed: %s", key, list);
}

static int
hex(char c)
{
	const char *digits = "0123456789abcdef";
	const char *at = c != '\0'
	    ? strchr(digits, c >= 'A' && c <= 'F' ? c + 32 : c)
	    : NULL;

	return at != NULL ? (int)(at - digits) : -1;
}

/* Read one byte of a value at *at, which is neither ',' nor the end. */
static int
unescape(const char **at)
{
	static const char from[] = "rnt\\,=0", to[] = "\r\n\t\\,=";
	const char *s = *at, *known;

	if (*s != '\\') {
		*at = s + 1;
		return (unsigned char)*s;
	}
	if (s[1] == 'x' && hex(s[2]) >= 0 && hex(s[3]) >= 0) {
		*at = s + 4;
		return hex(s[2]) * 16 + hex(s[3]);
	}
	known = s[1] != '\0' ? strchr(from, s[1]) : NULL;
	if (known == NULL)
		return -1;
	*at = s + 2;
	return (unsigned char)to[known - from];
}

/* Set the key that line begins with.  Returns: behind it, NULL on error. */
static const char *
parse_key(struct fault *f, const char *line, char *error, size_t error_size)
{
	struct text t = { "", line, 0, error, error_size };
	size_t n = strcspn(line, "=,");
	char key[32], value[FAULT_SAY_MAX + 1];
	int c;

	if (line[n] != '=' || n == 0 || n >= sizeof key) {
		complain(&t, "'%.*s' is not key=value", (int)n, line);
		return NULL;
	}
	memcpy(key, line, n);
	key[n] = '\0';
	line += n + 1;
	for (n = 0; *line != '\0' && *line != ','; n++) {
		c = unescape(&line);
		if (c < 0 || n >= FAULT_SAY_MAX) {
			complain(&t,
			    c < 0 ? "%s: not an escape sequence; "
				    "allowed: \\r \\n \\t \\0 \\\\ "
				    "\\, \\= \\xHH"
				  : "%s: too long",
			    key);
			return NULL;
		}
		value[n] = (char)c;
	}
	value[n] = '\0';
	return fault_set(f, key, value, n, error, error_size) == 0 ? line
								   : NULL;
}

int
fault_parse(struct fault *f, const char *line, char *error, size_t error_size)
{
	fault_init(f);
	while (*line != '\0') {
		line = parse_key(f, line, error, error_size);
		if (line == NULL)
			return -1;
		if (*line == ',')
			line++;
	}
	return fault_check(f, error, error_size);
}

/* A line that grows as far as it fits. */
struct line {
	char *at;
	size_t size, used;
};

static void put(struct line *, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

static void
put(struct line *l, const char *format, ...)
{
	bool fits = l->used < l->size;
	va_list args;

	va_start(args, format);
	l->used += (size_t)vsnprintf(fits ? l->at + l->used : NULL,
	    fits ? l->size - l->used : 0, format, args);
	va_end(args);
}

static void
put_value(struct line *l, const char *key, const char *value, size_t size)
{
	if (size == 0)
		return;
	put(l, "%s=", key);
	for (size_t i = 0; i < size; i++) {
		unsigned char c = (unsigned char)value[i];

		if (c == '\r' || c == '\n')
			put(l, "\\%c", c == '\r' ? 'r' : 'n');
		else if (c == '\\' || c == ',')
			put(l, "\\%c", c);
		else if (c < ' ' || c > '~')
			put(l, "\\x%02x", c);
		else
			put(l, "%c", c);
	}
	put(l, ",");
}

size_t
fault_print(const struct fault *f, char *line, size_t line_size)
{
	struct line l = { line, line_size, 0 };

	if (f->conn != 0)
		put(&l, "conn=%u,", f->conn);
	if (f->request != 0)
		put(&l, "request=%u,", f->request);
	put_value(&l, "method", f->method, strlen(f->method));
	put_value(&l, "path", f->path, strlen(f->path));
	put_value(&l, "id", f->id, strlen(f->id));
	put(&l, "on=%s,", fault_point_name(f->on));
	if (f->at != 0)
		put(&l, "at=%zu,", f->at);
	if (f->after_ms != 0)
		put(&l, "after_ms=%d,", f->after_ms);
	put_value(&l, "say", f->say, f->say_size);
	if (f->announce)
		put(&l, "announce=true,");
	if (f->times != 1)
		put(&l, "times=%u,", f->times);
	if (f->optional)
		put(&l, "optional=true,");
	put(&l, "close=%s", fault_ending_name(f->close));
	return l.used;
}
