//! `wcgi pull`: fetches a package, for a run without the registry or as a directory of one's own.

use std::path::PathBuf;

use wcgi_registry::{Reference, Registry, VerifyingKey};

use super::{options, store};
use crate::arguments::Pull;
use crate::log::Log;
use crate::report::data;

/// Prints the digest on stdout; with a directory, also what the package asks for.
pub(crate) fn run(arguments: &Pull, log: &Log) -> anyhow::Result<()> {
    log.release();
    let reference = Reference::parse(&arguments.reference)?;
    let keys: Vec<_> = arguments.verify.iter().map(|file| VerifyingKey::read(file)).collect::<Result<_, _>>()?;
    let registry = Registry::new(store(&arguments.cache)?, options(&arguments.download)?.verify(keys));
    let pulled = match &arguments.output {
        Some(directory) => registry.pull_into(&reference, directory)?,
        None => registry.pull(&reference)?,
    };
    let dependencies = registry.dependencies_of(&pulled)?;
    let mut text = format!("{}\n", pulled.digest);
    if let Some(directory) = &arguments.output {
        let shown = directory.display();
        for need in pulled.needs.iter().chain(&dependencies.needs) {
            let given = need.directory.as_ref().map(|name| directory.join(name)).filter(|path: &PathBuf| path.is_dir());
            text += &match given {
                Some(path) => format!("writes to:  {}, which is {}\n", need.guest, path.display()),
                None => format!("wants:  --mapdir {}:DIR, as {}\n", need.guest, need.reason()),
            };
        }
        for rule in pulled.network.iter().chain(&dependencies.network) {
            text += &format!("connects to:  {rule}\n");
        }
        text += &format!("serve it:  wcgi run {shown}\n");
    }
    data(&text)
}
