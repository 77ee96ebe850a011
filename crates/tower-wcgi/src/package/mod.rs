//! Packages: what a directory with a manifest, a `.webc` file or a single module says is to be run, and with what.
//!
//! In: a path and, if somebody chose one, the name of a command. Out: a [`Package`], plain data: which module answers,
//! its arguments, environment and mounts. Nothing is compiled here and no module is looked into; whether the bytes are
//! WebAssembly is the script's business. Knows nothing of HTTP or wasm.
//!
//! The mounts' host directories are not checked on opening, because the operator's own mounts may replace them: first
//! [`overlay`], then [`check`].

mod command;
mod document;
mod manifest;
mod mount;
mod remote;
mod site;
#[cfg(feature = "webc")]
mod webc;

use std::ffi::OsStr;
use std::fs::{self, File};
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use bytes::Bytes;

pub(crate) use self::command::{Front, Snapshot, set_env};
#[cfg(feature = "compiler")]
pub(crate) use self::manifest::Written;
pub use self::mount::Access;
pub(crate) use self::mount::{Mount, check, guest_path, overlay};
pub(crate) use self::remote::may_hang;
pub use self::site::Site;
#[cfg(feature = "webc")]
use self::webc::open as open_webc;
use crate::error::{Error, ErrorKind};
use crate::outbound::NetRule;

/// A package that has been opened: which module answers, with which environment, arguments and mounts.
#[derive(Debug)]
pub(crate) struct Package {
    /// For logs: the package's name, else the stem of the file or the name of the directory.
    pub(crate) name: String,
    /// What the package says of itself, as `license = "MIT"`.
    #[cfg_attr(not(feature = "compiler"), expect(dead_code, reason = "nothing is exported"))]
    pub(crate) about: Vec<(String, String)>,
    /// Where its manifest is, of which files that it names are seen from; nothing for one that is a single file.
    #[cfg_attr(not(feature = "compiler"), expect(dead_code, reason = "nothing is exported"))]
    pub(crate) directory: Option<PathBuf>,
    /// The command that was picked.
    #[cfg_attr(not(feature = "compiler"), expect(dead_code, reason = "nothing is exported"))]
    pub(crate) command: String,
    pub(crate) module: Module,
    /// Where the module may be found compiled.
    pub(crate) compiled: Option<PathBuf>,
    /// How errors call the module: the file as the user would name it, or `atom "php" of x.webc`.
    pub(crate) module_label: String,
    /// The program's name first, then the command's main arguments. Never empty.
    pub(crate) arguments: Vec<String>,
    /// One entry for each key, in the order of first mention; the last value counts.
    pub(crate) env: Vec<(String, String)>,
    pub(crate) snapshot: Snapshot,
    /// A normalised guest path.
    pub(crate) cwd: Option<String>,
    /// In the order of [`overlay`]; the host directories are unchecked.
    pub(crate) mounts: Vec<Mount>,
    /// How URL paths name files; without it the module answers for all of them.
    pub(crate) site: Option<Site>,
    pub(crate) front: Front,
    /// What its manifest grants its script to connect to.
    pub(crate) connect: Vec<NetRule>,
    /// What it wants to connect to, and somebody else has to grant.
    pub(crate) asks: Vec<NetRule>,
    /// Where the files of a `.webc` were unpacked; the mounts point into it, so it must outlive them.
    pub(crate) unpacked: Option<Arc<crate::scratch::Scratch>>,
    /// One line each, naming file and line, for whoever opens the package to log.
    pub(crate) warnings: Vec<String>,
}

/// Where the module's bytes are.
#[derive(Debug, Clone)]
pub(crate) enum Module {
    /// In a file of its own, binary or text format, not read yet.
    File(PathBuf),
    /// In memory, taken from a `.webc`.
    #[cfg_attr(not(feature = "webc"), expect(dead_code, reason = "only a `.webc` has one"))]
    Bytes(Bytes),
}

impl Module {
    /// What of `texts` is anywhere in the module. A module that cannot be read has nothing: opening it will say why.
    pub(crate) fn contains<const N: usize>(&self, texts: [&str; N]) -> [bool; N] {
        let read;
        let bytes: &[u8] = match self {
            Self::File(path) => {
                read = fs::read(path).unwrap_or_default();
                &read
            }
            Self::Bytes(bytes) => bytes,
        };
        texts.map(|text| memchr::memmem::find(bytes, text.as_bytes()).is_some())
    }
}

