//! What differs between operating systems: each thing here has one name and one meaning on all of them.
//!
//! Leaves: they know nothing of HTTP, wasm, packages or each other.

mod remote;

pub(crate) use remote::may_hang;
