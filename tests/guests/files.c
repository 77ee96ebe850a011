/* files: does file operations and says how each went, a line each: "OP PATH: ok …" or "OP PATH: ENOENT".
 *
 * The query holds the operations in order; each begins with its `op` and goes up to the next one:
 *   op=read&path=P                "ok N" and the N bytes, then a newline
 *   op=write&path=P&data=D        creates or replaces P
 *   op=create&path=P&data=D       as write, but P must not exist
 *   op=append&path=P&data=D       creates P or adds to it, "ok N" with the size it has then
 *   op=mkdir|rmdir|unlink&path=P
 *   op=rename|link|symlink&path=P&to=T      (symlink: T is the link that is made, P what it says)
 *   op=readlink&path=P            "ok TARGET"
 *   op=settimes&path=P&time=T     access and modification time := T seconds (1000000000)
 *   op=truncate&path=P&size=N     (0)
 *   op=hold&path=P&size=N         creates P with N bytes (0) and leaves it open
 *   op=list&path=P                "ok N" and then the N names in order, a line each, with "/" after a directory's
 *   op=stat|lstat&path=P          "ok file|dir|symlink|other SIZE MTIME"
 *   op=same&path=P                "ok" when stat says the same as fstat of what is opened, else "ok but FIELD" */
#include <dirent.h>
#include <fcntl.h>
#include <sys/stat.h>

#include "guest.h"

struct operation {
    char *op, *path, *to, *data;
    size_t data_len;
    long time, size;
};

static char note[128];  /* what follows "ok" */
static char *content;   /* what follows the line */
static size_t content_len;

static int put(const struct operation *o, int flags) {
    struct stat st;
    int fd = open(o->path, flags, 0666);
    if (fd < 0) return -1;
    ssize_t n = write(fd, o->data, o->data_len);
    if (n < 0 || fstat(fd, &st) < 0 || close(fd) < 0) return -1;
    if (flags & O_APPEND) snprintf(note, sizeof note, " %lld", (long long)st.st_size);
    return 0;
}

static int get(const struct operation *o) {
    int fd = open(o->path, O_RDONLY);
    if (fd < 0) return -1;
    for (ssize_t n = 1; n > 0; content_len += (size_t)n) {
        content = realloc(content, content_len + 4096 + 1);
        if ((n = read(fd, content + content_len, 4096)) < 0) return -1;
    }
    snprintf(note, sizeof note, " %zu", content_len);
    content[content_len++] = '\n';
    return close(fd);
}

static int by_name(const void *a, const void *b) { return strcmp(*(char *const *)a, *(char *const *)b); }

static int list(const struct operation *o) {
    char **names = NULL;
    size_t n = 0;
    DIR *dir = opendir(o->path);
    if (!dir) return -1;
    for (struct dirent *e; (e = readdir(dir));) {
        if (strcmp(e->d_name, ".") == 0 || strcmp(e->d_name, "..") == 0) continue;
        names = realloc(names, (n + 1) * sizeof *names);
        asprintf(&names[n++], "%s%s\n", e->d_name, e->d_type == DT_DIR ? "/" : "");
    }
    closedir(dir);
    if (n) qsort(names, n, sizeof *names, by_name);
    for (size_t i = 0; i < n; i++) {
        size_t len = strlen(names[i]);
        content = realloc(content, content_len + len);
        memcpy(content + content_len, names[i], len);
        content_len += len;
    }
    snprintf(note, sizeof note, " %zu", n);
    return 0;
}

static int status(const struct operation *o, int (*stat_function)(const char *, struct stat *)) {
    struct stat st;
    if (stat_function(o->path, &st) < 0) return -1;
    const char *kind = S_ISREG(st.st_mode)   ? "file"
                       : S_ISDIR(st.st_mode) ? "dir"
                       : S_ISLNK(st.st_mode) ? "symlink"
                                             : "other";
    snprintf(note, sizeof note, " %s %lld %lld", kind, (long long)st.st_size, (long long)st.st_mtime);
    return 0;
}

