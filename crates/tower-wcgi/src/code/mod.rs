//! Compiled code: what modules are compiled from, where it is kept on disk, and where instances of it begin.
//!
//! In: bytes of a module and what a compiler made of them. Out: code in files and code in use. It has the one way to load
//! code from a file. It must not know the engine, scripts, WASI or HTTP.

mod beginning;
#[cfg(feature = "compiler")]
mod cache;
mod compiled;
#[cfg(feature = "compiler")]
mod guarded;
mod prepare;
mod shelf;
mod snapshot;
#[cfg(feature = "compiler")]
mod snapshot_file;
#[cfg(feature = "compiler")]
mod snapshots;

pub(crate) use beginning::{Beginning, Code};
#[cfg(feature = "compiler")]
pub(crate) use cache::{Cache, settings_hash};
#[cfg(feature = "compiler")]
pub(crate) use compiled::put_in_package;
pub(crate) use compiled::{Compiled, of_package};
#[cfg(feature = "compiler")]
pub(crate) use prepare::prepare;
pub(crate) use prepare::{ModuleHash, input};
pub(crate) use shelf::Shelf;
#[cfg(feature = "compiler")]
pub(crate) use snapshot::{Globals, Snapshot};
