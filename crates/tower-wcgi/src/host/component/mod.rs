//! What components can import: WASI 0.2.

mod file_calls;
mod link;
mod room;
mod shadow;
mod sockets;

pub(crate) use link::link;
