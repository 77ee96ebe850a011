/* descriptors: WASI calls on descriptors that no libc makes, "ok …" or an error's name.
 *
 *   op=renumber     the mount /d takes the number of /tmp; then opens its file "pipe" through that number
 *   op=reuse        closes /tmp; then opens the directory /d/sub, "ok" if it has the number now, and its file "pipe"
 *   op=poll&n=N     waits for N clocks that are over already, "ok" and how many are
 *   op=large&n=N    writes N bytes into /d/large by one call, syncs, reads them back by one call, "ok" and how many came */
#include <fcntl.h>
#include <wasi/api.h>

#include "guest.h"

static void say(const char *what, __wasi_errno_t error) { printf("%s: %s\n", what, error ? errno_name(error) : "ok"); }

/* The number of the mount of that name. */
static __wasi_fd_t mount(const char *wanted) {
    for (__wasi_fd_t fd = 3;; fd++) {
        char name[64] = "";
        __wasi_prestat_t prestat;
        if (__wasi_fd_prestat_get(fd, &prestat) != __WASI_ERRNO_SUCCESS) exit(1);
        size_t len = prestat.u.dir.pr_name_len;
        if (len >= sizeof name || __wasi_fd_prestat_dir_name(fd, (uint8_t *)name, len) != __WASI_ERRNO_SUCCESS) continue;
        if (strcmp(name, wanted) == 0) return fd;
    }
}

static __wasi_errno_t open_at(__wasi_fd_t dir, const char *path, __wasi_oflags_t how, __wasi_fd_t *fd) {
    return __wasi_path_open(dir, 0, path, how, __WASI_RIGHTS_FD_READ, __WASI_RIGHTS_FD_READ, 0, fd);
}

static void poll_clocks(size_t n) {
    __wasi_subscription_t *wanted = calloc(n, sizeof *wanted);
    __wasi_event_t *events = calloc(n, sizeof *events);
    for (size_t i = 0; i < n; i++) {
        wanted[i].u.tag = __WASI_EVENTTYPE_CLOCK;
        wanted[i].u.u.clock.id = __WASI_CLOCKID_MONOTONIC;
    }
    size_t happened = 0;
    __wasi_errno_t error = __wasi_poll_oneoff(wanted, events, n, &happened);
    if (error) say("poll", error);
    else printf("poll: ok %zu\n", happened);
}

static void large(size_t n) {
    char *out = malloc(n), *in = calloc(n, 1);
    for (size_t i = 0; i < n; i++) out[i] = (char)(i * 31 >> 3);
    int fd = open("/d/large", O_RDWR | O_CREAT, 0666);
    ssize_t written = write(fd, out, n);
    if (written < 0 || fsync(fd) < 0 || lseek(fd, 0, SEEK_SET) < 0) {
        say("large", (__wasi_errno_t)errno);
        return;
    }
    ssize_t came = read(fd, in, n);
    if (came < 0) say("large", (__wasi_errno_t)errno);
    else printf("large: %s %zd of %zd\n", memcmp(in, out, (size_t)came) == 0 ? "ok" : "other bytes", came, written);
}

int main(void) {
    head("text/plain");
    __wasi_fd_t fd = 0;
    if (is("op", "renumber")) {
        __wasi_fd_t tmp = mount("/tmp");
        say("renumber", __wasi_fd_renumber(mount("/d"), tmp));
        say("open", open_at(tmp, "pipe", 0, &fd));
    }
    if (is("op", "reuse")) {
        __wasi_fd_t d = mount("/d"), tmp = mount("/tmp");
        say("close", __wasi_fd_close(tmp));
        say("open sub", open_at(d, "sub", __WASI_OFLAGS_DIRECTORY, &fd));
        say("same number", fd == tmp ? 0 : EINVAL);
        say("open", open_at(fd, "pipe", 0, &fd));
    }
    if (is("op", "poll")) poll_clocks((size_t)number("n", 1));
    if (is("op", "large")) large((size_t)number("n", 1));
    return 0;
}
