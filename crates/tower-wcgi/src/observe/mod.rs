//! Reports about exchanges: so far the log.

mod log;

pub(crate) use log::log;