/// Opens the package at `path` and picks the command to run: `command`, else what the package itself says.
///
/// A directory is opened by its `wasmer.toml`, else its `wapm.toml`; a `.toml` file is a manifest itself; a `.webc` is
/// known by its first bytes or its name; every other file is taken for a module, whatever it is called.
///
/// # Errors
///
/// [`ErrorKind::Package`] when there is no package, its manifest cannot be used, or no single command can be picked.
pub(crate) fn open(path: &Path, command: Option<&str>) -> Result<Package, Error> {
    let shown = path.display();
    let metadata = fs::metadata(path).map_err(|error| {
        let missing = error.kind() == io::ErrorKind::NotFound;
        let what = if missing { "no package at" } else { "cannot open" };
        refuse(format!("{what} {shown}")).with_source(error).with_hint(WHAT_IS_A_PACKAGE)
    })?;
    if metadata.is_dir() {
        for name in MANIFESTS {
            let manifest = path.join(name);
            if manifest.is_file() {
                return manifest::open(path, &manifest, command);
            }
        }
        return Err(refuse(format!("no wasmer.toml in {shown}")).with_hint(WHAT_IS_A_PACKAGE));
    }
    let extension = path.extension().map(OsStr::to_ascii_lowercase).unwrap_or_default();
    if extension == "toml" {
        return manifest::open(path.parent().unwrap_or(Path::new("")), path, command);
    }
    if extension == "webc" || metadata.is_file() && begins_as_webc(path)? {
        return open_webc(path, command);
    }
    if let Some(command) = command {
        return Err(refuse(format!("no command {command:?}: {shown} is a single module"))
            .with_hint("leave the command out, or open the package that has it"));
    }
    let name = stem(path);
    Ok(Package {
        arguments: vec![name.clone()],
        about: Vec::new(),
        directory: None,
        command: name.clone(),
        name,
        compiled: None,
        module: Module::File(path.to_owned()),
        module_label: shown.to_string(),
        env: Vec::new(),
        snapshot: Snapshot::default(),
        cwd: None,
        mounts: Vec::new(),
        site: None,
        front: Front::default(),
        connect: Vec::new(),
        asks: Vec::new(),
        unpacked: None,
        warnings: Vec::new(),
    })
}

#[cfg(not(feature = "webc"))]
fn open_webc(path: &Path, _command: Option<&str>) -> Result<Package, Error> {
    Err(refuse(format!("{}: this build does not open .webc packages", path.display()))
        .with_hint("build with the feature `webc`, or unpack the package into a directory"))
}

fn begins_as_webc(path: &Path) -> Result<bool, Error> {
    let mut start = Vec::with_capacity(WEBC_MAGIC.len());
    File::open(path)
        .and_then(|file| file.take(WEBC_MAGIC.len() as u64).read_to_end(&mut start))
        .map_err(|error| refuse(format!("cannot read {}", path.display())).with_source(error))?;
    Ok(start == WEBC_MAGIC)
}

/// The name of what is at `path`, without the extension of a file.
fn stem(path: &Path) -> String {
    path.file_stem().unwrap_or(path.as_os_str()).to_string_lossy().into_owned()
}

/// The error of this whole layer: it is the package that is to blame.
fn refuse(message: String) -> Error {
    Error::new(ErrorKind::Package, message)
}

/// What a directory's manifest may be called, the first one found counts.
const MANIFESTS: [&str; 2] = ["wasmer.toml", "wapm.toml"];

const WEBC_MAGIC: &[u8] = b"\0webc";

const WHAT_IS_A_PACKAGE: &str = "a package is a directory with wasmer.toml, a .webc file, or a .wasm or .wat module";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_missing_path_is_named() {
        let error = open(Path::new("no/such/package"), None).unwrap_err();
        assert_eq!(error.to_string(), "no package at no/such/package");
        assert_eq!(error.hint(), Some(WHAT_IS_A_PACKAGE));
        assert!(std::error::Error::source(&error).is_some());
        assert_eq!(error.kind(), ErrorKind::Package);
    }

    #[test]
    fn a_directory_without_manifest_is_named() {
        let dir = tempfile::tempdir().unwrap();
        let error = open(dir.path(), None).unwrap_err();
        assert_eq!(error.to_string(), format!("no wasmer.toml in {}", dir.path().display()));
        assert_eq!(error.hint(), Some(WHAT_IS_A_PACKAGE));
    }

    #[test]
    fn any_other_file_is_a_module() {
        let dir = tempfile::tempdir().unwrap();
        for (file, name) in [("hello.wasm", "hello"), ("hello.wat", "hello"), ("a.cgi", "a"), ("noext", "noext")] {
            let path = dir.path().join(file);
            fs::write(&path, "").unwrap();
            let package = open(&path, None).unwrap();
            assert_eq!((package.name.as_str(), package.arguments.as_slice()), (name, &[name.to_owned()][..]));
            assert!(matches!(&package.module, Module::File(module) if *module == path));
            assert_eq!(package.module_label, path.display().to_string());
            assert!(package.mounts.is_empty() && package.env.is_empty() && package.warnings.is_empty());

            let error = open(&path, Some("php")).unwrap_err();
            assert!(error.to_string().starts_with("no command \"php\": "), "{error}");
        }
    }

    #[cfg(not(feature = "webc"))]
    #[test]
    fn a_webc_needs_the_feature() {
        let dir = tempfile::tempdir().unwrap();
        for (file, content) in [("x.webc", &b""[..]), ("renamed.wasm", b"\0webc003")] {
            let path = dir.path().join(file);
            fs::write(&path, content).unwrap();
            let error = open(&path, None).unwrap_err();
            assert!(error.to_string().ends_with("this build does not open .webc packages"), "{error}");
            assert!(error.hint().unwrap().contains("feature `webc`"));
        }
    }
}
