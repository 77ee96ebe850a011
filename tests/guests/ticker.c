/* ticker: a head, then `n` lines (3) "tick 1\n", "tick 2\n" …, `ms` milliseconds (1000) apart, each flushed.
 * The first line comes at once, and nothing is waited for after the last. */
#include "guest.h"

int main(void) {
    long n = number("n", 3), ms = number("ms", 1000);
    head("text/plain");
    for (long i = 1; i <= n; i++) {
        if (i > 1) sleep_ms(ms);
        printf("tick %ld\n", i);
        fflush(stdout);
    }
    return 0;
}
