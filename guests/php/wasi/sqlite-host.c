/* SQLITE_EXTRA_INIT of sqlite3.c: what its VFS for Unix has from the host. Random numbers, where the system's own way is to read
   /dev/urandom, which is not there, and else to take the time; and locks in place of fcntl's. */
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <unistd.h>

#include "host-locks.h"
#include "sqlite3.h"

static int host_random(sqlite3_vfs *vfs, int size, char *bytes) {
    for (int done = 0; done < size; done += 256) {
        if (getentropy(bytes + done, size - done > 256 ? 256 : size - done) != 0) {
            return done;
        }
    }
    return size;
}

/* SQLite locks from the file's beginning on, with SEEK_SET, and never waits. */
static int host_lock(int fd, int command, struct flock *lock) {
    int kind = lock->l_type == F_UNLCK ? WCGI_UNLOCK : lock->l_type == F_RDLCK ? WCGI_SHARED : WCGI_EXCLUSIVE;
    int error;
    if (command == F_GETLK) {
        error = wcgi_fd_lock_test(fd, kind, lock->l_start, lock->l_len);
        if (error == 0) {
            lock->l_type = F_UNLCK;
        } else if (error == EAGAIN) {
            error = 0; /* and the lock is as it was asked for: somebody has one */
        }
    } else {
        error = wcgi_fd_lock(fd, kind, lock->l_start, lock->l_len);
    }
    if (error != 0) {
        errno = error;
        return -1;
    }
    return 0;
}

static int host_fcntl(int fd, int command, ...) {
    va_list arguments;
    va_start(arguments, command);
    int result = command == F_SETLK || command == F_GETLK ? host_lock(fd, command, va_arg(arguments, struct flock *))
                                                          : fcntl(fd, command, va_arg(arguments, int));
    va_end(arguments);
    return result;
}

int wasi_sqlite_extra_init(const char *unused) {
    static const char *const names[] = { "unix", "unix-none", "unix-dotfile", "unix-excl" };
    for (unsigned i = 0; i < sizeof names / sizeof *names; i++) {
        sqlite3_vfs *vfs = sqlite3_vfs_find(names[i]);
        if (vfs) {
            vfs->xRandomness = host_random;
        }
    }
    /* They have one table of system calls. */
    sqlite3_vfs *vfs = sqlite3_vfs_find("unix");
    return vfs->xSetSystemCall(vfs, "fcntl", (sqlite3_syscall_ptr) host_fcntl);
}
