//! Runtimes: interpreters that packages depend on by name, `php:8.4`, for machines with and without a registry.

use std::path::Path;

use crate::Registry;
use crate::artefact::make;
use crate::digest::Digest;
use crate::error::{Error, ErrorKind};
use crate::lock::Lock;
use crate::reference::Reference;

/// A runtime on this machine.
#[derive(Debug)]
#[non_exhaustive]
pub struct Runtime {
    /// What packages call it.
    pub reference: Reference,
    /// What it is now.
    pub digest: Digest,
    /// Whether it was added by hand, or pulled.
    pub added: bool,
}

impl Registry {
    /// Takes the package at `path` in as the runtime `reference`, `NAME:VERSION`. From now on it comes before what a registry
    /// has under this name.
    ///
    /// # Errors
    ///
    /// When the reference names a registry or no version, or there is no package.
    pub fn add_runtime(&self, reference: &Reference, path: &Path) -> Result<Digest, Error> {
        if reference.registry().is_some() || reference.tag().is_none() || reference.digest().is_some() {
            let message = format!("{reference} is not the name of a runtime");
            return Err(Error::new(ErrorKind::Reference, message).with_hint("write NAME:VERSION, such as php:8.4"));
        }
        let dependencies = self.dependencies(path, &Lock::Use)?;
        let made = make(self.store(), path, &self.options().limits, &|name, dependency| {
            let digest = dependencies.digest(dependency);
            let missing =
                || Error::new(ErrorKind::Package, format!("dependencies.{name}: {dependency} was not resolved"));
            digest.map(|digest| dependency.pinned(digest)).ok_or_else(missing)
        })?;
        for guest in &made.left_out {
            tracing::warn!("{reference}: what is mounted at {guest} is left out, as scripts write there");
        }
        self.store().set_runtime(reference, &made.digest)?;
        Ok(made.digest)
    }

    /// The runtimes that were added, then the packages that were pulled by a tag.
    #[must_use]
    pub fn runtimes(&self) -> Vec<Runtime> {
        let added = self.store().runtimes().into_iter().map(|known| (known, true));
        let pulled = self.store().tags().into_iter().map(|known| (known, false));
        let all = added.chain(pulled);
        all.map(|(known, added)| Runtime { reference: known.reference, digest: known.digest, added }).collect()
    }
}
