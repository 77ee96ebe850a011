/* complain: writes 9,000 bytes and then "last complaint\n" to stderr, and then, by `then`:
 *   trap     executes `unreachable`, before any output (also when `then` is absent)
 *   exit     ends with status 1, without any output
 *   head     writes a head that is none
 *   hello    answers "Hello, World!\n" */
#include "guest.h"

int main(void) {
    for (int i = 0; i < 900; i++) fputs("complaint\n", stderr);
    fputs("last complaint\n", stderr);
    if (is("then", "exit")) return 1;
    if (is("then", "head")) {
        puts("this is no head\n");
        return 0;
    }
    if (is("then", "hello")) {
        head("text/plain");
        puts("Hello, World!");
        return 0;
    }
    __builtin_trap();
}
