//! Packages by name: what a command's argument means, and the commands about registries.
//!
//! In: an argument that is a path or a reference. Out: a path on this machine, with what its dependencies are. The crate
//! `wcgi-registry` does the work.

pub(crate) mod inspect;
pub(crate) mod keygen;
pub(crate) mod pull;
pub(crate) mod push;
pub(crate) mod runtime;
pub(crate) mod update;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use wcgi_registry::{Dependencies, Digest, Limits, Lock, Need, Options, Reference, Registry, Store, VerifyingKey};

use crate::arguments::{Cache, Download, Trust};
use crate::report::Refusal;

/// A package on this machine.
#[derive(Debug)]
pub(crate) struct Resolved {
    pub(crate) path: PathBuf,
    /// References, and where the packages are.
    pub(crate) dependencies: BTreeMap<String, PathBuf>,
    /// Whether somebody else made it.
    pub(crate) foreign: bool,
    /// What it wants from this machine.
    pub(crate) needs: Vec<Need>,
    /// What it and its dependencies ask of the network, where it does not say that itself.
    pub(crate) network: Vec<String>,
    /// Of a package of a registry.
    pub(crate) digest: Option<Digest>,
    /// References of dependencies, and what they have led to.
    pub(crate) digests: Vec<(String, Digest)>,
    /// Has the store, which may be a temporary one: it must outlive what is served from there.
    pub(crate) registry: Option<Registry>,
}

impl Resolved {
    /// Whether both are packages with the same content. Of files on this machine nobody knows.
    pub(crate) fn leads_to_the_same(&self, other: &Self) -> bool {
        self.registry.is_some() && (&self.digest, &self.digests) == (&other.digest, &other.digests)
    }

    fn depend_on(&mut self, dependencies: Dependencies) {
        self.digests =
            dependencies.digests().map(|(reference, digest)| (reference.to_owned(), digest.clone())).collect();
        self.dependencies = dependencies.paths;
        self.needs.extend(dependencies.needs);
        self.network.extend(dependencies.network);
    }
}

/// Finds the package that an argument names, and fetches what is not here.
pub(crate) fn resolve(package: &Path, cache: &Cache, download: &Download, trust: &Trust) -> anyhow::Result<Resolved> {
    let keys: Vec<_> = trust.verify.iter().map(|file| VerifyingKey::read(file)).collect::<Result<_, _>>()?;
    let verifies = !keys.is_empty();
    let lock = if trust.locked { Lock::Insist } else { Lock::Use };
    let Some(reference) = reference(package)? else {
        if verifies {
            let message =
                format!("{} is on this machine, and --verify is for packages of registries", package.display());
            return Err(Refusal::new(message, "leave --verify out to run your own package").into());
        }
        return local(package, || Ok(Registry::new(store(cache)?, options(download)?)), &lock);
    };
    pulled(&reference, Registry::new(store(cache)?, options(download)?.verify(keys)))
}

/// Fetches a package of a registry, and what it depends on.
pub(crate) fn pulled(reference: &Reference, registry: Registry) -> anyhow::Result<Resolved> {
    let pulled = registry.pull(reference)?;
    let dependencies = registry.dependencies_of(&pulled)?;
    let mut resolved = Resolved {
        path: pulled.path,
        dependencies: BTreeMap::new(),
        foreign: true,
        needs: pulled.needs,
        network: pulled.network,
        digest: Some(pulled.digest),
        digests: Vec::new(),
        registry: Some(registry),
    };
    resolved.depend_on(dependencies);
    Ok(resolved)
}

/// Fetches what a package on this machine depends on, where it depends on anything.
pub(crate) fn local(
    package: &Path,
    registry: impl FnOnce() -> anyhow::Result<Registry>,
    lock: &Lock,
) -> anyhow::Result<Resolved> {
    let mut resolved = Resolved {
        path: package.to_owned(),
        dependencies: BTreeMap::new(),
        foreign: false,
        needs: Vec::new(),
        network: Vec::new(),
        digest: None,
        digests: Vec::new(),
        registry: None,
    };
    if !Registry::has_dependencies(package) {
        return Ok(resolved);
    }
    let registry = registry()?;
    resolved.depend_on(registry.dependencies(package, lock)?);
    resolved.registry = Some(registry);
    Ok(resolved)
}

/// The reference that an argument is, unless there is a file or directory of this name.
pub(crate) fn reference(package: &Path) -> anyhow::Result<Option<Reference>> {
    match package.to_str() {
        Some(text) if !package.exists() => reference_of(text),
        _ => Ok(None),
    }
}

/// The reference that `text` is, if no file has that name.
pub(crate) fn reference_of(text: &str) -> anyhow::Result<Option<Reference>> {
    if Reference::is_meant(text) {
        return Ok(Some(Reference::parse(text)?));
    }
    // A plain name is one of the registry that is set, if there is one.
    let is_path = text.starts_with(['.', '/', '~']) || text.contains('\\');
    if is_path || !Options::from_environment()?.has_registry() {
        return Ok(None);
    }
    Ok(Reference::parse(text).ok())
}

/// What the environment and the command line say.
pub(crate) fn options(download: &Download) -> anyhow::Result<Options> {
    let Download { plain_http, max_package, max_files, max_module, max_manifest, max_window } = download;
    let limits = Limits::default()
        .package_bytes(*max_package)
        .files(*max_files)
        .module_bytes(*max_module)
        .manifest_bytes(*max_manifest)
        .window_bytes(*max_window);
    Ok(Options::from_environment()?.plain_http(*plain_http).limits(limits))
}

/// The store below the cache directory, or a temporary one.
pub(crate) fn store(cache: &Cache) -> anyhow::Result<Store> {
    let directory = cache.cache_dir.clone().or_else(Store::default_cache_dir).filter(|_| !cache.no_cache);
    let store = directory.map_or_else(Store::temporary, |directory| Store::open(&directory));
    store.context("cannot keep packages")
}

/// Makes sure that what a pulled package wants is given. `hint` says how to give the mounts of these names.
pub(crate) fn check_needs<'a>(
    needs: &[Need],
    mapped: impl Iterator<Item = &'a str>,
    hint: impl FnOnce(&[&str]) -> String,
) -> anyhow::Result<()> {
    let segments = |path: &str| -> Vec<String> {
        path.split('/').filter(|segment| !matches!(*segment, "" | ".")).map(str::to_owned).collect()
    };
    let mapped: Vec<_> = mapped.map(segments).collect();
    let missing: Vec<_> = needs.iter().filter(|need| !mapped.contains(&segments(&need.guest))).collect();
    if missing.is_empty() {
        return Ok(());
    }
    let named: Vec<_> = missing.iter().map(|need| format!("{} ({})", need.guest, need.reason())).collect();
    let hint = hint(&missing.iter().map(|need| &*need.guest).collect::<Vec<_>>());
    let message = format!("the package wants directories of this machine: {}", named.join(", "));
    Err(Refusal::new(message, hint).into())
}
