//! Snapshots: the state that a module's start-up has left in its memory and its globals, for instances that begin there.
//!
//! It finds out whether the start-up kept data that must differ between requests. It must not know HTTP.

mod compare;
mod contents;
mod entry;
mod initialise;
mod key;
mod left;
mod own_thread;
mod take;

pub(crate) use compare::compare;
pub use compare::{Captured, Cause, SnapshotReport};
pub(crate) use contents::Contents;
pub(super) use entry::Entry;
pub(crate) use entry::INITIALIZE;
pub(crate) use take::module_after_start_up;
pub(super) use take::{ready, warn};
