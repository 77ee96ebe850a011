//! Scripts: modules and components, ready to be instantiated for every exchange.
//!
//! This must not know exchanges or HTTP.

mod checks;
mod compile;
mod component;
mod program;
#[cfg(feature = "compiler")]
mod snapshot;
mod source;
mod surroundings;

#[cfg(feature = "compiler")]
pub use compile::compile_helper;
pub(crate) use program::{Program, Script};
#[cfg(feature = "compiler")]
pub use snapshot::{Captured, Cause, SnapshotReport};
#[cfg(feature = "compiler")]
pub(crate) use snapshot::{Contents, INITIALIZE, compare, module_after_start_up};
pub(crate) use source::Source;
pub(crate) use surroundings::{Surroundings, WARMUP};
