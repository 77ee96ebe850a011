//! Where things are: every path the tasks read or write is named here. All that is made lies below `target/` of the
//! repository, wherever Cargo's own target directory is, so that tests find it from their manifest.

use std::env;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};

/// The root of the repository.
#[derive(Debug)]
pub(crate) struct Workspace {
    root: PathBuf,
}

impl Workspace {
    /// The repository whose `cargo xtask` this is.
    pub(crate) fn current() -> Result<Self> {
        let manifest_dir = env::var_os("CARGO_MANIFEST_DIR").context("run this as `cargo xtask`")?;
        let root = Path::new(&manifest_dir).ancestors().nth(2).context("xtask does not lie in crates/")?;
        Ok(Self { root: root.to_owned() })
    }

    /// The repository at `root`, which need not have anything in it.
    #[cfg(test)]
    pub(crate) fn at(root: &Path) -> Self {
        Self { root: root.to_owned() }
    }

    pub(crate) fn root(&self) -> &Path {
        &self.root
    }

    /// `path` without the root before it, for messages.
    pub(crate) fn relative<'a>(&self, path: &'a Path) -> std::path::Display<'a> {
        path.strip_prefix(&self.root).unwrap_or(path).display()
    }

    /// Sources of the test guests.
    pub(crate) fn guest_sources(&self) -> PathBuf {
        self.root.join("tests/guests")
    }

    /// The library of sockets for programs in C.
    pub(crate) fn sockets(&self) -> PathBuf {
        self.root.join("guests/sockets")
    }

    /// Libraries in C for WASI, built.
    pub(crate) fn libraries(&self) -> PathBuf {
        self.root.join("target/lib")
    }

    /// The crate that programs in Rust are made with.
    pub(crate) fn wcgi_guest(&self) -> PathBuf {
        self.root.join("crates/wcgi-guest")
    }

    /// The examples that are packages.
    pub(crate) fn examples(&self) -> PathBuf {
        self.root.join("examples")
    }

    /// Built guests.
    pub(crate) fn guests(&self) -> PathBuf {
        self.root.join("target/guests")
    }

    /// Where tests keep compiled modules and packages.
    pub(crate) fn test_cache(&self) -> PathBuf {
        self.root.join("target/test-cache")
    }

    /// Archives that were fetched, kept.
    pub(crate) fn downloads(&self) -> PathBuf {
        self.root.join("target/downloads")
    }

    /// Compilers that were fetched for the guests.
    pub(crate) fn toolchains(&self) -> PathBuf {
        self.root.join("target/toolchains")
    }

    /// What Cargo builds of the guests in Rust.
    pub(crate) fn guests_rust(&self) -> PathBuf {
        self.root.join("target/guests-rust")
    }

    /// The program that makes components of modules.
    pub(crate) fn componentize(&self) -> PathBuf {
        self.root.join("crates/xtask/componentize")
    }

    /// What Cargo builds of that program.
    pub(crate) fn componentize_target(&self) -> PathBuf {
        self.root.join("target/componentize")
    }

    /// What Cargo builds with a sanitizer.
    pub(crate) fn sanitized(&self) -> PathBuf {
        self.root.join("target/sanitized")
    }

    /// Our own build of php-cgi.
    pub(crate) fn php(&self) -> PathBuf {
        self.root.join("target/php")
    }

    /// Programs that pip fetches, with their checksums.
    pub(crate) fn pip(&self) -> PathBuf {
        self.root.join("crates/xtask/pip")
    }

    /// Recipes and sources for those compilers.
    pub(crate) fn wasi(&self) -> PathBuf {
        self.root.join("crates/xtask/wasi")
    }
}
