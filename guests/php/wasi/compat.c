/* The part of compat.h that has state or is called through a pointer. */
#include <string.h>
#include <sys/stat.h>

#include "compat.h"
#include "host-locks.h"

/* Anonymous mappings: blocks of so many times 2 MiB, each at a multiple of that, as Zend's allocator wants them, straight from
   memory.grow (the C library's posix_memalign is misaligned over 64 KiB). What was given back is used again, in part or together
   with its neighbours. */
#define UNIT (2ul << 20)
#define PAGE 65536ul

static struct block {
    char *start;
    size_t size;
    int is_free;
    struct block *next; /* at a higher address */
} *blocks;

static size_t whole_units(size_t size) {
    return (size + UNIT - 1) & ~(UNIT - 1);
}

/* A free block, of memory that is new. */
static struct block *grow(size_t size) {
    struct block **last = &blocks, *block = malloc(sizeof *block);
    if (!block) {
        return NULL;
    }
    size_t end = __builtin_wasm_memory_size(0) * PAGE;
    size_t start = whole_units(end);
    if (start + size < start || __builtin_wasm_memory_grow(0, (start + size - end) / PAGE) == (size_t) -1) {
        free(block);
        return NULL;
    }
    while (*last) {
        last = &(*last)->next;
    }
    *block = (struct block) { (char *) start, size, 1, NULL };
    return *last = block;
}

/* Makes free neighbours one. */
static void unite(void) {
    for (struct block *block = blocks; block && block->next;) {
        struct block *next = block->next;
        if (block->is_free && next->is_free && block->start + block->size == next->start) {
            block->size += next->size;
            block->next = next->next;
            free(next);
        } else {
            block = next;
        }
    }
}

/* Makes a block that long, what is too much of it a free one. */
static void cut(struct block *block, size_t size) {
    struct block *rest;
    if (block->size > size && (rest = malloc(sizeof *rest))) {
        *rest = (struct block) { block->start + size, block->size - size, 1, block->next };
        block->next = rest;
        block->size = size;
    }
}

void *wasi_mmap(void *address, size_t size, int protection, int flags, int fd, long long offset) {
    struct block *block, *best = NULL;
    if (fd >= 0 || address) {
        errno = ENOSYS;
        return MAP_FAILED;
    }
    size = whole_units(size);
    for (block = blocks; block; block = block->next) {
        if (block->is_free && block->size >= size && (!best || block->size < best->size)) {
            best = block;
        }
    }
    if (best) {
        memset(best->start, 0, 4096); /* Zend's allocator relies on zeros in the head of a chunk only */
    } else if (!(best = grow(size))) {
        errno = ENOMEM;
        return MAP_FAILED;
    }
    cut(best, size);
    best->is_free = 0;
    return best->start;
}

int wasi_munmap(void *start, size_t size) {
    for (struct block *block = blocks; block; block = block->next) {
        size_t kept = (char *) start - block->start; /* what is before a tail that is given back */
        if (!block->is_free && kept < block->size) {
            if (kept == 0) {
                block->is_free = 1;
            } else {
                cut(block, whole_units(kept));
            }
            unite();
            break;
        }
    }
    return 0;
}

/* Makes the mapping that ends at `end` longer where it is, if there is room. */
int wasi_mmap_extend(void *end, size_t more) {
    for (struct block *block = blocks; block; block = block->next) {
        size_t size = (char *) end - block->start, missing;
        if (block->is_free || size == 0 || size > block->size) {
            continue;
        }
        if (size + more <= block->size) {
            return 1;
        }
        missing = whole_units(size + more) - block->size;
        if (!block->next && (size_t) block->start + block->size == __builtin_wasm_memory_size(0) * PAGE) {
            grow(missing);
        }
        struct block *next = block->next;
        if (!next || !next->is_free || next->start != block->start + block->size || next->size < missing) {
            return 0;
        }
        cut(next, missing);
        block->size += next->size;
        block->next = next->next;
        free(next);
        return 1;
    }
    return 0;
}

/* Before a snapshot: what was given back holds data of requests. */
void wasi_mmap_clear_free(void) {
    for (struct block *block = blocks; block; block = block->next) {
        if (block->is_free) {
            memset(block->start, 0, block->size);
        }
    }
}

int libc_close(int) __asm__("close");

int close(int fd) {
    return fd >= 0 && fd <= 2 ? 0 : libc_close(fd);
}

/* With the host's locks, which never wait. They are those of fcntl: an exchange's, not a descriptor's. */
int flock(int fd, int operation) {
    enum { SHARED = 1, NO_WAIT = 4, UNLOCK = 8 };
    int kind = operation & UNLOCK ? WCGI_UNLOCK : operation & SHARED ? WCGI_SHARED : WCGI_EXCLUSIVE;
    int error;
    while ((error = wcgi_fd_lock(fd, kind, 0, 0)) == EAGAIN && !(operation & NO_WAIT)) {
        usleep(2000);
    }
    if (error == 0 || error == EINVAL) { /* no regular file: nobody else has it */
        return 0;
    }
    errno = error;
    return -1;
}

/* The C library's makes names of the clock, which a snapshot and a clock that stands still make the same ones of. */
int mkstemp(char *template) {
    static const char letters[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    size_t length = strlen(template);
    if (length < 6 || strcmp(template + length - 6, "XXXXXX") != 0) {
        errno = EINVAL;
        return -1;
    }
    for (int tries = 0; tries < 100; tries++) {
        unsigned char random[6];
        if (getentropy(random, sizeof random) != 0) {
            return -1;
        }
        for (int i = 0; i < 6; i++) {
            template[length - 6 + i] = letters[random[i] & 63];
        }
        int fd = open(template, O_RDWR | O_CREAT | O_EXCL, 0600);
        if (fd >= 0 || errno != EEXIST) {
            return fd;
        }
    }
    return -1;
}

/* The C library has none. */
FILE *tmpfile(void) {
    char name[] = "/tmp/fileXXXXXX";
    int fd = mkstemp(name);
    if (fd < 0) {
        return NULL;
    }
    unlink(name);
    return fdopen(fd, "w+");
}

int chmod(const char *path, mode_t mode) {
    struct stat status;
    return stat(path, &status);
}

int fchmod(int fd, mode_t mode) {
    struct stat status;
    return fstat(fd, &status);
}

void *getpwnam(const char *name) { return NULL; }
void *getpwuid(unsigned user) { return NULL; }
void *getgrnam(const char *name) { return NULL; }
void openlog(const char *name, int options, int facility) {}
void closelog(void) {}
void syslog(int priority, const char *format, int argument) {}
int madvise(void *start, unsigned long size, int advice) { return 0; }
int getnameinfo(const void *a, unsigned b, char *c, unsigned d, char *e, unsigned f, int g) { return -4; }
int gethostbyname_r(const char *name, void *r, char *b, unsigned long l, void **result, int *error) {
    *result = NULL;
    *error = 1;
    return -1;
}
