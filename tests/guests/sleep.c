/* sleep: sleeps the query's milliseconds (`250`, or `ms=250`), then answers "slept 250 ms\n".
 * With `head` in the query, the head is flushed before the sleep. */
#include "guest.h"

int main(void) {
    long ms = number("ms", 0);
    if (param("head")) head("text/plain");
    sleep_ms(ms);
    if (!param("head")) head("text/plain");
    printf("slept %ld ms\n", ms);
    return 0;
}
