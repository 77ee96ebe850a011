//! Reports about exchanges: the log, a record of each, the list of those at work, metrics.

mod log;
#[cfg(feature = "metrics")]
mod meters;
#[cfg(not(feature = "metrics"))]
mod no_meters;
mod record;
mod running;

pub(crate) use log::log;
#[cfg(feature = "metrics")]
pub(crate) use meters::Meters;
#[cfg(feature = "metrics")]
pub use meters::describe_metrics;
#[cfg(not(feature = "metrics"))]
pub(crate) use no_meters::Meters;
pub use record::{ExchangeInfo, ExchangeState};
pub(crate) use running::{Observed, Running};
