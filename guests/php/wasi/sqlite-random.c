/* SQLITE_EXTRA_INIT of sqlite3.c: its generator is seeded by the host. The system's own way is to read /dev/urandom, which is not
   there, and else to take the time. */
#include <unistd.h>

#include "sqlite3.h"

static int host_random(sqlite3_vfs *vfs, int size, char *bytes) {
    for (int done = 0; done < size; done += 256) {
        if (getentropy(bytes + done, size - done > 256 ? 256 : size - done) != 0) {
            return done;
        }
    }
    return size;
}

int wasi_sqlite_extra_init(const char *unused) {
    static const char *const names[] = { "unix", "unix-none", "unix-dotfile", "unix-excl" };
    for (unsigned i = 0; i < sizeof names / sizeof *names; i++) {
        sqlite3_vfs *vfs = sqlite3_vfs_find(names[i]);
        if (vfs) {
            vfs->xRandomness = host_random;
        }
    }
    return SQLITE_OK;
}
