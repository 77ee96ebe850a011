//! Starting: an executable that is a package serves it, with the options of `wcgi run`.

use std::fs::File;

use anyhow::Context as _;
use clap::parser::ValueSource;
use clap::{CommandFactory as _, FromArgMatches as _, Parser};

use super::unpack::unpack;
use super::{Trailer, writable_mounts};
use crate::arguments::{Logging, Run, Verbosity};
use crate::log::Log;
use crate::registry::{as_options, check_mapped};
use crate::run;

/// This program, if there is a package behind it.
#[derive(Debug)]
pub(crate) struct App {
    file: File,
    trailer: Trailer,
}

/// Serves the package that is part of this program, one isolated instance per request.
#[derive(Debug, Parser)]
#[command(version)]
struct Options {
    #[command(flatten)]
    run: Run,

    #[command(flatten)]
    logging: Logging,
}

impl App {
    /// # Errors
    ///
    /// When the file of this program cannot be read, or is not whole.
    pub(crate) fn of_this_program() -> anyhow::Result<Option<Self>> {
        let Ok(path) = std::env::current_exe() else { return Ok(None) };
        let cannot = || format!("cannot read {}", path.display());
        let mut file = File::open(&path).with_context(cannot)?;
        let trailer = Trailer::read(&mut file).with_context(cannot)?;
        Ok(trailer.map(|trailer| Self { file, trailer }))
    }

    /// The options on the command line. Wrong usage ends here.
    pub(crate) fn parse(&self) -> (Run, Verbosity) {
        let mut command = Options::command();
        // The package is known, believed, and nothing of it is fetched or kept.
        command = command.mut_arg("package", |arg| arg.long("package").hide(true).required(false).default_value("."));
        for id in HIDDEN {
            command = command.mut_arg(id, |arg| arg.hide(true));
        }
        let matches = command.get_matches();
        let mut options = Options::from_arg_matches(&matches).unwrap_or_else(|error| error.exit());
        if matches.value_source("max_memory") == Some(ValueSource::DefaultValue) {
            // The code was compiled for it.
            options.run.package.max_memory = self.trailer.max_memory;
        }
        (options.run, options.logging.verbosity())
    }

    /// Unpacks the package, and serves it until a signal ends it.
    pub(crate) fn run(mut self, mut run: Run, log: &Log) -> anyhow::Result<()> {
        let unpacked = unpack(&mut self.file, self.trailer)?;
        let wanted: Vec<_> = writable_mounts(&unpacked.path())?
            .into_iter()
            .map(|(guest, _)| (guest, "the script writes there".to_owned()))
            .collect();
        check_mapped(&wanted, run.package.mapdir.iter().map(|mapdir| &*mapdir.guest), as_options)?;
        run.package.package = unpacked.path();
        run.package.cache.no_cache = run.package.cache.cache_dir.is_none();
        run.trust_precompiled = true;
        run::run(run, log)
    }
}

/// Options about packages of other people, and about code that was compiled for somebody else.
const HIDDEN: [&str; 12] = [
    "cache_dir",
    "locked",
    "max_files",
    "max_manifest",
    "max_module",
    "max_package",
    "max_window",
    "no_cache",
    "plain_http",
    "trust_precompiled",
    "verify",
    "watch",
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_hidden_is_there() {
        let command = Options::command();
        let there = |id: &&str| command.get_arguments().any(|argument| argument.get_id() == *id);
        assert!(HIDDEN.iter().chain(&["package", "max_memory"]).all(there));
    }
}
