/* The socket functions of POSIX on top of the host's: see docs/network.md of the crate tower-wcgi.
 *
 * Addresses that getaddrinfo gives are those by which the host knows a name again. Nothing here parses answers of a resolver, and
 * nothing is kept but what gethostbyname has to keep. */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/uio.h>
#include <unistd.h>
#include <wasi/api.h>

#define HOST(name) __attribute__((import_module("wcgi"), import_name(name)))

/* An address as the host writes it. */
struct address {
    uint32_t version;
    uint8_t bytes[16];
};

HOST("net_open") int host_open(int *fd);
HOST("net_connect") int host_connect(int fd, const char *host, size_t len, int port);
HOST("net_look_up") int host_look_up(const char *name, size_t len, struct address *room, size_t most, size_t *found);
HOST("net_peer") int host_peer(int fd, struct address *address, uint32_t *port);
HOST("net_error") int host_error(int fd, int *error);
HOST("net_timeout") int host_timeout(int fd, int which, uint64_t nanoseconds);

enum { MOST_ADDRESSES = 16, KERNEL_BUFFER = 256 << 10 };

static int failed(int error) {
    errno = error;
    return -1;
}

static int told(int error) {
    return error ? failed(error) : 0;
}

int socket(int domain, int type, int protocol) {
    int fd, kind = type & ~(SOCK_NONBLOCK | SOCK_CLOEXEC);
    if (domain != AF_INET && domain != AF_INET6) return failed(EAFNOSUPPORT);
    if (kind != SOCK_STREAM || (protocol != 0 && protocol != IPPROTO_TCP)) return failed(EPROTONOSUPPORT);
    if (told(host_open(&fd))) return -1;
    if (type & SOCK_NONBLOCK) fcntl(fd, F_SETFL, O_NONBLOCK);
    return fd;
}

int connect(int fd, const struct sockaddr *address, socklen_t len) {
    char text[INET6_ADDRSTRLEN];
    const void *bytes;
    in_port_t port;
    if (len < sizeof address->sa_family) return failed(EINVAL);
    switch (address->sa_family) {
    case AF_INET: {
        const struct sockaddr_in *in = (const void *)address;
        if (len < offsetof(struct sockaddr_in, sin_addr) + sizeof in->sin_addr) return failed(EINVAL);
        bytes = &in->sin_addr;
        port = in->sin_port;
        break;
    }
    case AF_INET6: {
        const struct sockaddr_in6 *in = (const void *)address;
        if (len < offsetof(struct sockaddr_in6, sin6_addr) + sizeof in->sin6_addr) return failed(EINVAL);
        bytes = &in->sin6_addr;
        port = in->sin6_port;
        break;
    }
    default: return failed(EAFNOSUPPORT);
    }
    if (!inet_ntop(address->sa_family, bytes, text, sizeof text)) return -1;
    /* As other systems answer port 0. */
    if (port == 0) return failed(ECONNREFUSED);
    return told(host_connect(fd, text, strlen(text), ntohs(port)));
}

int bind(int fd, const struct sockaddr *address, socklen_t len) {
    (void)fd, (void)address, (void)len;
    return failed(ENOTSUP);
}

int listen(int fd, int backlog) {
    (void)fd, (void)backlog;
    return failed(ENOTSUP);
}

int socketpair(int domain, int type, int protocol, int fds[2]) {
    (void)domain, (void)type, (void)protocol, (void)fds;
    return failed(ENOTSUP);
}

/* Writes an address into room, which knows how large it is and is told how large it should be. */
static void put(const struct address *from, in_port_t port, struct sockaddr *room, socklen_t *len) {
    struct sockaddr_in in = {.sin_family = AF_INET, .sin_port = htons(port)};
    struct sockaddr_in6 in6 = {.sin6_family = AF_INET6, .sin6_port = htons(port)};
    int is_v6 = from->version == 6;
    socklen_t size = is_v6 ? sizeof in6 : sizeof in;
    memcpy(&in.sin_addr, from->bytes, sizeof in.sin_addr);
    memcpy(&in6.sin6_addr, from->bytes, sizeof in6.sin6_addr);
    memcpy(room, is_v6 ? (const void *)&in6 : (const void *)&in, *len < size ? *len : size);
    *len = size;
}

