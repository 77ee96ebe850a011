//! A package that has been opened: plain data.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use bytes::Bytes;

use super::command::{Front, Snapshot};
use super::site::Site;
use crate::mount::Mount;
use crate::outbound::NetRule;
use crate::scratch::Scratch;

/// A package that has been opened: which module answers, with which environment, arguments and mounts.
#[derive(Debug)]
pub(crate) struct Package {
    /// For logs: the package's name, else the stem of the file's name or the name of the directory.
    pub(crate) name: String,
    /// The package's own description, as `license = "MIT"`.
    pub(crate) about: Vec<(String, String)>,
    /// The directory of its manifest, to which paths in the manifest are relative. None for a single file.
    #[cfg_attr(not(feature = "compiler"), expect(dead_code, reason = "nothing is exported"))]
    pub(crate) directory: Option<PathBuf>,
    /// The command that was picked.
    pub(crate) command: String,
    pub(crate) module: Module,
    /// The directory that may have the module compiled.
    pub(crate) compiled: Option<PathBuf>,
    /// The module's name in errors: the file as the user would name it, or `atom "php" of x.webc`.
    pub(crate) module_label: String,
    /// The program's name first, then the command's main arguments. Never empty.
    pub(crate) arguments: Vec<String>,
    /// One entry for each key, in the order of first mention; the last value counts.
    pub(crate) env: Vec<(String, String)>,
    pub(crate) snapshot: Snapshot,
    /// A normalised guest path.
    pub(crate) cwd: Option<String>,
    /// In the order of [`overlay`](crate::mount::overlay); the host directories are unchecked.
    pub(crate) mounts: Vec<Mount>,
    /// How URL paths name files. Without a site the module answers for all paths.
    pub(crate) site: Option<Site>,
    pub(crate) front: Front,
    /// What its manifest grants its script to connect to.
    pub(crate) connect: Vec<NetRule>,
    /// What its script wants to connect to, and somebody else has to grant.
    pub(crate) asks: Vec<NetRule>,
    /// The directory into which a `.webc` was unpacked. The mounts point into it, so it must outlive them.
    pub(crate) unpacked: Option<Arc<Scratch>>,
    /// One line each, with file and line. The caller that opens the package logs them.
    pub(crate) warnings: Vec<String>,
}

impl Package {
    /// The files that it was opened from at `path`.
    pub(crate) fn sources(&self, path: &Path) -> Vec<PathBuf> {
        let mut sources = Vec::new();
        if path.is_dir() {
            // Also one that is not there: it may come, and counts then.
            sources.extend(MANIFESTS.map(|name| path.join(name)));
        } else {
            sources.push(path.to_owned());
        }
        if let Module::File(file) = &self.module
            && file != path
        {
            sources.push(file.clone());
        }
        sources
    }
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
    /// Which of `texts` the module contains. A module that cannot be read contains none: opening it reports the reason.
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

/// The name of the file or directory at `path`, without the extension of a file.
pub(super) fn stem(path: &Path) -> String {
    path.file_stem().unwrap_or(path.as_os_str()).to_string_lossy().into_owned()
}

/// The names of a manifest. The first one found counts.
pub(crate) const MANIFESTS: [&str; 2] = ["wasmer.toml", "wapm.toml"];
