//! What components can import: WASI 0.2.

mod file_calls;
mod link;
mod shadow;
mod sockets;
mod tmp;

pub(crate) use link::link;
