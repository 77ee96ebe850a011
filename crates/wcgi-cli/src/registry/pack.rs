//! `wcgi pack`: a package in one file, for Wasmer and for machines without a registry.

use super::resolve;
use crate::arguments::Pack;
use crate::log::Log;
use crate::report::{Refusal, data, size};

/// Writes the file, and prints how to serve it.
pub(crate) fn run(arguments: &Pack, log: &Log) -> anyhow::Result<()> {
    log.release();
    let resolved = resolve(&arguments.package, &arguments.cache, &arguments.download, &arguments.trust)?;
    if resolved.is_folder() {
        let message = format!("no wasmer.toml in {}", arguments.package.display());
        return Err(Refusal::new(message, "`wcgi new --template php` writes one".to_owned()).into());
    }
    let mut builder = resolved.builder();
    if let Some(command) = &arguments.command {
        builder = builder.command(command);
    }
    let (bytes, left_out) = builder.pack(&arguments.output)?;
    for line in left_out {
        tracing::warn!("{line}");
    }
    for need in &resolved.needs {
        tracing::warn!("{} is not in the package: run the file with --mapdir {}:DIR", need.guest, need.guest);
    }
    let (output, bytes) = (arguments.output.display(), size(usize::try_from(bytes).unwrap_or(usize::MAX)));
    data(&format!("packed {output}, {bytes}\nserve it:  wcgi run {output}\n"))
}
