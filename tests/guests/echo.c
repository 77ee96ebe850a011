/* echo: the request body comes back as it arrives: the head is flushed first, then each read is written at once.
 * The content type is the request's, application/octet-stream without one. */
#include "guest.h"

int main(void) {
    static char buffer[16384];
    const char *type = getenv("CONTENT_TYPE");
    head(type && *type ? type : "application/octet-stream");
    for (ssize_t n; (n = read(0, buffer, sizeof buffer)) != 0;) {
        if (n < 0) return 1;
        for (ssize_t done = 0, w; done < n; done += w) {
            if ((w = write(1, buffer + done, (size_t)(n - done))) < 0) return 1;
        }
    }
    return 0;
}
