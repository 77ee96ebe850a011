/* hello: greets the world, or whom `name=WHO` says. Plain text: "Hello, World!\n". */
#include "guest.h"

int main(void) {
    const char *who = param("name");
    head("text/plain");
    printf("Hello, %s!\n", who && *who ? who : "World");
    return 0;
}
