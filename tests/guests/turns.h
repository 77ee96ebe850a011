/* turns: does what the lines of its stdin say, one after the other, and answers each with "ok …" or "EDEADLK" as it goes.
 *
 *   open N PATH MODE    as descriptor number N of its own (0-9); MODE as fopen's: r r+ w w+ a c c+
 *   close N
 *   add N               reads the number in the file, writes the next one, "ok NEXT"
 *   many N PATH         opens PATH up to N times, "ok" and how often it could
 *   mkdir PATH | rmdir PATH | is PATH     (is: whether it is there)
 *   trap
 *
 * and as `locks`:
 *
 *   lock N KIND START LEN | test N KIND START LEN     KIND: 0 unlocks, 1 shared, 2 exclusive */
#include <fcntl.h>
#include <sys/stat.h>

#include "guest.h"

static int files[10];

#ifdef LOCKS
__attribute__((import_module("wcgi"), import_name("fd_lock"))) int fd_lock(int, int, uint64_t, uint64_t);
__attribute__((import_module("wcgi"), import_name("fd_lock_test"))) int fd_lock_test(int, int, uint64_t, uint64_t);

static int lock(const char *line) {
    char what[5];
    int n, kind;
    unsigned long long start, len;
    if (sscanf(line, "%4s %d %d %llu %llu", what, &n, &kind, &start, &len) != 5) return EINVAL;
    int file = n < 0 ? n : files[n % 10];
    return strcmp(what, "lock") == 0 ? fd_lock(file, kind, start, len) : fd_lock_test(file, kind, start, len);
}
#endif

static int flags_of(const char *mode) {
    int flags = strchr(mode, '+') ? O_RDWR : *mode == 'r' ? O_RDONLY : O_WRONLY;
    if (*mode != 'r') flags |= O_CREAT;
    if (*mode == 'w') flags |= O_TRUNC;
    if (*mode == 'a') flags |= O_APPEND;
    return flags;
}

static int next(int file) {
    char text[16] = "";
    if (pread(file, text, sizeof text - 1, 0) < 0) return -1;
    int n = atoi(text) + 1;
    int len = snprintf(text, sizeof text, "%d", n);
    return ftruncate(file, 0) < 0 || pwrite(file, text, (size_t)len, 0) != len ? -1 : n;
}

static int carry_out(char *line) {
    char what[8], path[256], mode[4];
    struct stat st;
    int n;
    if (sscanf(line, "open %d %255s %3s", &n, path, mode) == 3) return (files[n % 10] = open(path, flags_of(mode), 0666));
    if (sscanf(line, "close %d", &n) == 1) return close(files[n % 10]);
    if (sscanf(line, "add %d", &n) == 1) return next(files[n % 10]);
    if (sscanf(line, "many %d %255s", &n, path) == 2) {
        int opened = 0;
        while (opened < n && open(path, O_RDONLY) >= 0) opened++;
        return opened;
    }
    if (sscanf(line, "%7s %255s", what, path) == 2) {
        if (strcmp(what, "mkdir") == 0) return mkdir(path, 0777);
        if (strcmp(what, "rmdir") == 0) return rmdir(path);
        if (strcmp(what, "is") == 0) return stat(path, &st);
    }
    if (strcmp(line, "trap\n") == 0) __builtin_trap();
#ifdef LOCKS
    errno = lock(line);
    return errno == 0 ? 0 : -1;
#endif
    errno = EINVAL;
    return -1;
}

int main(void) {
    char line[512];
    head("text/plain");
    while (fgets(line, sizeof line, stdin)) {
        int result = carry_out(line);
        if (result < 0) printf("%s\n", errno_name(errno));
        else printf("ok %d\n", result);
        fflush(stdout);
    }
    return 0;
}