int getpeername(int fd, struct sockaddr *restrict room, socklen_t *restrict len) {
    struct address peer;
    uint32_t port;
    if (told(host_peer(fd, &peer, &port))) return -1;
    put(&peer, port, room, len);
    return 0;
}

/* A script is told nothing of the host's own addresses. */
int getsockname(int fd, struct sockaddr *restrict room, socklen_t *restrict len) {
    struct address none = {.version = 4};
    int error;
    socklen_t error_len = sizeof error;
    if (getsockopt(fd, SOL_SOCKET, SO_TYPE, &error, &error_len)) return -1;
    put(&none, 0, room, len);
    return 0;
}

static int is_socket(int fd) {
    __wasi_fdstat_t stat;
    int error = __wasi_fd_fdstat_get(fd, &stat);
    if (error) return failed(error), 0;
    return stat.fs_filetype == __WASI_FILETYPE_SOCKET_STREAM ? 1 : (failed(ENOTSOCK), 0);
}

int getsockopt(int fd, int level, int name, void *restrict value, socklen_t *restrict len) {
    int number = 0;
    if (!is_socket(fd)) return -1;
    if (level == SOL_SOCKET) {
        switch (name) {
        case SO_ERROR:
            if (told(host_error(fd, &number))) return -1;
            break;
        case SO_TYPE: number = SOCK_STREAM; break;
        case SO_PROTOCOL: number = IPPROTO_TCP; break;
        case SO_DOMAIN: number = AF_INET; break;
        case SO_SNDBUF:
        case SO_RCVBUF: number = KERNEL_BUFFER; break;
        case SO_KEEPALIVE:
        case SO_REUSEADDR:
        case SO_ACCEPTCONN: break;
        default: return failed(ENOPROTOOPT);
        }
    } else if (level == IPPROTO_TCP && name == TCP_NODELAY) {
        number = 1;
    } else {
        return failed(ENOPROTOOPT);
    }
    memcpy(value, &number, *len < sizeof number ? *len : sizeof number);
    *len = *len < sizeof number ? *len : sizeof number;
    return 0;
}

int setsockopt(int fd, int level, int name, const void *value, socklen_t len) {
    if (!is_socket(fd)) return -1;
    if (level == SOL_SOCKET) {
        switch (name) {
        case SO_RCVTIMEO:
        case SO_SNDTIMEO: {
            struct timeval limit;
            if (len < sizeof limit) return failed(EINVAL);
            memcpy(&limit, value, sizeof limit);
            if (limit.tv_sec < 0 || limit.tv_usec < 0 || limit.tv_usec >= 1000000) return failed(EDOM);
            if (limit.tv_sec > INT32_MAX) limit.tv_sec = INT32_MAX;
            uint64_t nanoseconds = (uint64_t)limit.tv_sec * 1000000000 + (uint64_t)limit.tv_usec * 1000;
            return told(host_timeout(fd, name == SO_SNDTIMEO, nanoseconds));
        }
        /* Nothing that a client does differs by these. */
        case SO_KEEPALIVE:
        case SO_REUSEADDR:
        case SO_SNDBUF:
        case SO_RCVBUF:
        case SO_LINGER:
        case SO_OOBINLINE: return 0;
        default: return failed(ENOPROTOOPT);
        }
    }
    switch (level) {
    case IPPROTO_TCP:
    case IPPROTO_IP:
    case IPPROTO_IPV6: return 0;
    default: return failed(ENOPROTOOPT);
    }
}

/* Runs a call on a descriptor that does not wait for the length of it. */
#define AT_ONCE(fd, flags, result, call)                                                                               \
    do {                                                                                                               \
        int before = (flags) & MSG_DONTWAIT ? fcntl(fd, F_GETFL) : -1;                                                 \
        int waits = before >= 0 && !(before & O_NONBLOCK);                                                             \
        if (waits) fcntl(fd, F_SETFL, before | O_NONBLOCK);                                                            \
        (result) = (call);                                                                                             \
        if (waits) {                                                                                                   \
            int error = errno;                                                                                         \
            fcntl(fd, F_SETFL, before);                                                                                \
            errno = error;                                                                                             \
        }                                                                                                              \
    } while (0)

