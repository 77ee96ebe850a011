/* stderr: writes exactly the percent-decoded query to stderr, in one write, then answers "Hello, World!\n". */
#include "guest.h"

int main(void) {
    size_t len;
    char *text = decode(query(), strlen(query()), &len);
    write(2, text, len);
    head("text/plain");
    puts("Hello, World!");
    return 0;
}
