/* What libpq names and WASI lacks. A script has no users, no processes and no signals. */
#ifndef WCGI_LIBPQ_H
#define WCGI_LIBPQ_H

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <sys/types.h>

/* No call fails with it. */
#define EHOSTDOWN 1000

static inline uid_t geteuid(void) {
    return 0;
}

static inline FILE *popen(const char *command, const char *mode) {
    (void)command, (void)mode;
    errno = ENOSYS;
    return NULL;
}

static inline int pclose(FILE *file) {
    (void)file;
    return -1;
}

struct passwd;

static inline struct passwd *getpwuid(uid_t user) {
    (void)user;
    return NULL;
}

static inline int getpeereid(int fd, uid_t *user, gid_t *group) {
    (void)fd, (void)user, (void)group;
    errno = ENOSYS;
    return -1;
}

struct sigaction {
    void (*sa_handler)(int);
    int sa_flags, sa_mask;
};
#define SA_RESTART 0
#define SA_NOCLDSTOP 0
#define sigemptyset(set) (0)

static inline int sigaction(int number, const struct sigaction *new, struct sigaction *old) {
    (void)number, (void)new;
    if (old) *old = (struct sigaction){.sa_handler = SIG_DFL};
    return 0;
}

#endif
