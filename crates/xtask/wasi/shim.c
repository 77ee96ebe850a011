/* What Rust's std for wasm32-wasip1 links to and the wasi-libc of Debian 12 lacks: threads, which cannot be started,
 * and realpath. */
#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

int pthread_attr_init(void *attributes) { (void)attributes; return 0; }
int pthread_attr_destroy(void *attributes) { (void)attributes; return 0; }
int pthread_attr_setstacksize(void *attributes, size_t size) { (void)attributes; (void)size; return 0; }
int pthread_create(void *thread, const void *attributes, void *(*start)(void *), void *argument) {
    (void)thread; (void)attributes; (void)start; (void)argument;
    return ENOTSUP;
}
int pthread_join(void *thread, void **result) { (void)thread; (void)result; return EDEADLK; }
int pthread_detach(void *thread) { (void)thread; return EINVAL; }

/* By the text of the path alone: ".", ".." and doubled slashes go, symbolic links stay. The path must exist. */
char *realpath(const char *restrict path, char *restrict resolved) {
    struct stat st;
    char buffer[PATH_MAX];
    size_t n = 0;
    if (!path) { errno = EINVAL; return NULL; }
    if (!*path) { errno = ENOENT; return NULL; }
    if (stat(path, &st) != 0) return NULL;
    if (strlen(path) + 2 > sizeof buffer) { errno = ENAMETOOLONG; return NULL; }
    while (*path) {
        size_t part = strcspn(path, "/");
        if (part == 0) {
            path++;
            continue;
        }
        if (part == 2 && path[0] == '.' && path[1] == '.') {
            while (n && buffer[--n] != '/') {
            }
        } else if (!(part == 1 && path[0] == '.')) {
            buffer[n++] = '/';
            memcpy(buffer + n, path, part);
            n += part;
        }
        path += part;
    }
    if (!n) buffer[n++] = '/';
    buffer[n] = 0;
    return resolved ? strcpy(resolved, buffer) : strdup(buffer);
}
