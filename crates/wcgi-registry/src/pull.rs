//! Pulling: from a reference to a directory on this machine.
//!
//! A tag is asked for each time, a digest never when it is there. Where the registry is away, the tag leads where it led
//! the last time.

use std::fs;
use std::path::{Path, PathBuf};

use crate::artefact::{Dependency, Kept, Manifest, Need, Part, Plan, Shape, check, manifest_layer, place, plan};
use crate::digest::Digest;
use crate::error::{self, Error, ErrorKind, content};
use crate::image::{Document, Index, PACKAGE, WASM_CONFIG};
use crate::reference::Reference;
use crate::transport::{Repository, is_away};
use crate::{Registry, signed};

/// A package that is on this machine now.
#[derive(Debug)]
#[non_exhaustive]
pub struct Pulled {
    /// What was asked for, with its registry if that is known.
    pub reference: Reference,
    /// The digest that the reference leads to.
    pub digest: Digest,
    /// A directory with a manifest, or a module.
    pub path: PathBuf,
    /// Its modules.
    pub modules: Vec<Blob>,
    /// The mounts that it brings.
    pub mounts: Vec<Blob>,
    /// The mounts that it wants from this machine. It does not run without them.
    pub needs: Vec<Need>,
    /// What it asks of the network.
    pub network: Vec<String>,
    pub(crate) dependencies: Vec<(String, Dependency)>,
}

/// A part of a package.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Blob {
    /// The name of a module, the guest path of a mount.
    pub name: String,
    /// Its content, which of a mount is an archive.
    pub digest: Digest,
    /// As it is sent.
    pub bytes: u64,
}

/// Where the parts of a package come from, if they are not here.
struct Source {
    reference: Reference,
    repository: Option<Repository>,
}

impl Registry {
    /// Makes sure that a package is on this machine, and says where.
    ///
    /// # Errors
    ///
    /// When it is neither here nor can be had, is no package, is larger than allowed, or is not signed as asked.
    pub fn pull(&self, reference: &Reference) -> Result<Pulled, Error> {
        self.pull_for(reference, None, true)
    }

