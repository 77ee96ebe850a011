//! `wcgi push`: sends a package to a registry.

use anyhow::Context as _;
use tower_wcgi::Unpacked;
use wcgi_registry::{Reference, Registry, SigningKey};

use super::{options, store, unpacked};
use crate::arguments::Push;
use crate::log::Log;
use crate::report::{data, size};

/// Prints the digest on stdout; everything else is for people.
pub(crate) fn run(arguments: &Push, log: &Log) -> anyhow::Result<()> {
    log.release();
    let reference = Reference::parse(&arguments.reference)?;
    let key = arguments.sign.as_ref().map(|file| SigningKey::read(file)).transpose()?;
    let registry = Registry::new(store(&arguments.cache)?, options(&arguments.download)?);
    let unpacked = unpacked(&arguments.package)?;
    let package = unpacked.as_ref().map_or(arguments.package.as_path(), Unpacked::path);
    let pushed = registry.push(package, &reference, key.as_ref())?;
    for guest in &pushed.left_out {
        tracing::warn!("what is mounted at {guest} is not pushed, as the script writes there");
    }
    let sent = usize::try_from(pushed.sent_bytes).context("more was sent than can be counted")?;
    tracing::info!("pushed {}, sent {}", pushed.reference, size(sent));
    data(&format!("{}\n", pushed.digest))
}
