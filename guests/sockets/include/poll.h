/* What <poll.h> of wasi-libc for preview 1 leaves out. */
#ifndef WCGI_POLL_H
#define WCGI_POLL_H

#include_next <poll.h>

/* Never told: there are no bytes out of band. */
#define POLLPRI 0x4
#define POLLRDBAND 0x8
#define POLLWRBAND 0x10

#endif
