/* bomb: allocates and touches memory until there is no more, then aborts, without a byte of output. */
#include "guest.h"

static char *volatile newest; /* so that the compiler cannot do without the memory */

int main(void) {
    enum { STEP = 1 << 20 };
    for (char *p; (p = malloc(STEP));) {
        newest = memset(p, 1, STEP);
    }
    abort();
}
