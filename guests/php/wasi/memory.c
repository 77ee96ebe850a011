/* By 16 bytes what others do byte by byte: memcmp and memchr, in the C library 3 % of a WordPress page, and PCRE's search for a byte
   of a set. */
#include <stdint.h>
#include <string.h>
#include <wasm_simd128.h>

int memcmp(const void *left, const void *right, size_t size) {
    const unsigned char *a = left, *b = right;
    for (; size >= 16; a += 16, b += 16, size -= 16) {
        unsigned differ = wasm_i8x16_bitmask(wasm_i8x16_ne(wasm_v128_load(a), wasm_v128_load(b)));
        if (differ) {
            int i = __builtin_ctz(differ);
            return a[i] - b[i];
        }
    }
    if (size >= 8) {
        uint64_t x, y;
        __builtin_memcpy(&x, a, 8);
        __builtin_memcpy(&y, b, 8);
        if (x != y) {
            return __builtin_bswap64(x) < __builtin_bswap64(y) ? -1 : 1;
        }
        a += 8, b += 8, size -= 8;
    }
    for (; size; a++, b++, size--) {
        if (*a != *b) {
            return *a - *b;
        }
    }
    return 0;
}

void *memchr(const void *memory, int wanted, size_t size) {
    const unsigned char *p = memory;
    v128_t pattern = wasm_i8x16_splat((char) wanted);
    /* Whoever knows that it is there may give any size: what is read at once must not reach over the end of memory. */
    for (; size && (uintptr_t) p % 16; p++, size--) {
        if (*p == (unsigned char) wanted) {
            return (void *) p;
        }
    }
    for (; size >= 16; p += 16, size -= 16) {
        unsigned found = wasm_i8x16_bitmask(wasm_i8x16_eq(wasm_v128_load(p), pattern));
        if (found) {
            return (void *) (p + __builtin_ctz(found));
        }
    }
    for (; size; p++, size--) {
        if (*p == (unsigned char) wanted) {
            return (void *) p;
        }
    }
    return NULL;
}

/* The first byte from `p` on whose bit is set in `bits`, or `end`. By 16 bytes: which of the 32 bytes of `bits`, then which bit of it. */
const unsigned char *wasi_find_of_set(const unsigned char *p, const unsigned char *end, const unsigned char *bits) {
    static const unsigned char bit[16] = { 1, 2, 4, 8, 16, 32, 64, 128, 1, 2, 4, 8, 16, 32, 64, 128 };
    v128_t low = wasm_v128_load(bits), high = wasm_v128_load(bits + 16), of_byte = wasm_v128_load(bit);
    for (; end - p >= 16; p += 16) {
        v128_t bytes = wasm_v128_load(p), row = wasm_u8x16_shr(bytes, 3);
        v128_t set = wasm_v128_or(wasm_i8x16_swizzle(low, row), wasm_i8x16_swizzle(high, wasm_i8x16_sub(row, wasm_i8x16_const_splat(16))));
        v128_t mine = wasm_i8x16_swizzle(of_byte, wasm_v128_and(bytes, wasm_i8x16_const_splat(7)));
        unsigned found = wasm_i8x16_bitmask(wasm_i8x16_ne(wasm_v128_and(set, mine), wasm_i8x16_const_splat(0)));
        if (found) {
            return p + __builtin_ctz(found);
        }
    }
    for (; p < end && !(bits[*p / 8] & 1u << (*p & 7)); p++) {
    }
    return p;
}
