/* lab_proxy.h - our own proxy as an actor of a lab: it can be held at its
 * checkpoints, and every attempt it makes is written down.
 */
#ifndef HARNESS_LAB_PROXY_H
#define HARNESS_LAB_PROXY_H

#include <netinet/in.h>
#include <stdbool.h>
#include <stddef.h>

#include "backend/ledger.h"
#include "harness/gate.h"
#include "proxy/proxy.h"

struct lab;
struct lab_proxy;

/* An attempt of the proxy, as the proxy saw it. */
struct lab_attempt {
	char id[LEDGER_ID_MAX];
	unsigned long exchange;
	unsigned number;	/* of its exchange, from 1 */
	unsigned long upstream; /* serial of its connection; 0: none */
	struct attempt facts;
	bool failed;
	enum retry_action action; /* failed: what was decided … */
	const char *why;	  /* … and why; "" where it did not fail */
};

/* Its word in scripts and in the timeline. */
const char *lab_proxy_action(enum retry_action);

/* Make a proxy with these options on a port of 127.0.0.1.  Closed with the
 * lab.  Returns: NULL with a sentence in error. */
struct lab_proxy *lab_proxy_new(
    struct lab *, const struct proxy_options *, char *error, size_t error_size);

unsigned lab_proxy_number(const struct lab_proxy *);
const struct sockaddr_in *lab_proxy_address(const struct lab_proxy *);
struct gate *lab_proxy_gate(struct lab_proxy *);
const struct proxy *lab_proxy_proxy(const struct lab_proxy *);

size_t lab_proxy_n_attempts(const struct lab_proxy *);
const struct lab_attempt *lab_proxy_attempt(const struct lab_proxy *, size_t n);

/* Is, or was, a request of that id held on the connection with that local
 * port when it was ended?  See lab_proxy_note_end(). */
bool lab_proxy_was_held(
    const struct lab_proxy *, const char *id, unsigned port);

/* A backend has ended the connection with that local port: remember who was
 * held on it. */
void lab_proxy_note_end(struct lab_proxy *, unsigned port);

#endif
