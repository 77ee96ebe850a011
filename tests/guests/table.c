/* table: its start-up builds a table of 4 MiB in 50 ms, and can be run ahead of the requests. Says "loops=" with the loops
 * this request took to build it, "sum=" over the table, "requests=" seen by this instance, and what the host gives it now:
 * "random=", "time=" and "monotonic=" in nanoseconds. */
#include "guest.h"
#include "wizer.h"

enum { ENTRIES = 1 << 20, ROUNDS = 48 };

static uint32_t table[ENTRIES];
static unsigned long loops;
static int requests;

static void build(void) {
    if (table[0]) return;
    for (uint32_t i = 0; i < ENTRIES; i++) {
        uint32_t x = i + 1;
        for (int round = 0; round < ROUNDS; round++, loops++) x ^= x << 13, x ^= x >> 17, x ^= x << 5;
        table[i] = x;
    }
}

START_UP(build)

static unsigned long long nanoseconds(clockid_t clock) {
    struct timespec t;
    clock_gettime(clock, &t);
    return t.tv_sec * 1000000000ull + t.tv_nsec;
}

int main(int argc, char **argv) {
    (void)argc, (void)argv;
    unsigned long before = loops;
    build();
    uint32_t sum = 0;
    for (size_t i = 0; i < ENTRIES; i += 4096) sum += table[i];
    uint64_t random;
    if (__wasi_random_get((uint8_t *)&random, sizeof random)) abort();
    head("text/plain");
    printf("loops=%lu\nsum=%u\nrequests=%d\nrandom=%016llx\n", loops - before, sum, ++requests, (unsigned long long)random);
    printf("time=%llu\nmonotonic=%llu\n", nanoseconds(CLOCK_REALTIME), nanoseconds(CLOCK_MONOTONIC));
    return 0;
}