    /// Writes a package into `directory`, which is absent or empty. It is the user's own from then on: it may be changed, and
    /// its manifest grants what it asks for.
    ///
    /// # Errors
    ///
    /// As [`pull`](Self::pull), and when there is something in the directory.
    pub fn pull_into(&self, reference: &Reference, directory: &Path) -> Result<Pulled, Error> {
        let shown = directory.display();
        match fs::read_dir(directory).map(|mut entries| entries.next().is_some()) {
            Ok(true) => {
                return Err(error::package(format!("{shown} is not empty")).with_hint("nothing was changed"));
            }
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                return Err(error::package(format!("cannot write into {shown}")).with_source(error));
            }
            _ => {}
        }
        let mut pulled = self.pull(reference)?;
        let (_, plan) = self.planned(&self.source(&pulled.reference, None)?, &pulled.digest)?;
        fs::create_dir_all(directory)
            .map_err(|error| error::package(format!("cannot create {shown}")).with_source(error))?;
        let label = pulled.reference.to_string();
        place(self.store(), &label, &plan, directory, Kept::ByUser, &self.options().limits)?;
        pulled.path = directory.to_owned();
        Ok(pulled)
    }

    /// Pulls what the package `parent` names, if that is said. `verified` is whether its own signature is asked for.
    pub(crate) fn pull_for(
        &self,
        reference: &Reference,
        parent: Option<&Reference>,
        verified: bool,
    ) -> Result<Pulled, Error> {
        let source = self.source(reference, parent)?;
        let digest = self.resolve(&source)?;
        let (image_digest, plan) = self.planned(&source, &digest)?;
        if verified && !self.options().verify.is_empty() {
            let mut digests = vec![digest.clone(), image_digest.clone()];
            digests.dedup();
            signed::verify(self, source.repository.as_ref(), &source.reference, &digests)?;
        }
        let directory = self.placed(&source, &image_digest, &plan)?;
        if source.reference.registry().is_some() && source.reference.digest().is_none() {
            self.store().set_tag(&source.reference, &digest);
        }
        let path = match (&plan.shape, plan.modules.first()) {
            (Shape::Module, Some(module)) => directory.join(&module.place),
            _ => directory,
        };
        let blob = |part: Part| Blob { name: part.name, digest: part.digest, bytes: part.size };
        Ok(Pulled {
            reference: source.reference,
            digest,
            path,
            modules: plan.modules.into_iter().map(blob).collect(),
            mounts: plan.mounts.into_iter().map(blob).collect(),
            needs: plan.needs,
            network: plan.network,
            dependencies: plan.dependencies,
        })
    }

    /// A runtime that was added by hand comes first, then the registry that is named or set, then the one of the package
    /// that wants it.
    fn source(&self, reference: &Reference, parent: Option<&Reference>) -> Result<Source, Error> {
        if let Some(digest) = self.store().runtime(reference).filter(|_| reference.registry().is_none())
            && reference.digest().is_none_or(|wanted| *wanted == digest)
        {
            return Ok(Source { reference: reference.pinned(&digest), repository: None });
        }
        let set = self.qualified(reference);
        let of_parent = || {
            let registry = crate::reference::Prefix::parse(parent?.registry()?).ok()?;
            reference.within(Some(&registry)).filter(|_| reference.digest().is_some())
        };
        match set.or_else(|error| of_parent().ok_or(error)) {
            Ok(reference) => {
                let repository = self.transport()?.repository(&reference)?;
                Ok(Source { reference, repository: Some(repository) })
            }
            // It may be in the store.
            Err(_) if reference.digest().is_some() => Ok(Source { reference: reference.clone(), repository: None }),
            Err(error) => Err(error),
        }
    }

    /// The digest that a reference leads to now.
    fn resolve(&self, source: &Source) -> Result<Digest, Error> {
        let Source { reference, repository } = source;
        if let Some(digest) = reference.digest() {
            return Ok(digest.clone());
        }
        let Some(repository) = repository else { return Err(not_here(reference)) };
        let before = self.store().tag(reference);
        let limit = self.options().limits.manifest_bytes;
        let now = repository.resolve(reference.tag_or_latest()).and_then(|digest| match digest {
            Some(digest) => Ok(digest),
            None => self.store().write_blob(&repository.manifest(reference.tag_or_latest(), limit)?),
        });
        match (now, before) {
            (Ok(now), Some(before)) if now != before => {
                tracing::warn!("{reference} has moved: it was {before}, and is {now}");
                Ok(now)
            }
            (Ok(now), _) => Ok(now),
            (Err(error), Some(before)) if is_away(&error) => {
                tracing::warn!("{error}; using {reference} as it was: {before}");
                Ok(before)
            }
            (Err(error), None) if is_away(&error) => {
                let message = format!("{reference} is not on this machine, and its registry cannot be asked");
                let hint = error.hint().map(str::to_owned);
                let error = Error::new(ErrorKind::Unreachable, message).with_source(error);
                Err(hint.into_iter().fold(error, Error::with_hint))
            }
            (Err(error), _) => Err(error),
        }
    }

    /// The image manifest with this digest, or the one that an index has for packages, and what is to be done with it.
    fn planned(&self, source: &Source, digest: &Digest) -> Result<(Digest, Plan), Error> {
        let name = source.reference.to_string();
        let limits = &self.options().limits;
        let (digest, image) = match Document::parse(&self.manifest(source, digest)?)? {
            Document::Image(image) => (digest.clone(), *image),
            Document::Index(index) => {
                let digest = entry_of(&name, &index)?;
                match Document::parse(&self.manifest(source, &digest)?)? {
                    Document::Image(image) => (digest, *image),
                    Document::Index(_) => return Err(content(format!("{name} is an index of indexes"))),
                }
            }
        };
        let toml = match manifest_layer(&name, &image, limits)? {
            Some(part) => {
                self.fetched(source, &part)?;
                let text = self.store().read_blob(&part.digest, limits.manifest_bytes);
                Some(text.ok_or_else(|| content(format!("{} in the store was changed", part.digest)))?)
            }
            None => None,
        };
        let plan = plan(&name, &image, toml.as_deref(), limits)?;
        Ok((digest, plan))
    }

    fn manifest(&self, source: &Source, digest: &Digest) -> Result<Vec<u8>, Error> {
        let limit = self.options().limits.manifest_bytes;
        if let Some(manifest) = self.store().read_blob(digest, limit) {
            return Ok(manifest);
        }
        let repository = source.repository.as_ref().ok_or_else(|| not_here(&source.reference))?;
        let manifest = repository.manifest(&digest.to_string(), limit)?;
        self.store().write_blob(&manifest)?;
        Ok(manifest)
    }

    /// The directory of the package in the store, written if it is not there or was changed.
    fn placed(&self, source: &Source, digest: &Digest, plan: &Plan) -> Result<PathBuf, Error> {
        let store = self.store();
        let directory = store.package(digest);
        if directory.is_dir() {
            let checked = plan.modules.iter().try_for_each(|part| check(&directory.join(&part.place), part));
            match checked {
                Ok(()) => return Ok(directory),
                Err(error) => tracing::warn!("{}: {error}; it is written again", source.reference),
            }
            store.remove_package(digest)?;
        }
        for part in plan.modules.iter().chain(&plan.mounts) {
            self.fetched(source, part)?;
        }
        let made = store.scratch()?;
        let name = source.reference.to_string();
        place(store, &name, plan, made.path(), Kept::InStore, &self.options().limits)?;
        store.keep_package(made, digest)
    }

    /// Makes sure that a blob is in the store, and what its digest says.
    fn fetched(&self, source: &Source, part: &Part) -> Result<(), Error> {
        let store = self.store();
        if store.has_blob(&part.digest, part.size) {
            let found = fs::File::open(store.blob(&part.digest)).and_then(Digest::of_reader);
            if found.is_ok_and(|found| found == part.digest) {
                return Ok(());
            }
            tracing::warn!("{} in the store was changed; it is fetched again", part.digest);
            store.remove_blob(&part.digest);
        }
        let repository = source.repository.as_ref().ok_or_else(|| not_here(&source.reference))?;
        let most = self.options().limits.package_bytes;
        if part.size > most {
            let message = format!("{}: a part of it has more than {most} bytes", source.reference);
            return Err(Error::new(ErrorKind::Limit, message).with_hint("--max-package raises the limit"));
        }
        tracing::debug!("fetching {} bytes of {}", part.size, source.reference);
        let mut blob = store.new_blob(part.size)?;
        repository.blob(&part.digest, part.size, &mut blob)?;
        blob.keep(Some(&part.digest))?;
        store.add_origin(&part.digest, &repository.origin());
        Ok(())
    }
}