static int same(const struct operation *o) {
    struct stat a, b;
    int fd = open(o->path, O_RDONLY);
    if (fd < 0 || fstat(fd, &a) < 0 || stat(o->path, &b) < 0) return -1;
#define COMPARE(field) if (memcmp(&a.field, &b.field, sizeof a.field)) strcat(note, " but " #field)
    COMPARE(st_dev);
    COMPARE(st_ino);
    COMPARE(st_mode);
    COMPARE(st_nlink);
    COMPARE(st_size);
    COMPARE(st_atim);
    COMPARE(st_mtim);
    COMPARE(st_ctim);
    return close(fd);
}

static int set_size(const struct operation *o) {
    int fd = open(o->path, O_WRONLY);
    if (fd < 0) return -1;
    return ftruncate(fd, o->size) < 0 ? -1 : close(fd);
}

static int hold(const struct operation *o) {
    int fd = open(o->path, O_WRONLY | O_CREAT, 0666);
    return fd < 0 ? -1 : ftruncate(fd, o->size);
}

static int set_times(const struct operation *o) {
    struct timespec times[2] = {{.tv_sec = o->time}, {.tv_sec = o->time}};
    return utimensat(AT_FDCWD, o->path, times, 0);
}

static int read_link(const struct operation *o) {
    char target[100];
    ssize_t n = readlink(o->path, target, sizeof target);
    if (n < 0) return -1;
    snprintf(note, sizeof note, " %.*s", (int)n, target);
    return 0;
}

static int perform(const struct operation *o) {
    if (strcmp(o->op, "read") == 0) return get(o);
    if (strcmp(o->op, "write") == 0) return put(o, O_WRONLY | O_CREAT | O_TRUNC);
    if (strcmp(o->op, "create") == 0) return put(o, O_WRONLY | O_CREAT | O_EXCL);
    if (strcmp(o->op, "append") == 0) return put(o, O_WRONLY | O_CREAT | O_APPEND);
    if (strcmp(o->op, "mkdir") == 0) return mkdir(o->path, 0777);
    if (strcmp(o->op, "rmdir") == 0) return rmdir(o->path);
    if (strcmp(o->op, "unlink") == 0) return unlink(o->path);
    if (strcmp(o->op, "rename") == 0) return rename(o->path, o->to);
    if (strcmp(o->op, "link") == 0) return link(o->path, o->to);
    if (strcmp(o->op, "symlink") == 0) return symlink(o->path, o->to);
    if (strcmp(o->op, "readlink") == 0) return read_link(o);
    if (strcmp(o->op, "settimes") == 0) return set_times(o);
    if (strcmp(o->op, "truncate") == 0) return set_size(o);
    if (strcmp(o->op, "hold") == 0) return hold(o);
    if (strcmp(o->op, "list") == 0) return list(o);
    if (strcmp(o->op, "stat") == 0) return status(o, stat);
    if (strcmp(o->op, "same") == 0) return same(o);
    if (strcmp(o->op, "lstat") == 0) return status(o, lstat);
    errno = EINVAL;
    return -1;
}

static void perform_and_say(const struct operation *o) {
    note[0] = 0;
    content_len = 0;
    int result = perform(o), error = errno;
    printf("%s %s: ", o->op, o->path);
    if (result < 0) {
        printf("%s\n", errno_name(error));
        return;
    }
    printf("ok%s\n", note);
    fwrite(content, 1, content_len, stdout);
}

int main(void) {
    const struct operation none = {.path = "", .to = "", .data = "", .time = 1000000000};
    struct operation o = none;
    head("text/plain");
    for (const char *p = query(); *p;) {
        size_t pair = strcspn(p, "&"), name = strcspn(p, "=&"), value_len;
        char *value = name < pair ? decode(p + name + 1, pair - name - 1, &value_len) : decode("", 0, &value_len);
        if (name == 2 && memcmp(p, "op", 2) == 0) {
            if (o.op) perform_and_say(&o);
            o = none;
            o.op = value;
        }
        if (name == 4 && memcmp(p, "path", 4) == 0) o.path = value;
        if (name == 2 && memcmp(p, "to", 2) == 0) o.to = value;
        if (name == 4 && memcmp(p, "data", 4) == 0) o.data = value, o.data_len = value_len;
        if (name == 4 && memcmp(p, "time", 4) == 0) o.time = strtol(value, NULL, 10);
        if (name == 4 && memcmp(p, "size", 4) == 0) o.size = strtol(value, NULL, 10);
        p += pair + (p[pair] == '&');
    }
    if (o.op) perform_and_say(&o);
    return 0;
}
