/* args: "argc=N", then each argument on a line, the program's name first. */
#include "guest.h"

int main(int argc, char **argv) {
    head("text/plain");
    printf("argc=%d\n", argc);
    for (int i = 0; i < argc; i++) puts(argv[i]);
    return 0;
}