static ssize_t send_vector(int fd, const struct iovec *vector, size_t count, int flags) {
    size_t sent = 0;
    if (flags & ~(MSG_DONTWAIT | MSG_NOSIGNAL)) return failed(ENOTSUP);
    int error;
    AT_ONCE(fd, flags, error, __wasi_sock_send(fd, (const __wasi_ciovec_t *)vector, count, 0, &sent));
    return error ? failed(error) : (ssize_t)sent;
}

static ssize_t receive_vector(int fd, const struct iovec *vector, size_t count, int flags) {
    size_t received = 0;
    __wasi_roflags_t told_flags;
    if (flags & ~(MSG_DONTWAIT | MSG_NOSIGNAL | MSG_PEEK | MSG_WAITALL)) return failed(ENOTSUP);
    int error, kept = flags & (MSG_PEEK | MSG_WAITALL);
    AT_ONCE(fd, flags, error,
            __wasi_sock_recv(fd, (const __wasi_iovec_t *)vector, count, kept, &received, &told_flags));
    return error ? failed(error) : (ssize_t)received;
}

ssize_t send(int fd, const void *bytes, size_t len, int flags) {
    struct iovec vector = {.iov_base = (void *)bytes, .iov_len = len};
    return send_vector(fd, &vector, 1, flags);
}

ssize_t recv(int fd, void *room, size_t len, int flags) {
    struct iovec vector = {.iov_base = room, .iov_len = len};
    return receive_vector(fd, &vector, 1, flags);
}

/* There are only connections, so `to` is where it goes anyway. */
ssize_t sendto(int fd, const void *bytes, size_t len, int flags, const struct sockaddr *to, socklen_t to_len) {
    (void)to, (void)to_len;
    return send(fd, bytes, len, flags);
}

ssize_t recvfrom(int fd, void *restrict room, size_t len, int flags, struct sockaddr *restrict from,
                 socklen_t *restrict from_len) {
    ssize_t received = recv(fd, room, len, flags);
    if (received >= 0 && from && from_len) getpeername(fd, from, from_len);
    return received;
}

ssize_t sendmsg(int fd, const struct msghdr *message, int flags) {
    if (message->msg_controllen) return failed(ENOTSUP);
    return send_vector(fd, message->msg_iov, message->msg_iovlen, flags);
}

ssize_t recvmsg(int fd, struct msghdr *message, int flags) {
    ssize_t received = receive_vector(fd, message->msg_iov, message->msg_iovlen, flags);
    if (received >= 0) message->msg_namelen = 0, message->msg_controllen = 0, message->msg_flags = 0;
    return received;
}

static const struct {
    const char *name;
    int port;
} known[] = {{"ftp", 21},    {"http", 80},    {"https", 443},      {"imap", 143}, {"imaps", 993},
             {"mysql", 3306}, {"pop3", 110},  {"postgresql", 5432}, {"redis", 6379}, {"smtp", 25},
             {"submission", 587}};

/* The port of a service, or -1. */
static int port_of(const char *service, int numeric) {
    char *end;
    if (!service || !*service) return 0;
    long port = strtol(service, &end, 10);
    if (!*end) return port >= 0 && port <= UINT16_MAX ? (int)port : -1;
    for (size_t i = 0; !numeric && i < sizeof known / sizeof *known; i++) {
        if (strcmp(service, known[i].name) == 0) return known[i].port;
    }
    return -1;
}

/* Whether text is an address, which it is then. */
static int is_literal(const char *text, struct address *address) {
    memset(address, 0, sizeof *address);
    if (inet_pton(AF_INET, text, address->bytes) == 1) return address->version = 4;
    if (inet_pton(AF_INET6, text, address->bytes) == 1) return address->version = 6;
    return 0;
}

