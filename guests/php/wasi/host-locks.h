/* Locks on parts of files, which the host has and WASI has not: crates/tower-wcgi/docs/locks.md. Both give an errno. */
#include <stdint.h>

enum { WCGI_UNLOCK, WCGI_SHARED, WCGI_EXCLUSIVE };

__attribute__((import_module("wcgi"), import_name("fd_lock")))
int wcgi_fd_lock(int fd, int kind, uint64_t start, uint64_t len);
__attribute__((import_module("wcgi"), import_name("fd_lock_test")))
int wcgi_fd_lock_test(int fd, int kind, uint64_t start, uint64_t len);
