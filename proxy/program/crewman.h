/* crewman.h - a worker in a process of its own. */
#ifndef PROXY_PROGRAM_CREWMAN_H
#define PROXY_PROGRAM_CREWMAN_H

#include "proxy/program/arguments.h"

/* Be the worker: serve until the orders of channel, or its end, say otherwise.
 *
 * Owns:    takes both descriptors; closes every other one but the standard
 *          ones.
 * Returns: the exit status.
 */
int crewman_run(
    const struct arguments *, int number, int listener, int channel);

#endif
