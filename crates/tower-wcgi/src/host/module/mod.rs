//! What core modules can import: WASI preview 1, and the functions of `wcgi`.

mod client;
mod errno;
mod file_calls;
mod guest_memory;
mod link;
mod locks;
mod poll;
mod preview1;
mod room;
mod sockets;
#[cfg(feature = "compiler")]
mod start_up;
mod stdio;
#[cfg(feature = "compiler")]
mod unreachable;
mod wasmedge;

#[cfg(feature = "compiler")]
pub(crate) use errno::{ERRNO_FAULT, ERRNO_SUCCESS};
#[cfg(feature = "compiler")]
pub(crate) use guest_memory::{WASI, memory, slice_mut};
pub(crate) use link::link;
pub(crate) use locks::are_imported as imports_locks;
#[cfg(feature = "compiler")]
pub(crate) use preview1::define as define_preview1;
#[cfg(feature = "compiler")]
pub(crate) use start_up::{define_client_alone, define_granted_locks, define_seen};
#[cfg(feature = "compiler")]
pub(crate) use unreachable::define as define_unreachable;
pub(crate) use wasmedge::with_versions;
