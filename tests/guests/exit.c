/* exit: ends with the status `code` (0), `when`:
 *   before   nothing was written
 *   inhead   after one whole line of the head, which does not end
 *   head     after the head, no body
 *   after    after head and body "done\n" (what happens when `when` is absent) */
#include "guest.h"

int main(void) {
    int code = (int)number("code", 0);
    if (is("when", "before")) exit(code);
    printf("Content-Type: text/plain\r\n");
    if (is("when", "inhead")) exit(code);
    printf("\r\n");
    if (is("when", "head")) exit(code);
    printf("done\n");
    exit(code);
}
