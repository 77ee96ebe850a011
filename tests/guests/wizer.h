/* How a C program says that its start-up can be run ahead of its requests: START_UP(function). In that file, main must take
 * arguments: of one that takes none, clang makes __main_void itself, but not where it is declared. */
#ifndef WIZER_H
#define WIZER_H

#include <wasi/api.h>
#include <wasi/libc-environ.h>

void __wasm_call_ctors(void);
void __wasm_call_dtors(void);
int __main_void(void);

#define START_UP(function)                                                                 \
    /* Runs once. Nobody has run the constructors before. */                               \
    __attribute__((export_name("wizer-initialize"))) void wizer_initialize(void) {         \
        __wasm_call_ctors();                                                               \
        function();                                                                        \
    }                                                                                      \
    /* Takes the place of _start in the snapshot. */                                       \
    __attribute__((export_name("wizer.resume"))) void wizer_resume(void) {                 \
        /* The environment is now that of a request. libc has read another if the */       \
        /* start-up called getenv, and would not look again. */                            \
        __wasilibc_initialize_environ();                                                   \
        int status = __main_void();                                                        \
        __wasm_call_dtors();                                                               \
        if (status != 0) __wasi_proc_exit(status);                                         \
    }

#endif
