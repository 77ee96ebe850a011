//! Outbound connections: which a script may make, and the connections themselves.
//!
//! In: the rules of a service; names, addresses and ports that its scripts ask for. Out: connections to peers that were checked,
//! or why there are none. Only an address that was looked at is ever dialled. It must not know wasm or packages.

mod allow;
mod dial;
mod failure;
mod inside;
mod refused;
mod resolve;
mod rule;
mod service;
mod sockets;
mod stream;
#[cfg(test)]
mod tests_sockets;

pub(crate) use allow::{Peer, not_granted};
pub(crate) use dial::Connection;
pub(crate) use failure::Failure;
pub use rule::{InvalidNetRule, NetRule};
pub(crate) use service::{Limits, Outbound};
pub(crate) use sockets::{MAX_SOCKETS, Sockets};
pub(crate) use stream::Direction;
