//! Pushing: from a package on this machine to a registry.

use std::path::Path;

use crate::artefact::{Made, make};
use crate::dependencies::Dependencies;
use crate::digest::Digest;
use crate::error::{Error, ErrorKind};
use crate::image::{Descriptor, IMAGE};
use crate::lock::Lock;
use crate::reference::{Prefix, Reference};
use crate::signature::SigningKey;
use crate::transport::Repository;
use crate::{Registry, signed};

/// A package that is in a registry now.
#[derive(Debug)]
#[non_exhaustive]
pub struct Pushed {
    /// Where it is, with its registry and its tag.
    pub reference: Reference,
    /// Its digest.
    pub digest: Digest,
    /// What was sent; the rest was there already.
    pub sent_bytes: u64,
    /// Guest paths of mounts that were left out, as scripts write there.
    pub left_out: Vec<String>,
}

impl Registry {
    /// Sends the package at `path` to where `reference` leads, and a signature of it if there is a key.
    ///
    /// # Errors
    ///
    /// When the package cannot be sent as it is, or the registry does not take it.
    pub fn push(&self, path: &Path, reference: &Reference, key: Option<&SigningKey>) -> Result<Pushed, Error> {
        let reference = self.qualified(reference)?;
        let repository = self.transport()?.repository(&reference)?;
        let dependencies = self.dependencies(path, &Lock::Use)?;
        let made = make(self.store(), path, &self.options().limits, &|name, dependency| {
            self.pin(name, dependency, &dependencies, &reference)
        })?;
        if let Some(wanted) = reference.digest().filter(|wanted| **wanted != made.digest) {
            let message = format!("the package has the digest {}, and not {wanted}", made.digest);
            return Err(Error::new(ErrorKind::Package, message).with_hint("leave the digest out to push it as it is"));
        }
        let mut sent_bytes = 0;
        for (digest, size) in &made.blobs {
            sent_bytes += self.send(&repository, digest, *size)?;
        }
        let wanted = reference.tag().map_or_else(|| reference.wanted(), str::to_owned);
        repository.put_manifest(&wanted, IMAGE, &made.json)?;
        sent_bytes += made.json.len() as u64;
        if let Some(key) = key {
            signed::push(self, &repository, &Descriptor::new(IMAGE, &made.digest, made.json.len() as u64), key)?;
        }
        let Made { digest, left_out, .. } = made;
        if reference.tag().is_some() || reference.digest().is_none() {
            self.store().set_tag(&reference, &digest);
        }
        Ok(Pushed { reference, digest, sent_bytes, left_out })
    }

    /// Sends a blob, unless it is there or in a repository beside it. How many bytes were sent.
    pub(crate) fn send(&self, repository: &Repository, digest: &Digest, size: u64) -> Result<u64, Error> {
        let store = self.store();
        if repository.has_blob(digest)? {
            store.add_origin(digest, &repository.origin());
            return Ok(0);
        }
        let own = repository.origin();
        let host = own.split('/').next().unwrap_or_default();
        let origins = store.origins(digest);
        let mut beside = origins.iter().filter(|origin| **origin != own).filter_map(|origin| origin.split_once('/'));
        let from = beside.find(|(other, _)| *other == host).map(|(_, name)| name);
        let sent = repository.put_blob(digest, &store.blob(digest), size, from)?;
        store.add_origin(digest, &own);
        Ok(if sent { size } else { 0 })
    }

    /// A dependency as another machine finds it: this very version, and with a registry if one has it.
    fn pin(
        &self,
        name: &str,
        dependency: &Reference,
        dependencies: &Dependencies,
        target: &Reference,
    ) -> Result<Reference, Error> {
        let digest = dependencies.digest(dependency).ok_or_else(|| {
            Error::new(ErrorKind::Package, format!("dependencies.{name}: {dependency} was not resolved"))
        })?;
        let pinned = dependency.pinned(digest);
        if pinned.registry().is_some() {
            return Ok(pinned);
        }
        let beside = target.registry().and_then(|registry| Prefix::parse(registry).ok());
        for registry in [self.options().registry.as_ref(), beside.as_ref()] {
            let Some(there) = pinned.within(registry).filter(|there| there.registry().is_some()) else { continue };
            let repository = self.transport()?.repository(&there)?;
            if repository.resolve(&digest.to_string()).is_ok() {
                return Ok(there);
            }
        }
        tracing::warn!("no registry is known to have {dependency}: whoever runs the package has to add it first");
        Ok(pinned)
    }
}
