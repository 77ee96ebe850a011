/* redirect: with `to=LOCATION` in the query (percent-encoded, so that it can have a query of its own), a head of that
 * `Location` alone and a body nobody should see; else the whole environment, NAME=VALUE a line, and "body=N", the number
 * of bytes on stdin. */
#include "guest.h"

extern char **environ;

int main(void) {
    static char buffer[16384];
    const char *to = param("to");
    if (to) {
        printf("Location: %s\r\n\r\nnobody should see this\n", to);
        return 0;
    }
    unsigned long long total = 0;
    for (ssize_t n; (n = read(0, buffer, sizeof buffer)) > 0;) total += (unsigned long long)n;
    head("text/plain");
    for (char **e = environ; *e; e++) puts(*e);
    printf("body=%llu\n", total);
    return 0;
}
