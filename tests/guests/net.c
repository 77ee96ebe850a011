/* net: what programs do with connections, by the C library of guests/sockets. `do` says what, `host` and `port` with whom:
 * echo (sends `say`, or the request's body, and prints what comes until the end), look-up, ten (polls ten connections at once),
 * flood (writes until it fails), deaf (lets the peer write and reads nothing), wait (for what never comes, after it has sent `say`
 * if there is one), many (opens without end), freed (uses what it has closed), nonblocking, timeout, large (reads to the end and
 * counts), stdin (with a connection). */
#include "guest.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <netdb.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/select.h>
#include <sys/socket.h>
#include <sys/time.h>

static const char *net_error(int error) {
    switch (error) {
#define NAME(e) case e: return #e;
        NAME(EALREADY) NAME(ECONNREFUSED) NAME(ECONNRESET) NAME(EHOSTUNREACH) NAME(EINPROGRESS) NAME(EISCONN) NAME(ENETUNREACH)
        NAME(ENOTCONN) NAME(ETIMEDOUT)
#undef NAME
    }
    return errno_name(error);
}

static void fail(const char *what) {
    printf("%s: %s\n", what, net_error(errno));
    fflush(stdout);
    exit(0);
}

/* Connects as clients do: each address that the name has, in order. */
static int dial(void) {
    const char *host = param("host"), *port = param("port");
    struct addrinfo hints = {.ai_socktype = SOCK_STREAM}, *found;
    int error = getaddrinfo(host, port, &hints, &found), fd = -1;
    if (error == EAI_SYSTEM) fail("getaddrinfo");
    if (error) {
        printf("getaddrinfo: %s\n", gai_strerror(error));
        fflush(stdout);
        exit(0);
    }
    for (struct addrinfo *at = found; at; at = at->ai_next) {
        fd = socket(at->ai_family, at->ai_socktype, at->ai_protocol);
        if (fd < 0) fail("socket");
        if (connect(fd, at->ai_addr, at->ai_addrlen) == 0) break;
        error = errno;
        close(fd);
        fd = -1;
        errno = error;
    }
    if (fd < 0) fail("connect");
    freeaddrinfo(found);
    return fd;
}

static void send_all(int fd, const char *bytes, size_t len) {
    while (len > 0) {
        ssize_t sent = send(fd, bytes, len, MSG_NOSIGNAL);
        if (sent < 0) fail("send");
        bytes += sent;
        len -= (size_t)sent;
    }
}

static void echo(void) {
    static char room[65536];
    int fd = dial();
    const char *say = param("say");
    if (say) {
        send_all(fd, say, strlen(say));
    } else {
        for (ssize_t got; (got = read(0, room, sizeof room)) > 0;) send_all(fd, room, (size_t)got);
    }
    if (shutdown(fd, SHUT_WR)) fail("shutdown");
    for (;;) {
        ssize_t got = recv(fd, room, sizeof room, 0);
        if (got < 0) fail("recv");
        if (got == 0) break;
        fwrite(room, 1, (size_t)got, stdout);
    }
    struct sockaddr_storage peer;
    socklen_t len = sizeof peer;
    char host[64], service[16];
    if (getpeername(fd, (struct sockaddr *)&peer, &len)) fail("getpeername");
    getnameinfo((struct sockaddr *)&peer, len, host, sizeof host, service, sizeof service, NI_NUMERICHOST);
    printf("\npeer %s %s\n", host, service);
    if (close(fd)) fail("close");
}

static void look_up(void) {
    struct addrinfo hints = {.ai_socktype = SOCK_STREAM}, *found;
    int error = getaddrinfo(param("host"), NULL, &hints, &found);
    if (error) {
        printf("%s\n", error == EAI_SYSTEM ? net_error(errno) : gai_strerror(error));
        return;
    }
    for (struct addrinfo *at = found; at; at = at->ai_next) {
        char host[64];
        getnameinfo(at->ai_addr, at->ai_addrlen, host, sizeof host, NULL, 0, NI_NUMERICHOST);
        printf("%s\n", host);
    }
    freeaddrinfo(found);
}

/* Each of ten peers says something in its own time; what came is printed in its order. */
static void ten(void) {
    struct pollfd polled[11] = {{.fd = 0, .events = POLLIN}};
    int open = 10, stdin_seen = 0;
    for (int i = 1; i <= 10; i++) {
        polled[i] = (struct pollfd){.fd = dial(), .events = POLLIN};
        fcntl(polled[i].fd, F_SETFL, O_NONBLOCK);
    }
    while (open > 0) {
        int count = poll(polled, 11, 5000);
        if (count < 0) fail("poll");
        if (count == 0) {
            printf("nothing came\n");
            return;
        }
        if (polled[0].revents) {
            stdin_seen = 1;
            polled[0].fd = -1;
        }
        for (int i = 1; i <= 10; i++) {
            char room[64];
            if (!(polled[i].revents & POLLIN)) continue;
            ssize_t got = recv(polled[i].fd, room, sizeof room, 0);
            if (got < 0) fail("recv");
            if (got > 0) {
                printf("%.*s ", (int)got, room);
                continue;
            }
            close(polled[i].fd);
            polled[i].fd = -1;
            polled[i].events = 0;
            open--;
        }
    }
    printf("stdin %d\n", stdin_seen);
}

