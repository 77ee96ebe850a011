/* prestat: the preopened directories as WASI itself gives them, "FD NAME" a line, from descriptor 3 on. */
#include <wasi/api.h>

#include "guest.h"

int main(void) {
    head("text/plain");
    for (__wasi_fd_t fd = 3;; fd++) {
        static char name[4096];
        __wasi_prestat_t prestat;
        if (__wasi_fd_prestat_get(fd, &prestat) != __WASI_ERRNO_SUCCESS) return 0;
        size_t len = prestat.u.dir.pr_name_len;
        __wasi_errno_t error = len < sizeof name ? __wasi_fd_prestat_dir_name(fd, (uint8_t *)name, len) : ENAMETOOLONG;
        if (error == __WASI_ERRNO_SUCCESS) printf("%u %.*s\n", fd, (int)len, name);
        else printf("%u %s\n", fd, errno_name(error));
    }
}
