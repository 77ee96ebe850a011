/* grow: grows its memory by the query's MiB (`16`, or `mib=16`) and touches every page: "grew 16 MiB\n", or
 * "failed after 7 of 16 MiB\n". It grows the memory itself, for a libc's malloc may take more than it is asked for. */
#include <stdint.h>

#include "guest.h"

int main(void) {
    enum { PAGE = 65536, STEP = 1 << 20 };
    long want = number("mib", 1), have = 0;
    for (; have < want; have++) {
        size_t first_page = __builtin_wasm_memory_grow(0, STEP / PAGE);
        if (first_page == SIZE_MAX) break;
        memset((char *)(first_page * PAGE), 1, STEP);
    }
    head("text/plain");
    if (have == want) printf("grew %ld MiB\n", have);
    else printf("failed after %ld of %ld MiB\n", have, want);
    return 0;
}
