//! Packages made ahead of time: a package whose module is the snapshot of another package's module.
//!
//! In: a builder with a package, and a path. Out: a directory with a manifest, the module, all files, and
//! the compiled code if that is wanted. It is made beside the path and renamed when it is whole. It must not know HTTP, wasm or tokio.

mod copy;

use std::fs::{self, File};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use tempfile::TempDir;

use copy::cannot_write;

use crate::builder::{OpenedPackage, WcgiBuilder};
use crate::error::{Error, ErrorKind};
use crate::host::Seen;
use crate::package::{self, Written};
use crate::script::{self, Contents, Script, SnapshotReport, Source};

impl WcgiBuilder {
    /// Runs the start-up of the package's module, and writes a package into `directory` whose module is the
    /// [snapshot](crate::_docs::snapshots#packages-made-ahead-of-time): it opens without an initialisation.
    ///
    /// The new package has the one command, the variables of this builder, and the package's mounts. All files of the mounts are
    /// copied, those of writable ones too. `directory` must be empty or not exist.
    ///
    /// The start-up sees a mount of [`map_dir`](Self::map_dir). The mount is copied only if its directory lies in a mount of the
    /// package. Otherwise the new package must be opened with a mount at the same guest path.
    ///
    /// ```no_run
    /// # use tower_wcgi::{Engine, WcgiService};
    /// # fn main() -> Result<(), tower_wcgi::Error> {
    /// WcgiService::builder().package("blog/").export_compiled("blog-built")?;
    /// // elsewhere, on such a host, in a program that may lack the feature `compiler`
    /// let engine = Engine::builder().trust_precompiled(true).build()?;
    /// let blog = WcgiService::builder().engine(engine).package("blog-built").build()?;
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    ///
    /// The errors of [`build`](Self::build). Also the reason why there can be no snapshot, which is only a warning when a package
    /// is opened. [`ErrorKind::Module`] for a module without a start-up. [`ErrorKind::Host`] if `directory` cannot be written.
    pub fn export(self, directory: impl AsRef<Path>) -> Result<Exported, Error> {
        export(&self.open()?, directory.as_ref(), false)
    }

    /// Like [`export`](Self::export), and compiles the module for this version, this kind of host and the memory limit of this
    /// builder's engine. An engine that [trusts](crate::EngineBuilder::trust_precompiled) the package uses that code. A module
    /// without a start-up is compiled too.
    ///
    /// # Errors
    ///
    /// The errors of [`export`](Self::export), except that of a module without a start-up.
    pub fn export_compiled(self, directory: impl AsRef<Path>) -> Result<Exported, Error> {
        export(&self.open()?, directory.as_ref(), true)
    }

    /// Runs the start-up of the package's module several times, and says where its memory differs. Each run has one change: other
    /// random numbers, another time, or another variable in its environment.
    ///
    /// ```no_run
    /// # use tower_wcgi::WcgiService;
    /// # fn main() -> Result<(), tower_wcgi::Error> {
    /// for captured in WcgiService::builder().package("blog/").check_snapshot()?.captured() {
    ///     println!("{:?} depends on {}", captured.addresses(), captured.cause().as_str());
    /// }
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    ///
    /// The errors of [`build`](Self::build), and the reason why there can be no snapshot.
    pub fn check_snapshot(self) -> Result<SnapshotReport, Error> {
        let opened = self.open()?;
        if !opened.take_snapshot {
            return Err(no_start_up(&opened.package.module_label));
        }
        let report = script::compare(&opened.engine, &opened.source().wasm()?, &opened.source(), &opened.surroundings)?;
        report.ok_or_else(|| no_start_up(&opened.package.module_label))
    }
}

/// What [`WcgiBuilder::export`] has written.
#[derive(Debug, Clone, Copy)]
pub struct Exported {
    is_snapshot: bool,
    contents: Contents,
    module_bytes: usize,
    code_bytes: Option<usize>,
    files: copy::Copied,
}

impl Exported {
    /// Whether the module is a snapshot. If not, it has no start-up, and is unchanged.
    #[must_use]
    pub fn is_snapshot(&self) -> bool {
        self.is_snapshot
    }

    /// How many bytes the module begins with in its memory, and in how many spans.
    #[must_use]
    pub fn data(&self) -> (usize, usize) {
        (self.contents.bytes, self.contents.spans)
    }

    /// The size of the module.
    #[must_use]
    pub fn module_bytes(&self) -> usize {
        self.module_bytes
    }

    /// The size of the compiled code, if it was written.
    #[must_use]
    pub fn code_bytes(&self) -> Option<usize> {
        self.code_bytes
    }

    /// How many files the mounts have, and their size together.
    #[must_use]
    pub fn files(&self) -> (usize, u64) {
        (self.files.count, self.files.bytes)
    }
}

