/* env: the whole environment, NAME=VALUE a line, in the order the host gave it. */
#include "guest.h"

extern char **environ;

int main(void) {
    head("text/plain");
    for (char **e = environ; *e; e++) puts(*e);
    return 0;
}
