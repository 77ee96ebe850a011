/* random: asks the host for the query's number of random bytes (`n=…` or a bare number; 16) in one call and says
 * "bytes=N" and "first=" with the first 16 in hex, or "random_get=" with the error. */
#include <wasi/api.h>

#include "guest.h"

int main(void) {
    size_t n = (size_t)number("n", 16);
    uint8_t *bytes = malloc(n ? n : 1);
    __wasi_errno_t error = bytes ? __wasi_random_get(bytes, n) : __WASI_ERRNO_NOMEM;
    head("text/plain");
    if (error != __WASI_ERRNO_SUCCESS) {
        printf("random_get=%s\n", errno_name(error));
        return 0;
    }
    printf("bytes=%zu\nfirst=", n);
    for (size_t i = 0; i < n && i < 16; i++) printf("%02x", bytes[i]);
    puts("");
    return 0;
}
