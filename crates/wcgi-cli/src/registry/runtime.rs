//! `wcgi runtime`: interpreters that packages depend on by name, on this machine.

use tower_wcgi::Unpacked;
use wcgi_registry::{Reference, Registry};

use super::{options, store, unpacked};
use crate::arguments::{Runtime, RuntimeCommand};
use crate::log::Log;
use crate::report::data;

/// Adds one and prints its digest, or lists what is here.
pub(crate) fn run(arguments: &Runtime, log: &Log) -> anyhow::Result<()> {
    log.release();
    let registry = Registry::new(store(&arguments.cache)?, options(&arguments.download)?);
    match &arguments.command {
        RuntimeCommand::Add { name, file } => {
            let reference = Reference::parse(name)?;
            let unpacked = unpacked(file)?;
            let digest = registry.add_runtime(&reference, unpacked.as_ref().map_or(file, Unpacked::path))?;
            data(&format!("{digest}\n"))
        }
        RuntimeCommand::List => {
            let line = |runtime: &wcgi_registry::Runtime| {
                let how = if runtime.added { "added" } else { "pulled" };
                format!("{} {} {how}\n", runtime.reference, runtime.digest)
            };
            data(&registry.runtimes().iter().map(line).collect::<String>())
        }
    }
}
