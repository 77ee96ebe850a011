//! Dependencies: the packages that a package names, and those that they name.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use crate::Registry;
use crate::artefact::{Dependency, Need};
use crate::digest::Digest;
use crate::error::{Error, package};
use crate::lock::{Lock, LockFile};
use crate::pull::{Pulled, manifest_at};
use crate::reference::Reference;

/// The dependencies of a package, all on this machine.
#[derive(Debug, Default)]
#[non_exhaustive]
pub struct Dependencies {
    /// References, as the manifests write them, and where the packages are.
    pub paths: BTreeMap<String, PathBuf>,
    /// What they ask of the network.
    pub network: Vec<String>,
    /// The mounts that they want from this machine.
    pub needs: Vec<Need>,
    digests: BTreeMap<String, Digest>,
}

impl Dependencies {
    /// The references, and what they have led to.
    pub fn digests(&self) -> impl Iterator<Item = (&str, &Digest)> {
        self.digests.iter().map(|(reference, digest)| (reference.as_str(), digest))
    }

    /// What a reference has led to.
    pub(crate) fn digest(&self, reference: &Reference) -> Option<&Digest> {
        self.digests.get(&reference.to_string())
    }
}

impl Registry {
    /// Whether there is a manifest at `path`, or in the directory there.
    #[must_use]
    pub fn has_manifest(path: &Path) -> bool {
        !matches!(manifest_at(path, u64::MAX), Ok(None))
    }

    /// Whether the package at `path` may have dependencies at all. Opening it says what is wrong with one that cannot be read.
    #[must_use]
    pub fn has_dependencies(path: &Path) -> bool {
        match manifest_at(path, u64::MAX) {
            Ok(Some((manifest, _))) => manifest.table.contains_key("dependencies"),
            _ => false,
        }
    }

    /// What the manifest of the package at `path` asks of the network.
    ///
    /// # Errors
    ///
    /// When there is a manifest that cannot be read.
    pub fn network_of(path: &Path) -> Result<Vec<String>, Error> {
        Ok(manifest_at(path, u64::MAX)?.map(|(manifest, _)| manifest.network()).unwrap_or_default())
    }

    /// Fetches the dependencies of the package at `path`, as its lock file has them.
    ///
    /// # Errors
    ///
    /// When one cannot be had, they depend on each other in a circle or more than eight deep, or the lock file insists on
    /// another.
    pub fn dependencies(&self, path: &Path, lock: &Lock) -> Result<Dependencies, Error> {
        let Some((manifest, directory)) = manifest_at(path, self.options().limits.manifest_bytes)? else {
            return Ok(Dependencies::default());
        };
        let mut walk = Walk {
            registry: self,
            lock: Some(LockFile::read(&directory, lock)?),
            found: Dependencies::default(),
            chain: vec![Link::local(path)],
        };
        let dependencies = manifest.dependencies()?;
        walk.visit(&dependencies, &Of::Directory(&directory))?;
        let Walk { lock, found, .. } = walk;
        if let Some(lock) = lock {
            lock.finish()?;
        }
        Ok(found)
    }

    /// Fetches the dependencies of a package that was pulled.
    ///
    /// # Errors
    ///
    /// As [`dependencies`](Self::dependencies).
    pub fn dependencies_of(&self, pulled: &Pulled) -> Result<Dependencies, Error> {
        let chain = vec![Link { shown: pulled.reference.to_string(), is: pulled.digest.to_string() }];
        let mut walk = Walk { registry: self, lock: None, found: Dependencies::default(), chain };
        walk.visit(&pulled.dependencies, &Of::Pulled(&pulled.reference))?;
        Ok(walk.found)
    }
}

struct Walk<'r> {
    registry: &'r Registry,
    /// Of the package at the beginning, if it is a directory of the user's.
    lock: Option<LockFile>,
    found: Dependencies,
    chain: Vec<Link>,
}

