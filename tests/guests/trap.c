/* trap: executes `unreachable`, `when`:
 *   before   nothing was written (also when `when` is absent)
 *   inhead   after "Content-Type: text/pl", flushed
 *   head     after the head, flushed
 *   mid      after head and body "half of\n", flushed */
#include "guest.h"

int main(void) {
    if (is("when", "inhead")) {
        printf("Content-Type: text/pl");
    } else if (is("when", "head") || is("when", "mid")) {
        printf("Content-Type: text/plain\r\n\r\n");
        if (is("when", "mid")) printf("half of\n");
    }
    fflush(stdout);
    __builtin_trap();
}
