/* count: reads the request body to its end, then says "bytes=N" and "content_length=…" (or "unset"). */
#include "guest.h"

int main(void) {
    static char buffer[16384];
    unsigned long long total = 0;
    ssize_t n;
    while ((n = read(0, buffer, sizeof buffer)) > 0) total += (unsigned long long)n;
    int error = n < 0 ? errno : 0;
    const char *length = getenv("CONTENT_LENGTH");
    head("text/plain");
    printf("bytes=%llu\ncontent_length=%s\n", total, length ? length : "unset");
    if (error) printf("read=%s\n", errno_name(error));
    return 0;
}
