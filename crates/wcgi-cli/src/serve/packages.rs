//! Finds the packages of sites: on this machine, or in a registry.
//!
//! The registries stay until the server ends, as a store may be temporary and what is served lies in it.

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

use anyhow::Context as _;
use wcgi_registry::{Lock, Options, Registry, VerifyingKey};

use super::config::{Package, Said, Site};
use crate::arguments::Cache;
use crate::registry::{self, Resolved};

/// Where packages come from.
#[derive(Debug)]
pub(crate) struct Packages {
    cache: Cache,
    /// By whose signature they ask for.
    registries: Mutex<Vec<(Vec<VerifyingKey>, Registry)>>,
}

/// One opening of all sites. A registry is asked once for what several of them have.
#[derive(Debug)]
pub(crate) struct Round {
    packages: Arc<Packages>,
    resolved: Mutex<HashMap<Asked, Arc<Resolved>>>,
}

/// A package, and the keys that may have signed it.
type Asked = (Package, Vec<PathBuf>);

impl Packages {
    pub(crate) fn new(cache_dir: Option<PathBuf>) -> Self {
        Self { cache: Cache { cache_dir, no_cache: false }, registries: Mutex::default() }
    }

    pub(crate) fn round(self: &Arc<Self>) -> Round {
        Round { packages: Arc::clone(self), resolved: Mutex::default() }
    }

    fn registry(&self, keys: Vec<VerifyingKey>) -> anyhow::Result<Registry> {
        let mut registries = self.registries.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((_, registry)) = registries.iter().find(|(other, _)| *other == keys) {
            return Ok(registry.clone());
        }
        let options = Options::from_environment()?.verify(keys.iter().cloned());
        let registry = Registry::new(registry::store(&self.cache)?, options);
        registries.push((keys, registry.clone()));
        Ok(registry)
    }

    fn resolve(&self, site: &Site) -> anyhow::Result<Resolved> {
        let key = |said: &Said<PathBuf>| VerifyingKey::read(&said.value).with_context(|| said.place.to_string());
        let keys = site.verify.iter().map(key).collect::<anyhow::Result<Vec<_>>>()?;
        let resolved = match &site.package.value {
            Package::Path(path) => registry::local(path, || self.registry(keys), &Lock::Use),
            Package::Reference(reference) => self.registry(keys).and_then(|from| registry::pulled(reference, from)),
        };
        resolved.with_context(|| site.package.place.to_string())
    }
}

impl Round {
    /// # Errors
    ///
    /// When the package or one of its dependencies cannot be had, or wants a directory that the site does not give.
    pub(crate) fn resolve(&self, site: &Site) -> anyhow::Result<Arc<Resolved>> {
        let key = (site.package.value.clone(), site.verify.iter().map(|key| key.value.clone()).collect());
        let known = self.resolved.lock().unwrap_or_else(PoisonError::into_inner).get(&key).cloned();
        let resolved = match known {
            Some(resolved) => resolved,
            None => {
                let resolved = Arc::new(self.packages.resolve(site)?);
                self.resolved.lock().unwrap_or_else(PoisonError::into_inner).insert(key, Arc::clone(&resolved));
                resolved
            }
        };
        let mapped = site.mounts.iter().map(|mount| &*mount.value.guest);
        registry::check_needs(&resolved.needs, mapped, |guests| {
            let mounts: Vec<_> = guests.iter().map(|guest| format!("\"{guest}:DIR\"")).collect();
            format!("mapdir = [{}]", mounts.join(", "))
        })
        .with_context(|| site.package.place.to_string())?;
        Ok(resolved)
    }
}
