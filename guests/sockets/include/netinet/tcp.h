/* Options of TCP. Setting them succeeds and changes nothing; TCP_NODELAY is always on. */
#ifndef WCGI_NETINET_TCP_H
#define WCGI_NETINET_TCP_H

#define TCP_NODELAY 1
#define TCP_MAXSEG 2
#define TCP_KEEPIDLE 4
#define TCP_KEEPINTVL 5
#define TCP_KEEPCNT 6
#define TCP_USER_TIMEOUT 18

#ifndef SOL_TCP
#define SOL_TCP 6
#endif

#endif
