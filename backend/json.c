/* json.c - see json.h. */
#include "backend/json.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void
json_bytes(struct json *t, const char *bytes, size_t size)
{
	size_t room = t->room;
	char *grown;

	while (room < t->size + size + 1)
		room = room == 0 ? 4096 : room * 2;
	grown = room == t->room ? t->at : realloc(t->at, room);
	if (grown == NULL) {
		t->broken = true;
		return;
	}
	t->at = grown;
	t->room = room;
	memcpy(t->at + t->size, bytes, size);
	t->size += size;
	t->at[t->size] = '\0';
}

void
json_print(struct json *t, const char *format, ...)
{
	char line[512];
	va_list args;
	int n;

	va_start(args, format);
	n = vsnprintf(line, sizeof line, format, args);
	va_end(args);
	if (n > 0)
		json_bytes(t, line,
		    (size_t)n < sizeof line ? (size_t)n : sizeof line - 1);
}

/* Bytes above 0x7f are taken for Latin-1, so that whatever arrived gives valid
 * JSON. */
static void
put_string(struct json *t, const char *key, const char *value)
{
	json_print(t, "\"%s\":\"", key);
	for (; *value != '\0'; value++) {
		unsigned char c = (unsigned char)*value;

		if (c == '"' || c == '\\')
			json_print(t, "\\%c", c);
		else if (c < ' ' || c > '~')
			json_print(t, "\\u%04x", c);
		else
			json_bytes(t, value, 1);
	}
	json_print(t, "\"");
}

static void
put_bool(struct json *t, const char *key, bool value)
{
	json_print(t, ",\"%s\":%s", key, value ? "true" : "false");
}

void
json_attempt(struct json *t, const struct ledger_attempt *a)
{
	json_print(t, "{");
	put_string(t, "id", a->id);
	json_print(t, ",");
	put_string(t, "method", a->method);
	json_print(t, ",");
	put_string(t, "path", a->path);
	json_print(t, ",\"conn\":%u,\"request\":%u,\"unread\":%zu,\"read\":%zu",
	    a->conn, a->request, a->unread, a->read);
	put_bool(t, "whole", a->whole);
	put_bool(t, "after_end", a->after_end);
	put_bool(t, "unseen", a->unseen);
	json_print(t, ",\"executed\":%u,\"executed_max\":%u,\"answered\":%zu",
	    a->executed, a->executed_max, a->answered);
	put_bool(t, "answered_whole", a->answered_whole);
	json_print(t, ",\"mark\":%lu", a->mark);
	put_bool(t, "ended", a->ended);
	if (a->ended) {
		json_print(t, ",\"ended_on\":\"%s\",\"ending\":\"%s\"",
		    fault_point_name(a->ended_on),
		    fault_ending_name(a->ending));
		put_bool(t, "by_hand", a->by_hand);
	}
	if (a->server_ending != N_ENDINGS)
		json_print(t,
		    ",\"server_close\":\"%s\",\"server_idle_ms\":%lld",
		    fault_ending_name(a->server_ending),
		    (long long)a->server_idle_ms);
	json_print(t, "}");
}

void
json_fault(struct json *t, const struct fault *f)
{
	char line[8 * FAULT_SAY_MAX];

	fault_print(f, line, sizeof line);
	json_print(t, "{");
	put_string(t, "fault", line);
	json_print(t, ",\"fired\":%u}", f->n_fired);
}
