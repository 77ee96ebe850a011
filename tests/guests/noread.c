/* noread: answers "not read\n" at once and never looks at the request body. */
#include "guest.h"

int main(void) {
    head("text/plain");
    puts("not read");
    return 0;
}
