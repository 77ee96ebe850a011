/* What CPython's modules call and WASI's libc lacks: a guest here has no network and knows no hosts. All of it fails. */

#include <stddef.h>

static int h_error = 3; /* NO_RECOVERY */

int *__h_errno_location(void) { return &h_error; }
const char *hstrerror(int error) { (void)error; return "no network"; }

void *gethostbyname(const char *name) { (void)name; return NULL; }
void *gethostbyaddr(const void *address, unsigned length, int type)
{
    (void)address, (void)length, (void)type;
    return NULL;
}
void *getservbyname(const char *name, const char *protocol) { (void)name, (void)protocol; return NULL; }
void *getservbyport(int port, const char *protocol) { (void)port, (void)protocol; return NULL; }
void *getprotobyname(const char *name) { (void)name; return NULL; }
