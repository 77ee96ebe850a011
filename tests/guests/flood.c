/* flood: output without end; by the query:
 *   (nothing)      a head, then lines of the body for ever
 *   line           one header field whose line never ends
 *   headers        header fields for ever, "X-Flood-1: …", "X-Flood-2: …"
 *   err            stderr for ever, nothing on stdout
 *   errthenhello   1 MiB on stderr, then "Hello, World!\n" */
#include "guest.h"

static char block[4096];

int main(void) {
    memset(block, 'x', sizeof block);
    if (param("line")) {
        printf("X-Flood: ");
        for (;;) fwrite(block, 1, sizeof block, stdout);
    }
    if (param("headers")) {
        for (unsigned long n = 1;; n++) printf("X-Flood-%lu: flood\r\n", n);
    }
    for (size_t i = 63; i < sizeof block; i += 64) block[i] = '\n';
    if (param("err")) {
        for (;;) write(2, block, sizeof block);
    }
    if (param("errthenhello")) {
        for (int i = 0; i < 256; i++) write(2, block, sizeof block);
        head("text/plain");
        puts("Hello, World!");
        return 0;
    }
    head("text/plain");
    for (;;) fwrite(block, 1, sizeof block, stdout);
}
