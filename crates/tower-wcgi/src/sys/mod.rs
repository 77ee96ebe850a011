//! What differs between operating systems, where it can be said in one call: each has one name and one meaning on all of them.
//!
//! It knows nothing of HTTP, wasm or packages.

#[cfg(feature = "compiler")]
mod heap;
mod metadata;
mod path;
mod remote;
#[cfg(any(feature = "compiler", feature = "webc"))]
mod symlink;

#[cfg(feature = "compiler")]
pub(crate) use heap::trim;
pub(crate) use metadata::{changed, device_and_inode, is_writable_by_all, links};
pub(crate) use path::path_of;
pub(crate) use remote::may_hang;
#[cfg(any(feature = "compiler", feature = "webc"))]
pub(crate) use symlink::symlink;
