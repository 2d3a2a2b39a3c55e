/* address.h - "ADDR:PORT", from sockets; place.h reads it. */
#ifndef PROXY_PROGRAM_ADDRESS_H
#define PROXY_PROGRAM_ADDRESS_H

#include <netinet/in.h>

#define ADDRESS_TEXT 128 /* room for the path of a Unix socket */

/* The two ends of a socket; "" where it has none.  A client of a Unix socket
 * has no name: "unix:". */
#define ADDRESS_PEER_TEXT 56 /* room for IPv6 */
void address_of_peer(char out[ADDRESS_PEER_TEXT], int fd);
void address_of_socket(char out[ADDRESS_TEXT], int fd);
int address_port(int fd); /* its own; 0: none */

#endif
