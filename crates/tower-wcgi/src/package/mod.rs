//! Packages: what a directory with a manifest, a `.webc` file or a single module says is to be run, and with what.
//!
//! In: a path and, if somebody chose one, the name of a command. Out: a [`Package`], plain data: which module answers,
//! its arguments, environment and mounts. Nothing is compiled here and no module is looked into; whether the bytes are
//! WebAssembly is the script's business. Knows nothing of HTTP or wasm.
//!
//! The mounts' host directories are not checked on opening, because the operator's own mounts may replace them: first
//! [`overlay`](crate::mount::overlay), then [`check`](crate::mount::check).

mod command;
mod document;
mod manifest;
mod open;
mod opened;
mod refuse;
mod site;
#[cfg(feature = "webc")]
mod webc;

#[cfg(feature = "compiler")]
pub(crate) use command::Front;
pub(crate) use command::set_env;
#[cfg(feature = "compiler")]
pub(crate) use manifest::Written;
pub(crate) use open::{MANIFESTS, open};
pub(crate) use opened::{Module, Package};
pub use site::Site;
