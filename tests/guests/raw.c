/* raw: writes exactly the percent-decoded query to stdout, in one write: whatever a script could answer.
 *   (empty query)                 writes the request body instead (at most 1 MiB), in one write
 *   chunk=N[&ms=M]&data=DATA      writes DATA in pieces of N bytes, M milliseconds apart; DATA is all that follows
 * "+" is not decoded. The query is taken apart before it is decoded, so DATA may hold an encoded "&" or a bare one. */
#include "guest.h"

static void write_all(const char *data, size_t len) {
    while (len > 0) {
        ssize_t n = write(1, data, len);
        if (n < 0) exit(1);
        data += n;
        len -= (size_t)n;
    }
}

int main(void) {
    const char *q = query();
    size_t len = 0;
    if (!*q) {
        static char body[1 << 20];
        for (ssize_t n; len < sizeof body && (n = read(0, body + len, sizeof body - len)) > 0;) len += (size_t)n;
        write_all(body, len);
        return 0;
    }
    if (strncmp(q, "chunk=", 6) != 0) {
        char *data = decode(q, strlen(q), &len);
        write_all(data, len);
        return 0;
    }
    long ms = number("ms", 0);
    size_t chunk = (size_t)number("chunk", 1);
    const char *encoded = strstr(q, "&data=");
    if (!encoded || chunk == 0) return 2;
    char *data = decode(encoded + 6, strlen(encoded + 6), &len);
    for (size_t at = 0; at < len; at += chunk) {
        if (at && ms) sleep_ms(ms);
        write_all(data + at, len - at < chunk ? len - at : chunk);
    }
    return 0;
}
