/* Included before every file of opcache, which shares its memory between processes: here there is one, and nothing to lock. */
#ifndef WASI_OPCACHE_H
#define WASI_OPCACHE_H

#include <fcntl.h>
#include <grp.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

struct wasi_flock {
    short l_type, l_whence;
    long long l_start, l_len;
    int l_pid;
};
#define flock wasi_flock
static inline int wasi_flock(int fd, int operation) { return 0; }
#define fcntl(...) (0)
#ifndef LOCK_SH
#define LOCK_SH 1
#define LOCK_EX 2
#define LOCK_UN 8
#endif

/* The file that would be locked. */
#define mkstemp(template) (1000)
#define fchmod(fd, mode) (0)
#define unlink(path) (0)

/* Preloading as another user, in a process of its own. */
#define _SYS_WAIT_H
#define waitpid(...) (-1)
#define WIFEXITED(status) 0
#define WEXITSTATUS(status) 0
#define WIFSIGNALED(status) 0
#define WTERMSIG(status) 0
#define setgid(group) (0)
#define setuid(user) (0)
#define initgroups(user, group) (0)

#endif
