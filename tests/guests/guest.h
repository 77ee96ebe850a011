/* What the guests share: reading QUERY_STRING, writing a head, sleeping, the names of errors. */
#ifndef GUEST_H
#define GUEST_H

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

/* QUERY_STRING, "" when unset. */
static inline const char *query(void) {
    const char *q = getenv("QUERY_STRING");
    return q ? q : "";
}

static inline int hex_digit(char c) {
    if (c >= '0' && c <= '9') return c - '0';
    if (c >= 'a' && c <= 'f') return c - 'a' + 10;
    if (c >= 'A' && c <= 'F') return c - 'A' + 10;
    return -1;
}

/* Percent-decodes len bytes ("+" stays "+") into a new buffer, which ends in a NUL that is not counted. */
static inline char *decode(const char *s, size_t len, size_t *decoded_len) {
    char *out = malloc(len + 1);
    size_t n = 0;
    for (size_t i = 0; i < len; i++) {
        if (s[i] == '%' && i + 2 < len && hex_digit(s[i + 1]) >= 0 && hex_digit(s[i + 2]) >= 0) {
            out[n++] = (char)(hex_digit(s[i + 1]) * 16 + hex_digit(s[i + 2]));
            i += 2;
        } else {
            out[n++] = s[i];
        }
    }
    out[n] = 0;
    if (decoded_len) *decoded_len = n;
    return out;
}

/* The decoded value of the first NAME=VALUE in the query, "" for a NAME alone, NULL when it is not there. */
static inline char *param(const char *name) {
    size_t len = strlen(name);
    for (const char *p = query(); *p;) {
        size_t pair = strcspn(p, "&");
        if (strncmp(p, name, len) == 0 && (pair == len || p[len] == '=')) {
            return pair == len ? decode("", 0, NULL) : decode(p + len + 1, pair - len - 1, NULL);
        }
        p += pair + (p[pair] == '&');
    }
    return NULL;
}

/* The number NAME=…, or the query itself when that is a bare number, or `otherwise`. */
static inline long number(const char *name, long otherwise) {
    const char *value = param(name);
    if (!value && *query() >= '0' && *query() <= '9') value = query();
    return value && *value ? strtol(value, NULL, 10) : otherwise;
}

/* Whether the parameter `name` has this value. */
static inline int is(const char *name, const char *value) {
    const char *found = param(name);
    return found && strcmp(found, value) == 0;
}

/* Writes a whole head, at once. */
static inline void head(const char *content_type) {
    printf("Content-Type: %s\r\n\r\n", content_type);
    fflush(stdout);
}

static inline void sleep_ms(long ms) {
    struct timespec t = {.tv_sec = ms / 1000, .tv_nsec = ms % 1000 * 1000000};
    nanosleep(&t, NULL);
}

/* "ENOENT" and so on; WASI's libc has no function for it. */
static inline const char *errno_name(int error) {
    static char unnamed[16];
    switch (error) {
#define NAME(e) case e: return #e;
        NAME(EACCES) NAME(EAGAIN) NAME(EBADF) NAME(EBUSY) NAME(EDEADLK) NAME(EDQUOT) NAME(EEXIST) NAME(EFBIG) NAME(EINVAL)
        NAME(EIO) NAME(EISDIR) NAME(ELOOP) NAME(EMFILE) NAME(EMLINK) NAME(ENAMETOOLONG) NAME(ENFILE) NAME(ENOENT) NAME(ENOLCK)
        NAME(ENOMEM) NAME(ENOSPC) NAME(ENOSYS) NAME(ENOTCAPABLE) NAME(ENOTDIR) NAME(ENOTEMPTY) NAME(ENOTSUP)
        NAME(EPERM) NAME(EPIPE) NAME(EROFS) NAME(ETXTBSY) NAME(EXDEV)
#undef NAME
    }
    snprintf(unnamed, sizeof unnamed, "errno %d", error);
    return unnamed;
}

#endif
