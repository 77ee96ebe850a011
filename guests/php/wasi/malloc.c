/* malloc and its kin, for a process that is started once and then serves one request, many times over.

   Blocks of a size are kept in a list when they are free, and are neither cut nor united: what grows by reallocation, and is not PHP's own,
   takes up to twice its room. What a request allocates lies together, in
   memory that was not used before: the pages it writes are few, and the host copies and puts back stretches of pages. So the free blocks
   of the start-up are left alone, and so is a block of its that a request frees. During the start-up, what is given back is wiped: it may
   be a warm-up request's, and nobody else's business. */
#include <errno.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#define PAGE 65536ul
#define ALIGNMENT 16
#define REQUEST_PAGES 16 /* memory.grow of somebody else does not come between before that much is used */

/* In front of each block. */
struct header {
    char *start; /* what the list of free blocks has: lower than the header of a block with an alignment of its own */
    size_t size;
    size_t unused[2];
};

struct free_block {
    struct free_block *next;
};

static struct free_block *free_blocks[152];
static char *fresh, *end, *floor; /* what was never used, and where the blocks of this phase begin */

int wasi_is_starting;

static struct header *header_of(void *memory) {
    return (struct header *) memory - 1;
}

/* Rounds up to one of four sizes in each doubling, to multiples of 16 below 1024, and says which it is. */
static unsigned class_of(size_t *size) {
    size_t n = *size ? *size : 1;
    if (n <= 1024) {
        *size = (n + 15) & ~15ul;
        return *size / 16 - 1;
    }
    unsigned shift = 29 - __builtin_clz(n - 1);
    *size = ((n - 1) >> shift << shift) + (1ul << shift);
    return 64 + (shift - 8) * 4 + ((n - 1) >> shift & 3);
}

/* So many bytes that are zero, or NULL. */
static char *take(size_t size) {
    if ((size_t) (end - fresh) < size) {
        char *top = (char *) (__builtin_wasm_memory_size(0) * PAGE);
        char *start = top == end ? fresh : top;
        size_t pages = (size - (top - start) + PAGE - 1) / PAGE;
        if (__builtin_wasm_memory_grow(0, pages) == (size_t) -1) {
            return NULL;
        }
        fresh = start;
        end = top + pages * PAGE;
        if (start == top && !floor) {
            floor = start;
        }
    }
    char *memory = fresh;
    fresh += size;
    return memory;
}

static void *allocate(size_t size, size_t alignment, int zero) {
    if (size > PTRDIFF_MAX - alignment - PAGE) {
        errno = ENOMEM;
        return NULL;
    }
    size_t whole = size + (alignment > ALIGNMENT ? alignment : 0);
    unsigned class = class_of(&whole);
    struct free_block *block = free_blocks[class];
    char *start;
    if (block) {
        free_blocks[class] = block->next;
        start = (char *) block;
    } else if ((start = take(sizeof(struct header) + whole))) {
        start += sizeof(struct header);
    } else {
        errno = ENOMEM;
        return NULL;
    }
    char *memory = (char *) (((uintptr_t) start + alignment - 1) & -alignment);
    *header_of(memory) = (struct header) { start, whole - (memory - start) };
    if (zero && block) {
        memset(memory, 0, size);
    }
    return memory;
}

void *malloc(size_t size) {
    return allocate(size, ALIGNMENT, 0);
}

void *calloc(size_t count, size_t size) {
    if (__builtin_mul_overflow(count, size, &size)) {
        errno = ENOMEM;
        return NULL;
    }
    return allocate(size, ALIGNMENT, 1);
}

void *aligned_alloc(size_t alignment, size_t size) {
    if (alignment == 0 || (alignment & (alignment - 1)) || alignment > PTRDIFF_MAX / 2) {
        errno = EINVAL;
        return NULL;
    }
    return allocate(size, alignment < ALIGNMENT ? ALIGNMENT : alignment, 0);
}

void *memalign(size_t alignment, size_t size) {
    return aligned_alloc(alignment, size);
}

int posix_memalign(void **memory, size_t alignment, size_t size) {
    int before = errno, error;
    void *block = alignment % sizeof(void *) ? (errno = EINVAL, NULL) : aligned_alloc(alignment, size);
    error = block ? 0 : errno;
    errno = before;
    if (block) {
        *memory = block;
    }
    return error;
}

size_t malloc_usable_size(void *memory) {
    return memory ? header_of(memory)->size : 0;
}

void free(void *memory) {
    if (!memory || (char *) memory < floor) {
        return;
    }
    char *start = header_of(memory)->start;
    size_t whole = header_of(memory)->size + ((char *) memory - start);
    if (wasi_is_starting) {
        memset(start, 0, whole);
    }
    struct free_block **list = &free_blocks[class_of(&whole)];
    ((struct free_block *) start)->next = *list;
    *list = (struct free_block *) start;
}

void *realloc(void *memory, size_t size) {
    if (!memory) {
        return malloc(size);
    }
    size_t old = header_of(memory)->size;
    if (size <= old) {
        if (wasi_is_starting) {
            memset((char *) memory + size, 0, old - size);
        }
        return memory;
    }
    void *copy = malloc(size);
    if (copy) {
        memcpy(copy, memory, old);
        free(memory);
    }
    return copy;
}

void *reallocarray(void *memory, size_t count, size_t size) {
    if (__builtin_mul_overflow(count, size, &size)) {
        errno = ENOMEM;
        return NULL;
    }
    return realloc(memory, size);
}

/* The start-up is over: what it has is left as it is, and a request's blocks begin in memory of their own. */
void wasi_malloc_begin_request(void) {
    wasi_is_starting = 0;
    memset(free_blocks, 0, sizeof free_blocks);
    size_t pages = __builtin_wasm_memory_grow(0, REQUEST_PAGES);
    fresh = end = floor = (char *) (__builtin_wasm_memory_size(0) * PAGE);
    if (pages != (size_t) -1) {
        fresh = floor = end - REQUEST_PAGES * PAGE;
    }
}