/// Whose dependencies are looked at.
enum Of<'a> {
    Directory(&'a Path),
    Pulled(&'a Reference),
}

/// A package on the way from the first to the one that is looked at.
struct Link {
    shown: String,
    /// What it is known by again.
    is: String,
}

impl Link {
    fn local(path: &Path) -> Self {
        let real = fs::canonicalize(path).unwrap_or_else(|_| path.to_owned());
        Self { shown: path.display().to_string(), is: real.display().to_string() }
    }
}

impl Walk<'_> {
    fn visit(&mut self, dependencies: &[(String, Dependency)], of: &Of<'_>) -> Result<(), Error> {
        for (name, dependency) in dependencies {
            match (dependency, of) {
                (Dependency::Requirement(_), _) => {}
                (Dependency::Path(path), Of::Directory(directory)) => self.local(&directory.join(path))?,
                // Refused when it was read.
                (Dependency::Path(_), Of::Pulled(_)) => {}
                (Dependency::Reference(reference), of) => self.reference(name, reference, of)?,
            }
        }
        Ok(())
    }

    fn local(&mut self, path: &Path) -> Result<(), Error> {
        let limit = self.registry.options().limits.manifest_bytes;
        let Some((manifest, directory)) = manifest_at(path, limit)? else { return Ok(()) };
        self.enter(Link::local(path))?;
        for rule in manifest.network() {
            self.asks(rule);
        }
        let dependencies = manifest.dependencies()?;
        self.visit(&dependencies, &Of::Directory(&directory))?;
        self.chain.pop();
        Ok(())
    }

    fn reference(&mut self, name: &str, reference: &Reference, of: &Of<'_>) -> Result<(), Error> {
        let pinned = match &self.lock {
            Some(lock) => lock.pinned(name, reference)?.filter(|pinned| !self.is_replaced(lock, reference, pinned)),
            None => reference.digest().map(|_| reference.clone()),
        };
        let (parent, covered) = match of {
            Of::Directory(_) => (None, false),
            // What a signed package pins is covered by its signature.
            Of::Pulled(parent) => (Some(*parent), reference.digest().is_some()),
        };
        let pulled = self.registry.pull_for(pinned.as_ref().unwrap_or(reference), parent, !covered);
        let pulled = pulled.map_err(|error| {
            let hint = error.hint().map(str::to_owned);
            let failure = Error::new(error.kind(), format!("dependency {name}: {error}")).with_source_of(error);
            hint.into_iter().fold(failure, Error::with_hint)
        })?;
        if let Some(lock) = &mut self.lock {
            lock.note(name, reference, &pulled.digest);
        }
        let text = reference.to_string();
        self.found.digests.insert(text.clone(), pulled.digest.clone());
        if self.found.paths.insert(text.clone(), pulled.path.clone()).is_some() {
            return self.ensure_no_circle(&Link { shown: text, is: pulled.digest.to_string() });
        }
        self.enter(Link { shown: text, is: pulled.digest.to_string() })?;
        for rule in &pulled.network {
            self.asks(rule.clone());
        }
        self.found.needs.extend(pulled.needs.iter().cloned());
        self.visit(&pulled.dependencies, &Of::Pulled(&pulled.reference))?;
        self.chain.pop();
        Ok(())
    }

    /// Whether `reference` is a runtime that was added anew, and what was locked before is nowhere.
    fn is_replaced(&self, lock: &LockFile, reference: &Reference, pinned: &Reference) -> bool {
        let store = self.registry.store();
        let is_elsewhere = || pinned.digest().is_some_and(|digest| store.blob(digest).exists());
        let is_replaced = !lock.insists()
            && reference.registry().is_none()
            && reference.digest().is_none()
            && !self.registry.options().has_registry()
            && store.runtime(reference).is_some_and(|added| pinned.digest() != Some(&added))
            && !is_elsewhere();
        if is_replaced {
            tracing::warn!(
                "{reference} was added anew, and what {} has is not here; the new one is used",
                lock.shown()
            );
        }
        is_replaced
    }

    fn asks(&mut self, rule: String) {
        if !self.found.network.contains(&rule) {
            self.found.network.push(rule);
        }
    }

    fn enter(&mut self, link: Link) -> Result<(), Error> {
        self.ensure_no_circle(&link)?;
        self.chain.push(link);
        if self.chain.len() > DEEPEST + 1 {
            return Err(package(format!("dependencies more than {DEEPEST} deep: {}", self.shown(None))));
        }
        Ok(())
    }

    fn ensure_no_circle(&self, link: &Link) -> Result<(), Error> {
        if self.chain.iter().any(|other| other.is == link.is) {
            return Err(package(format!("dependencies in a circle: {}", self.shown(Some(link)))));
        }
        Ok(())
    }

    fn shown(&self, last: Option<&Link>) -> String {
        let links = self.chain.iter().chain(last);
        links.map(|link| link.shown.as_str()).collect::<Vec<_>>().join(" → ")
    }
}

const DEEPEST: usize = 8;