/* One entry in one block, with room for the name. */
static struct addrinfo *entry(const struct address *address, int port, const char *name) {
    struct block {
        struct addrinfo info;
        struct sockaddr_storage storage;
        char name[];
    } *block = calloc(1, sizeof *block + (name ? strlen(name) + 1 : 0));
    if (!block) return NULL;
    block->info = (struct addrinfo){.ai_family = address->version == 6 ? AF_INET6 : AF_INET,
                                    .ai_socktype = SOCK_STREAM,
                                    .ai_protocol = IPPROTO_TCP,
                                    .ai_addrlen = sizeof block->storage,
                                    .ai_addr = (struct sockaddr *)&block->storage};
    put(address, port, block->info.ai_addr, &block->info.ai_addrlen);
    if (name) block->info.ai_canonname = strcpy(block->name, name);
    return &block->info;
}

int getaddrinfo(const char *restrict node, const char *restrict service, const struct addrinfo *restrict hints,
                struct addrinfo **restrict found) {
    int flags = hints ? hints->ai_flags : 0, family = hints ? hints->ai_family : AF_UNSPEC;
    struct address addresses[MOST_ADDRESSES] = {0};
    size_t count = 1;
    if (!node && !service) return EAI_NONAME;
    if (family != AF_UNSPEC && family != AF_INET && family != AF_INET6) return EAI_FAMILY;
    if (hints && hints->ai_socktype && hints->ai_socktype != SOCK_STREAM) return EAI_SOCKTYPE;
    int port = port_of(service, flags & AI_NUMERICSERV);
    if (port < 0) return EAI_SERVICE;
    if (!node) {
        const char *own = family == AF_INET6 ? (flags & AI_PASSIVE ? "::" : "::1")
                                             : (flags & AI_PASSIVE ? "0.0.0.0" : "127.0.0.1");
        is_literal(own, addresses);
    } else if (!is_literal(node, addresses)) {
        if (flags & AI_NUMERICHOST) return EAI_NONAME;
        int error = host_look_up(node, strlen(node), addresses, MOST_ADDRESSES, &count);
        switch (error) {
        case 0: break;
        case ENOENT: return EAI_NONAME;
        case ETIMEDOUT:
        case EMFILE: return EAI_AGAIN;
        default: errno = error; return EAI_SYSTEM;
        }
    }
    struct addrinfo *first = NULL, **next = &first;
    for (size_t i = 0; i < count; i++) {
        if (family != AF_UNSPEC && (family == AF_INET6) != (addresses[i].version == 6)) continue;
        *next = entry(&addresses[i], port, !first && node && flags & AI_CANONNAME ? node : NULL);
        if (!*next) {
            freeaddrinfo(first);
            return EAI_MEMORY;
        }
        next = &(*next)->ai_next;
    }
    if (!first) return EAI_NONAME;
    *found = first;
    return 0;
}

void freeaddrinfo(struct addrinfo *found) {
    while (found) {
        struct addrinfo *next = found->ai_next;
        free(found);
        found = next;
    }
}

int getnameinfo(const struct sockaddr *restrict address, socklen_t len, char *restrict host, socklen_t host_len,
                char *restrict service, socklen_t service_len, int flags) {
    const void *bytes;
    in_port_t port;
    (void)len;
    /* No name is told of an address. */
    if (flags & NI_NAMEREQD) return EAI_NONAME;
    if (address->sa_family == AF_INET) {
        bytes = &((const struct sockaddr_in *)address)->sin_addr;
        port = ((const struct sockaddr_in *)address)->sin_port;
    } else if (address->sa_family == AF_INET6) {
        bytes = &((const struct sockaddr_in6 *)address)->sin6_addr;
        port = ((const struct sockaddr_in6 *)address)->sin6_port;
    } else {
        return EAI_FAMILY;
    }
    if (host && host_len && !inet_ntop(address->sa_family, bytes, host, host_len)) return EAI_OVERFLOW;
    if (service && service_len && snprintf(service, service_len, "%u", ntohs(port)) >= (int)service_len) return EAI_OVERFLOW;
    return 0;
}

