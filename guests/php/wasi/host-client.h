/* Functions of this host about the client (crates/tower-wcgi/docs/client.md). Both answer 0 in a start-up. */
#ifndef WASI_HOST_CLIENT_H
#define WASI_HOST_CLIENT_H

__attribute__((import_module("wcgi"), import_name("ignore_abort"))) int wcgi_ignore_abort(int ignore);
__attribute__((import_module("wcgi"), import_name("client_left"))) int wcgi_client_left(void);

#endif