static void flood(void) {
    static char room[65536];
    int fd = dial();
    for (unsigned long long sent = 0;;) {
        ssize_t got = write(fd, room, sizeof room);
        if (got < 0) {
            printf("%d ", sent > 0);
            fail("write");
        }
        sent += (unsigned long long)got;
    }
}

static void many(void) {
    int sockets = 0, connections = 0, fds[200];
    while (sockets < 200 && (fds[sockets] = socket(AF_INET, SOCK_STREAM, 0)) >= 0) sockets++;
    printf("sockets %d %s\n", sockets, net_error(errno));
    while (sockets > 0) close(fds[--sockets]);
    struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons(number("port", 0))};
    inet_pton(AF_INET, param("host"), &to.sin_addr);
    for (;;) {
        int fd = socket(AF_INET, SOCK_STREAM, 0);
        if (fd < 0) fail("socket");
        if (connect(fd, (struct sockaddr *)&to, sizeof to)) break;
        connections++;
    }
    printf("connections %d %s\n", connections, net_error(errno));
}

static void freed(void) {
    char byte;
    int fd = dial();
    printf("first %s\n", close(fd) ? net_error(errno) : "ok");
    printf("again %s\n", close(fd) ? net_error(errno) : "ok");
    printf("read %s\n", read(fd, &byte, 1) < 0 ? net_error(errno) : "ok");
    printf("write %s\n", write(fd, &byte, 1) < 0 ? net_error(errno) : "ok");
    printf("seek %s\n", lseek(fd, 0, SEEK_SET) < 0 ? net_error(errno) : "ok");
    struct pollfd polled = {.fd = fd, .events = POLLIN | POLLOUT};
    int count = poll(&polled, 1, 0);
    printf("poll %d %s\n", count, polled.revents & POLLNVAL ? "POLLNVAL" : "");
    int next = dial();
    printf("number %s\n", next == fd ? "the same" : "another");
    printf("seek %s\n", lseek(next, 0, SEEK_SET) < 0 ? net_error(errno) : "ok");
}

static void nonblocking(void) {
    char byte;
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0), error;
    socklen_t len = sizeof error;
    struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons(number("port", 0))};
    inet_pton(AF_INET, param("host"), &to.sin_addr);
    int begun = connect(fd, (struct sockaddr *)&to, sizeof to);
    printf("begun %s\n", begun && errno != EINPROGRESS ? net_error(errno) : "ok");
    fd_set writable;
    FD_ZERO(&writable);
    FD_SET(fd, &writable);
    struct timeval limit = {.tv_sec = 5};
    printf("select %d\n", select(fd + 1, NULL, &writable, NULL, &limit));
    if (getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &len)) fail("getsockopt");
    printf("outcome %s\n", error ? net_error(error) : "ok");
    printf("read %s\n", recv(fd, &byte, 1, 0) < 0 ? net_error(errno) : "ok");
    struct pollfd polled = {.fd = fd, .events = POLLIN};
    printf("poll %d\n", poll(&polled, 1, 20));
    printf("flags %d\n", fcntl(fd, F_GETFL) & O_NONBLOCK ? 1 : 0);
}

static void waits(void) {
    char byte;
    int fd = dial();
    if (is("do", "timeout")) {
        struct timeval limit = {.tv_usec = 50000};
        if (setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit)) fail("setsockopt");
    }
    const char *say = param("say");
    if (say && write(fd, say, strlen(say)) < 0) fail("write");
    ssize_t got = recv(fd, &byte, 1, 0);
    if (got < 0) fail("recv");
    printf("got %zd\n", got);
}

static void large(void) {
    static char room[65536];
    unsigned long long bytes = 0;
    int fd = dial();
    for (;;) {
        ssize_t got = recv(fd, room, sizeof room, MSG_WAITALL);
        if (got < 0) fail("recv");
        bytes += (unsigned long long)got;
        if (got < (ssize_t)sizeof room) break;
    }
    printf("bytes %llu\n", bytes);
}

static void deaf(void) {
    int fd = dial();
    sleep_ms(number("ms", 50));
    printf("closed %s\n", close(fd) ? net_error(errno) : "ok");
}

int main(void) {
    static const struct {
        const char *name;
        void (*run)(void);
    } things[] = {{"echo", echo}, {"look-up", look_up}, {"ten", ten}, {"flood", flood}, {"many", many}, {"freed", freed},
                  {"nonblocking", nonblocking}, {"wait", waits}, {"timeout", waits}, {"large", large}, {"deaf", deaf}};
    head("text/plain");
    for (size_t i = 0; i < sizeof things / sizeof *things; i++) {
        if (is("do", things[i].name)) {
            things[i].run();
            return 0;
        }
    }
    printf("nothing to do\n");
    return 0;
}
