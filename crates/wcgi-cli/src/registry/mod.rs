//! Packages by name: what a command's argument means, and the commands about registries.
//!
//! In: an argument that is a path or a reference. Out: a path on this machine, with what its dependencies are. The crate
//! `wcgi-registry` does the work.

pub(crate) mod inspect;
pub(crate) mod interpreter;
pub(crate) mod keygen;
pub(crate) mod pack;
pub(crate) mod pull;
pub(crate) mod push;
pub(crate) mod runtime;
pub(crate) mod update;

use std::collections::BTreeMap;
use std::fs;
use std::io::Read as _;
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use tower_wcgi::{Access, Site, Unpacked, WcgiBuilder, WcgiService};
use wcgi_registry::{Dependencies, Digest, Limits, Lock, Need, Options, Reference, Registry, Store, VerifyingKey};

use self::interpreter::Interpreter;
use crate::arguments::{Cache, Download, Trust};
use crate::report::Refusal;
use crate::templates::PHP;

/// A package on this machine.
#[derive(Debug)]
pub(crate) struct Resolved {
    pub(crate) path: PathBuf,
    /// The folder of scripts that the package, an interpreter, is to run.
    scripts: Option<PathBuf>,
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
    /// A builder of the package.
    pub(crate) fn builder(&self) -> WcgiBuilder {
        let mut builder = WcgiService::builder().package(&self.path).foreign(self.foreign);
        for (reference, path) in &self.dependencies {
            builder = builder.dependency(reference, path);
        }
        if let Some(folder) = &self.scripts {
            let site = Site::new(SCRIPTS).scripts([PHP_EXTENSION]);
            builder = builder.map_dir(SCRIPTS, folder, Access::ReadOnly).site(site);
            if let Some(name) = folder.file_name() {
                builder = builder.name(name.to_string_lossy());
            }
        }
        builder
    }

    /// Whether it is an interpreter for a folder that is no package itself.
    pub(crate) fn is_folder(&self) -> bool {
        self.scripts.is_some()
    }

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
        scripts: None,
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
    if has_scripts(package) {
        return folder(package, registry()?);
    }
    let mut resolved = Resolved {
        path: package.to_owned(),
        scripts: None,
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

/// A `.webc` as a directory, for what takes no such files; nothing for every other package.
pub(crate) fn unpacked(package: &Path) -> anyhow::Result<Option<Unpacked>> {
    let mut magic = [0; WEBC.len()];
    let read = fs::File::open(package).and_then(|mut file| file.read_exact(&mut magic));
    Ok((read.is_ok() && &magic == WEBC).then(|| Unpacked::open(package)).transpose()?)
}

/// Whether it is a directory with pages in PHP, and no package.
fn has_scripts(path: &Path) -> bool {
    if Registry::has_manifest(path) {
        return false;
    }
    let is_script = |entry: fs::DirEntry| {
        let name = entry.file_name();
        Path::new(&name).extension().is_some_and(|extension| extension.eq_ignore_ascii_case("php"))
    };
    fs::read_dir(path).is_ok_and(|mut entries| entries.any(|entry| entry.is_ok_and(is_script)))
}

/// The PHP of this machine, or of the registry that is set, with a site of the folder's files.
fn folder(path: &Path, registry: Registry) -> anyhow::Result<Resolved> {
    let Interpreter { reference, is_known } = interpreter::choose(PHP, &registry)?;
    if !is_known {
        let message = format!("no wasmer.toml in {}, and no PHP for its scripts", path.display());
        return Err(Refusal::new(message, interpreter::how_to_have(&reference)).into());
    }
    let mut resolved = pulled(&Reference::parse(&reference)?, registry)?;
    // Relative to where the command was given, and not to the interpreter.
    resolved.scripts = Some(std::path::absolute(path)?);
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
    let wanted: Vec<_> = needs.iter().map(|need| (need.guest.clone(), need.reason().to_string())).collect();
    check_mapped(&wanted, mapped, hint)
}

/// The options that give mounts of these names.
pub(crate) fn as_options(guests: &[&str]) -> String {
    guests.iter().map(|guest| format!("--mapdir {guest}:DIR")).collect::<Vec<_>>().join(" ")
}

/// Makes sure that these guest paths, each with the reason why, are mapped.
pub(crate) fn check_mapped<'a>(
    wanted: &[(String, String)],
    mapped: impl Iterator<Item = &'a str>,
    hint: impl FnOnce(&[&str]) -> String,
) -> anyhow::Result<()> {
    let segments = |path: &str| -> Vec<String> {
        path.split('/').filter(|segment| !matches!(*segment, "" | ".")).map(str::to_owned).collect()
    };
    let mapped: Vec<_> = mapped.map(segments).collect();
    let missing: Vec<_> = wanted.iter().filter(|(guest, _)| !mapped.contains(&segments(guest))).collect();
    if missing.is_empty() {
        return Ok(());
    }
    let named: Vec<_> = missing.iter().map(|(guest, reason)| format!("{guest} ({reason})")).collect();
    let hint = hint(&missing.iter().map(|(guest, _)| guest.as_str()).collect::<Vec<_>>());
    let message = format!("the package wants directories of this machine: {}", named.join(", "));
    Err(Refusal::new(message, hint).into())
}

/// Where scripts see the folder that they lie in.
const SCRIPTS: &str = "/app";
/// What a `.webc` begins with.
const WEBC: &[u8; 5] = b"\0webc";
const PHP_EXTENSION: &str = ".php";
