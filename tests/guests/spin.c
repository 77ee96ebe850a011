/* spin: never ends and makes no host call. With `head` in the query, a head and "spinning\n" are flushed first. */
#include "guest.h"

int main(void) {
    if (param("head")) {
        head("text/plain");
        puts("spinning");
        fflush(stdout);
    }
    for (volatile unsigned n = 0;; n++) {
    }
}