/// The one entry of an index that is a package or a module.
fn entry_of(name: &str, index: &Index) -> Result<Digest, Error> {
    let is_ours = |kind: Option<&str>| matches!(kind, Some(PACKAGE | WASM_CONFIG));
    let of_kind = index.manifests.iter().find(|entry| is_ours(entry.artifact_type.as_deref()));
    let of_platform = || {
        let is_wasm = |architecture: &str| matches!(architecture, "wasm" | "wasm32");
        index.manifests.iter().find(|entry| entry.platform.as_ref().is_some_and(|at| is_wasm(&at.architecture)))
    };
    match of_kind.or_else(of_platform) {
        Some(entry) => entry.checked_digest(),
        None => Err(content(format!("{name} is an index without a package for WebAssembly"))),
    }
}

fn not_here(reference: &Reference) -> Error {
    Error::new(ErrorKind::NotFound, format!("{reference} is not on this machine, and no registry is known to have it"))
        .with_hint(crate::how_to_have(reference))
}

/// Used by what looks at a package on this machine.
pub(crate) fn manifest_at(path: &Path, limit: u64) -> Result<Option<(Manifest, PathBuf)>, Error> {
    let is_toml = path.extension().is_some_and(|extension| extension.eq_ignore_ascii_case("toml"));
    let file = if path.is_dir() { crate::artefact::find_manifest(path) } else { is_toml.then(|| path.to_owned()) };
    let Some(file) = file else { return Ok(None) };
    let directory = file.parent().unwrap_or(Path::new("")).to_owned();
    Ok(Some((Manifest::read(&file, limit)?, directory)))
}