fn export(opened: &OpenedPackage, directory: &Path, with_code: bool) -> Result<Exported, Error> {
    let (package, label) = (&opened.package, &opened.package.module_label);
    let (parent, staging) = stage(directory)?;
    let own: Vec<_> = opened.surroundings.mounts.iter().filter(|mount| package.mounts.contains(mount)).collect();
    if let Some(around) = own.iter().find(|mount| is_within(&parent, &mount.host)) {
        let message =
            format!("{} lies in the mount {}: the package would contain itself", directory.display(), around.guest);
        return Err(Error::new(ErrorKind::Package, message));
    }
    // Copied first, so that the start-up sees the very files of the new package.
    let (copies, mut files) = copy::mounts(&own, staging.path())?;
    let mut surroundings = opened.surroundings.clone();
    for (mount, copy) in &copies {
        let seen = surroundings.mounts.iter_mut().find(|seen| seen.guest == mount.guest);
        seen.into_iter().for_each(|seen| seen.host = staging.path().join(copy));
    }
    surroundings.seen = Arc::new(Seen::of(&surroundings.mounts));
    for (_, name) in package.about.iter().filter(|(key, _)| key == "readme" || key == "license-file") {
        let Some(from) = package.directory.as_ref().map(|directory| directory.join(name)) else { continue };
        let to = staging.path().join(name);
        // A link whose name is used here would be written through. Elsewhere it leads nowhere.
        let is_plain = Path::new(name).components().all(|part| matches!(part, std::path::Component::Normal(_)))
            && fs::symlink_metadata(&from).is_ok_and(|metadata| metadata.is_file());
        if is_plain && !to.exists() {
            let parent = to.parent().unwrap_or(staging.path());
            fs::create_dir_all(parent).map_err(|error| cannot_write(parent, error))?;
            files.add(&from, &to)?;
        }
    }

    let wasm = opened.source().wasm()?;
    let snapshot = match opened.take_snapshot {
        true => script::module_after_start_up(&opened.engine, &wasm, &opened.source(), &surroundings)?,
        false => None,
    };
    let is_snapshot = snapshot.is_some();
    if !is_snapshot && !with_code {
        return Err(no_start_up(label));
    }
    let wasm = snapshot.unwrap_or(wasm);
    let source = format!("{}.wasm", file_name(&package.command));
    let module = staging.path().join(&source);
    write_new(&module, &wasm)?;

    // Makes sure that it can run, and puts it into the cache for the next opening on this host.
    let max_memory = surroundings.max_memory;
    let module = package::Module::File(module);
    let script = Script::load(&opened.engine, &Source { module: &module, label, compiled: None }, max_memory, None)?;
    let code = with_code.then(|| script.export(&wasm, &staging.path().join(COMPILED))).transpose()?;

    if !package.asks.is_empty() {
        // In a directory's manifest it would be granted.
        tracing::warn!(
            "what the package asks of the network is not in the new one: give it with --net when you serve it"
        );
    }
    let written = Written {
        about: &package.about,
        command: &package.command,
        source: &source,
        compiled: with_code.then_some(COMPILED),
        arguments: &surroundings.arguments,
        env: &package.env,
        site: package.site.as_ref(),
        front: &package.front,
        connect: &package.connect,
        seen: is_snapshot.then(|| surroundings.mounts.iter().map(|mount| mount.guest.clone()).collect()),
        mounts: &copies.into_iter().map(|(mount, copy)| (mount.guest.clone(), copy, mount.access)).collect::<Vec<_>>(),
    };
    let manifest = staging.path().join(package::MANIFESTS[0]);
    write_new(&manifest, written.text().as_bytes())?;
    // The usual mode of a package's directory; a temporary directory is for its owner alone.
    #[cfg(unix)]
    fs::set_permissions(staging.path(), std::os::unix::fs::PermissionsExt::from_mode(0o755))
        .map_err(|error| cannot_write(staging.path(), error))?;
    let staging = staging.keep();
    fs::rename(&staging, directory).map_err(|error| {
        // This function has just made it.
        let _ = fs::remove_dir_all(&staging);
        cannot_write(directory, error)
    })?;
    Ok(Exported { is_snapshot, contents: Contents::of(&wasm), module_bytes: wasm.len(), code_bytes: code, files })
}

fn no_start_up(label: &str) -> Error {
    Error::new(ErrorKind::Module, format!("{label} has no start-up that could be run ahead of time"))
        .with_hint("it exports no `wizer-initialize`, or its manifest says `enabled = false`; it can only be compiled")
}

/// The parent of `directory`, and a temporary directory beside it that is renamed to it.
fn stage(directory: &Path) -> Result<(PathBuf, TempDir), Error> {
    match fs::read_dir(directory).map(|mut entries| entries.next().is_none()) {
        Ok(true) => {}
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        Ok(false) => {
            let message = format!("{} is there and not empty", directory.display());
            return Err(Error::new(ErrorKind::Host, message).with_hint("nothing was changed; choose another directory"));
        }
        Err(error) => return Err(cannot_write(directory, error)),
    }
    let parent = directory.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let parent = fs::canonicalize(parent).map_err(|error| cannot_write(directory, error))?;
    let staging = TempDir::with_prefix_in(".wcgi-build-", &parent).map_err(|error| cannot_write(directory, error))?;
    Ok((parent, staging))
}

fn is_within(path: &Path, directory: &Path) -> bool {
    fs::canonicalize(directory).is_ok_and(|directory| path.starts_with(directory))
}

/// A command's name, which may be anything, as that of a file.
fn file_name(command: &str) -> String {
    let plain = |c: char| if c.is_ascii_alphanumeric() || matches!(c, '-' | '_') { c } else { '-' };
    command.chars().map(plain).collect()
}

/// Leaves the file alone if a file of the package already has its name.
fn write_new(path: &Path, content: &[u8]) -> Result<(), Error> {
    let written = File::create_new(path).and_then(|mut file| file.write_all(content));
    written.map_err(|error| cannot_write(path, error))
}

const COMPILED: &str = "compiled";
