//! `wcgi update`: resolves the dependencies of a package anew.

use wcgi_registry::{Lock, Registry};

use super::{options, store};
use crate::arguments::Update;
use crate::log::Log;
use crate::report::data;

/// Prints what the dependencies lead to now.
pub(crate) fn run(arguments: &Update, log: &Log) -> anyhow::Result<()> {
    log.release();
    let registry = Registry::new(store(&arguments.cache)?, options(&arguments.download)?);
    let dependencies = registry.dependencies(&arguments.package, &Lock::Update(arguments.names.clone()))?;
    let lines = dependencies.digests().map(|(reference, digest)| format!("{reference} {digest}\n"));
    data(&lines.collect::<String>())
}
