//! Packages: directories with a manifest, `.webc` files and single modules.
//!
//! In: a path, and the name of a command if the operator chose one. Out: a [`Package`], plain data: the module that answers,
//! its arguments, environment and mounts. Nothing is compiled here and no module is parsed. `script` finds out whether the bytes
//! are WebAssembly. This must not know HTTP or wasm.
//!
//! The mounts' host directories are not checked on opening, because the operator's own mounts may replace them: first
//! [`overlay`](crate::mount::overlay), then [`check`](crate::mount::check).

mod command;
mod dependencies;
mod document;
mod manifest;
mod open;
mod opened;
mod refuse;
mod site;
#[cfg(feature = "webc")]
mod webc;

pub(crate) use command::{Front, set_env};
pub(crate) use dependencies::Dependencies;
#[cfg(feature = "compiler")]
pub(crate) use manifest::Written;
#[cfg(feature = "webc")]
pub(crate) use open::command_names;
pub(crate) use open::open;
pub(crate) use opened::{MANIFESTS, Module, Package};
pub use site::Site;
#[cfg(feature = "webc")]
pub(crate) use webc::{Packed, manifest_of, to_webc};
