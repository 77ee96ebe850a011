/* big: `n` bytes of body (`n=…` or a bare number; 0), each "a" + its position modulo 26.
 * With `cl=N` the head declares Content-Length: N, true or not. */
#include "guest.h"

int main(void) {
    enum { BLOCK = 26 * 1024 };
    static char block[BLOCK];
    unsigned long long left = (unsigned long long)number("n", 0);
    const char *declared = param("cl");
    for (int i = 0; i < BLOCK; i++) block[i] = (char)('a' + i % 26);
    printf("Content-Type: text/plain\r\n");
    if (declared) printf("Content-Length: %s\r\n", declared);
    printf("\r\n");
    while (left > 0) {
        size_t n = left < BLOCK ? (size_t)left : BLOCK;
        if (fwrite(block, 1, n, stdout) != n) return 1;
        left -= n;
    }
    return 0;
}
