/* What <sys/socket.h> of wasi-libc for preview 1 leaves out. The functions are in ../../sockets.c. */
#ifndef WCGI_SYS_SOCKET_H
#define WCGI_SYS_SOCKET_H

#include_next <sys/socket.h>

#include <sys/types.h>
#include <sys/uio.h>

#ifndef PF_UNIX
#define PF_UNIX AF_UNIX
#endif
#ifndef AF_LOCAL
#define AF_LOCAL AF_UNIX
#endif

#ifndef SOL_IP
#define SOL_IP 0
#endif

#define SO_REUSEADDR 2
#define SO_ERROR 4
#define SO_DONTROUTE 5
#define SO_BROADCAST 6
#define SO_SNDBUF 7
#define SO_RCVBUF 8
#define SO_KEEPALIVE 9
#define SO_OOBINLINE 10
#define SO_LINGER 13
#define SO_ACCEPTCONN 30
#define SO_PROTOCOL 38
#define SO_DOMAIN 39
#define SO_RCVTIMEO 66
#define SO_SNDTIMEO 67

#define MSG_DONTWAIT 0x0040
#define MSG_NOSIGNAL 0x4000

#define SOMAXCONN 128

#ifdef __cplusplus
extern "C" {
#endif

/* wasi-libc has these three with less in them, and linkers take whichever they find first: so they have names of their own. */
int getsockopt(int fd, int level, int name, void *__restrict value, socklen_t *__restrict len) __asm__("wcgi_getsockopt");
ssize_t send(int fd, const void *bytes, size_t len, int flags) __asm__("wcgi_send");
ssize_t recv(int fd, void *room, size_t len, int flags) __asm__("wcgi_recv");

int socket(int domain, int type, int protocol);
int connect(int fd, const struct sockaddr *address, socklen_t len);
/* These are not there: each fails with ENOTSUP. */
int bind(int fd, const struct sockaddr *address, socklen_t len);
int listen(int fd, int backlog);
int socketpair(int domain, int type, int protocol, int fds[2]);
int getsockname(int fd, struct sockaddr *__restrict address, socklen_t *__restrict len);
int getpeername(int fd, struct sockaddr *__restrict address, socklen_t *__restrict len);
int setsockopt(int fd, int level, int name, const void *value, socklen_t len);
ssize_t sendto(int fd, const void *bytes, size_t len, int flags, const struct sockaddr *to, socklen_t to_len);
ssize_t recvfrom(int fd, void *__restrict room, size_t len, int flags, struct sockaddr *__restrict from,
                 socklen_t *__restrict from_len);
ssize_t sendmsg(int fd, const struct msghdr *message, int flags);
ssize_t recvmsg(int fd, struct msghdr *message, int flags);

#ifdef __cplusplus
}
#endif

#endif
