/* address.h - "ADDR:PORT", from addresses and sockets; options.h reads it. */
#ifndef PROXY_PROGRAM_ADDRESS_H
#define PROXY_PROGRAM_ADDRESS_H

#include <netinet/in.h>
#include <stdbool.h>

#define ADDRESS_TEXT 24 /* "255.255.255.255:65535" and its end */

void address_write(char out[ADDRESS_TEXT], const struct sockaddr_in *);

/* The two ends of a socket; "" where it has none. */
void address_of_peer(char out[ADDRESS_TEXT], int fd);
void address_of_socket(char out[ADDRESS_TEXT], int fd);
int address_port(int fd); /* its own; 0: none */

/* Does a Host mean the socket with the address `own`, whatever a resolver says?
 * It does where it is a literal loopback address (with any port: it may have
 * come through a tunnel), or that address or "localhost" with that port. */
bool address_is_here(const char *host, const char *own);

#endif
