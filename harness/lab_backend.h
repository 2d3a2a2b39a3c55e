/* lab_backend.h - the backend as an actor of a lab. */
#ifndef HARNESS_LAB_BACKEND_H
#define HARNESS_LAB_BACKEND_H

#include <netinet/in.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "backend/backend.h"

struct lab;
struct lab_backend;

/* Make a backend with these options on a port of 127.0.0.1.  Closed with the
 * lab.  Returns: NULL with a sentence in error. */
struct lab_backend *lab_backend_new(struct lab *,
    const struct backend_options *, char *error, size_t error_size);

/* What the timeline calls its connections: "NAME, conn"; else "conn", and
 * "backend N, conn" from the second backend of a lab on.  It is cut at
 * LAB_BACKEND_NAME characters. */
#define LAB_BACKEND_NAME 16
void lab_backend_set_name(struct lab_backend *, const char *name);

unsigned lab_backend_number(const struct lab_backend *);
const struct sockaddr_in *lab_backend_address(const struct lab_backend *);

/* The backend, to do something with; and to look at only, which leaves a lab
 * still. */
struct backend *lab_backend_backend(const struct lab_backend *);
const struct backend *lab_backend_facts(const struct lab_backend *);

/* It marks its responses: no server of the user's own is behind it. */
bool lab_backend_marks(const struct lab_backend *);

/* The n-th accepted connection's port at the peer; 0 where there is none. */
unsigned lab_backend_port(const struct lab_backend *, unsigned conn);

/* Where in the timeline the n-th connection was ended; 0 where it was not. */
uint64_t lab_backend_end_seq(const struct lab_backend *, unsigned conn);

/* The newest connection that carried, wholly or in part, the request of that
 * id; 0 where none did. */
unsigned lab_backend_carried(const struct lab_backend *, const char *id);

#endif
