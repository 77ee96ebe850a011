//! What a guest can call: WASI and functions of our own, on the files, streams and variables of its exchange.
//!
//! In: a guest's calls. Out: what they come to. It stands below what compiles a guest and what runs it, and must not know the
//! engine, scripts, exchanges or HTTP.

mod blocking;
mod component;
mod exit;
mod files;
mod habits;
mod handles;
mod memory_limit;
pub(crate) mod module;
mod random;
mod room;
mod state;
mod writing;

pub(crate) use blocking::block_in_place_async;
pub(crate) use component::link as link_components;
pub(crate) use exit::Exit;
#[cfg(feature = "compiler")]
pub(crate) use files::View;
pub(crate) use files::{Files, Quota, Quotas, Seen, Turns};
pub(crate) use habits::Habits;
#[cfg(feature = "compiler")]
pub(crate) use memory_limit::MemoryLimit;
pub(crate) use module::link as link_modules;
pub(crate) use state::{Given, HostState};
