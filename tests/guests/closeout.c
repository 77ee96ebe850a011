/* closeout: a head and "closed early\n", then closes stdout, goes on computing for `ms` milliseconds (50), says
 * "done after stdout was closed" on stderr and ends well. */
#include "guest.h"

static long now_ms(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (long)(t.tv_sec * 1000 + t.tv_nsec / 1000000);
}

int main(void) {
    long ms = number("ms", 50);
    head("text/plain");
    puts("closed early");
    fflush(stdout);
    close(1);
    for (long begin = now_ms(); now_ms() - begin < ms;) {
        for (volatile int i = 0; i < 100000; i++) {
        }
    }
    fputs("done after stdout was closed\n", stderr);
    return 0;
}
