/* Included before every file of PHP: what its sources use and the C library for WASI lacks. Nearly all of it fails or does
   nothing, as it would on a system without users, processes, signals and sockets. */
#ifndef WASI_COMPAT_H
#define WASI_COMPAT_H

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/types.h>
#include <unistd.h>

#define FAILS(prototype) static inline int prototype { errno = ENOSYS; return -1; }

/* compat.c has these. */
void *wasi_mmap(void *, size_t, int, int, int, long long);
int wasi_munmap(void *, size_t);
int wasi_mmap_extend(void *, size_t);
void wasi_mmap_clear_free(void);
#define mmap wasi_mmap
#define munmap wasi_munmap
#define mprotect(p, n, f) (0)

/* There is no dup: the three standard streams stand for their own copies, and are never closed. */
static inline int dup(int fd) { if (fd >= 0 && fd <= 2) return fd; errno = ENOSYS; return -1; }
int close(int) __asm__("wasi_close");
FAILS(dup2(int a, int b))

/* Wasm has no way to ask how much of the host's stack is left, and its end is a trap. So whatever calls itself as often as a script
   likes puts what that takes of the host's stack, by an estimate on the safe side, on the stack that C has in memory, whose pointer
   then tells how much of the other one is used at most; and ends with an error of PHP. tower-wcgi gives a script 2 MiB of stack; a
   quarter is left for what does not count. Freeing does not fail: what is deeper than its share waits (zend_variables.c). */
#define WASI_STACK (3 << 19)
#define WASI_STACK_TO_FREE (1 << 18)
#define WASI_STACK_OF_CALL 1100
#define WASI_STACK_OF_JSON 560
#define WASI_STACK_OF_SERIALIZE 700
#define WASI_STACK_OF_UNSERIALIZE 350
#define WASI_STACK_OF_DUMP 580
#define WASI_STACK_OF_ARRAY 580
#define WASI_STACK_OF_COMPARE 450
#define WASI_STACK_OF_COMPILE 260
#define WASI_STACK_OF_CONSTANT 400
#define WASI_STACK_OF_COPY 450
#define WASI_STACK_OF_FREE 340
/* The optimizer goes from block to block of a function by recursion; a longer one is left as it is. */
#define WASI_OPCODES_TO_OPTIMIZE 10000
extern char __stack_high;
#define WASI_STACK_IS_LOW(bytes) \
    ({ char here[bytes]; __asm__ volatile("" : : "r"(here) : "memory"); \
        __builtin_expect((size_t) here < (size_t) &__stack_high - WASI_STACK, 0); })
#define WASI_STACK_OR_DIE(bytes) do { if (WASI_STACK_IS_LOW(bytes)) wasi_stack_is_low(); } while (0)
_Noreturn void wasi_stack_is_low(void);
/* What has more of the host's stack between two calls than WASI_STACK_OF_CALL. */
#define WASI_STACK_TAKE(bytes) char more_stack[bytes]; __asm__ volatile("" : : "r"(more_stack) : "memory")

/* Users, processes, signals. */
static inline uid_t getuid(void) { return 0; }
static inline uid_t geteuid(void) { return 0; }
static inline gid_t getgid(void) { return 0; }
FAILS(getgroups(int n, gid_t *g))
static inline int chown(const char *p, uid_t u, gid_t g) { if ((int)u <= 0 && (int)g <= 0) return 0; errno = EPERM; return -1; }
#define lchown chown
/* Files have no permissions here: what the mount allows is allowed. */
int chmod(const char *, mode_t) __asm__("wasi_chmod");
int fchmod(int, mode_t) __asm__("wasi_fchmod");
static inline mode_t umask(mode_t m) { return 022; }
static inline FILE *popen(const char *c, const char *m) { errno = ENOSYS; return NULL; }
FAILS(pclose(FILE *f))
FAILS(fork(void))
FAILS(wait(int *s))
FAILS(kill(int p, int s))
FAILS(setsid(void))
FAILS(getpgrp(void))
struct sigaction { void (*sa_handler)(int); int sa_flags; int sa_mask; };
static inline int sigaction(int n, const struct sigaction *a, struct sigaction *o) { return 0; }
#define sigemptyset(s) (0)
#define sigaddset(s, n) (0)

/* Files. */
int flock(int fd, int operation);
static inline int getdtablesize(void) { return 256; }
int mkstemp(char *template);
static inline char *mktemp(char *t) { *t = 0; return t; }
#define php_sys_readlink(link, target, len) readlink(link, target, len)
#ifndef F_GETLK
#define F_GETLK 5
#define F_SETLK 6
#define F_SETLKW 7
#define F_RDLCK 0
#define F_WRLCK 1
#define F_UNLCK 2
#endif

/* Sockets. */
#define _SYS_UN_H
struct sockaddr_un { unsigned short sun_family; char sun_path[108]; };
#undef AF_UNIX
#undef PF_UNIX
#define AF_UNIX 99
#define PF_UNIX 99
#ifndef SOL_IP
#define SOL_IP 0
#endif
#ifndef IPPROTO_IP
#define IPPROTO_IP 0
#endif
#ifndef SO_ERROR
#define SO_ERROR 4
#endif
#define MSG_OOB 1
#define POLLPRI 2
#define setsockopt(...) (errno = ENOSYS, -1)
#define socket(...) (errno = ENOSYS, -1)
#define bind(...) (errno = ENOSYS, -1)
#define listen(...) (errno = ENOSYS, -1)
#define connect(...) (errno = ENOSYS, -1)
#define getpeername(...) (errno = ENOSYS, -1)
#define getsockname(...) (errno = ENOSYS, -1)
#define sendto(...) (errno = ENOSYS, -1)
#define recvfrom(...) (errno = ENOSYS, -1)

/* Fibers, which cannot be switched to here. */
typedef struct wasi_ucontext {
    struct { void *ss_sp; size_t ss_size; int ss_flags; } uc_stack;
    struct wasi_ucontext *uc_link;
} ucontext_t;
#define _UCONTEXT_H
FAILS(getcontext(ucontext_t *u))
#define makecontext(...) abort()
#define swapcontext(...) (abort(), -1)

#endif
