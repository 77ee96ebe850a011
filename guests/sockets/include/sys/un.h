/* The addresses of unix sockets, which a script cannot connect to by itself: an operator puts one behind a name. wasi-libc's structure
 * has no path, without which clients do not compile. */
#ifndef WCGI_SYS_UN_H
#define WCGI_SYS_UN_H

#include <sys/socket.h>

struct wcgi_sockaddr_un {
    sa_family_t sun_family;
    char sun_path[108];
};
#define sockaddr_un wcgi_sockaddr_un

#endif
