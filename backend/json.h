/* json.h - text that grows, and the JSON of the control API in it.
 *
 * Pure.
 */
#ifndef BACKEND_JSON_H
#define BACKEND_JSON_H

#include <stdbool.h>
#include <stddef.h>

#include "backend/fault.h"
#include "backend/ledger.h"

/* Begins all zero. */
struct json {
	char *at; /* ended by a NUL; NULL while there is nothing */
	size_t size, room;
	bool broken; /* out of memory */
};

void json_bytes(struct json *, const char *bytes, size_t size);

/* At most 512 bytes. */
void json_print(struct json *, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

void json_attempt(struct json *, const struct ledger_attempt *);
void json_fault(struct json *, const struct fault *);

#endif