const char *gai_strerror(int error) {
    switch (error) {
    case 0: return "Success";
    case EAI_BADFLAGS: return "Invalid flags";
    case EAI_NONAME: return "Name does not resolve";
    case EAI_AGAIN: return "Try again";
    case EAI_FAIL: return "Non-recoverable error";
    case EAI_NODATA: return "Name has no usable address";
    case EAI_FAMILY: return "Unrecognized address family or invalid length";
    case EAI_SOCKTYPE: return "Unrecognized socket type";
    case EAI_SERVICE: return "Unrecognized service";
    case EAI_MEMORY: return "Out of memory";
    case EAI_SYSTEM: return "System error";
    case EAI_OVERFLOW: return "Overflow";
    default: return "Unknown error";
    }
}

int h_errno;

struct hostent *gethostbyname(const char *name) {
    static struct in_addr addresses[MOST_ADDRESSES];
    static char *list[MOST_ADDRESSES + 1], *aliases[1], kept[NI_MAXHOST + 1];
    static struct hostent host;
    struct addrinfo hints = {.ai_family = AF_INET, .ai_socktype = SOCK_STREAM}, *found;
    int error = getaddrinfo(name, NULL, &hints, &found);
    if (error) {
        h_errno = error == EAI_AGAIN ? TRY_AGAIN : error == EAI_NONAME ? HOST_NOT_FOUND : NO_RECOVERY;
        return NULL;
    }
    size_t count = 0;
    for (struct addrinfo *at = found; at && count < MOST_ADDRESSES; at = at->ai_next) {
        addresses[count] = ((struct sockaddr_in *)at->ai_addr)->sin_addr;
        list[count] = (char *)&addresses[count];
        count++;
    }
    list[count] = NULL;
    freeaddrinfo(found);
    snprintf(kept, sizeof kept, "%s", name);
    host = (struct hostent){.h_name = kept, .h_aliases = aliases, .h_addrtype = AF_INET, .h_length = 4, .h_addr_list = list};
    return &host;
}

static struct servent *service(const char *name, int port) {
    static char *aliases[1], kept[NI_MAXSERV];
    static struct servent service;
    snprintf(kept, sizeof kept, "%s", name);
    service = (struct servent){.s_name = kept, .s_aliases = aliases, .s_port = htons(port), .s_proto = "tcp"};
    return &service;
}

static int is_tcp(const char *protocol) {
    return !protocol || strcmp(protocol, "tcp") == 0;
}

struct servent *getservbyname(const char *name, const char *protocol) {
    int port = port_of(name, 0);
    return port > 0 && is_tcp(protocol) ? service(name, port) : NULL;
}

struct servent *getservbyport(int port, const char *protocol) {
    for (size_t i = 0; is_tcp(protocol) && i < sizeof known / sizeof *known; i++) {
        if (known[i].port == ntohs(port)) return service(known[i].name, known[i].port);
    }
    return NULL;
}

struct protoent *getprotobyname(const char *name) {
    static char *aliases[1];
    static struct protoent tcp = {.p_name = "tcp", .p_aliases = aliases, .p_proto = IPPROTO_TCP};
    return is_tcp(name) ? &tcp : NULL;
}

struct hostent *gethostbyaddr(const void *address, socklen_t len, int family) {
    (void)address, (void)len, (void)family;
    h_errno = HOST_NOT_FOUND;
    return NULL;
}

const char *hstrerror(int error) {
    switch (error) {
    case HOST_NOT_FOUND: return "Host not found";
    case TRY_AGAIN: return "Try again";
    default: return "Non-recoverable error";
    }
}

in_addr_t inet_addr(const char *text) {
    struct in_addr address;
    return inet_pton(AF_INET, text, &address) == 1 ? address.s_addr : (in_addr_t)-1;
}

char *inet_ntoa(struct in_addr address) {
    static char text[INET_ADDRSTRLEN];
    return (char *)inet_ntop(AF_INET, &address, text, sizeof text);
}
