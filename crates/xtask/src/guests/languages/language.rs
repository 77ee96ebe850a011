//! How the packages of one language are built.

use std::path::{Path, PathBuf};

use anyhow::Result;

use crate::workspace::Workspace;

/// A language that scripts are written in.
pub(crate) struct Language {
    pub(crate) name: &'static str,
    /// What the guest book is written with, for the table of languages.
    pub(crate) with: &'static str,
    /// What its author types to build it.
    pub(crate) command: &'static str,
    /// The module in a package of this language: what is compiled, or the interpreter.
    pub(super) output: &'static str,
    /// What decides the output besides the package's own files: versions and checksums of tools, flags.
    pub(super) recipe: fn(&Workspace) -> Result<String>,
    /// Builds the package in a directory, as its author would, with tools that are fetched if they are missing.
    pub(super) make: fn(&Workspace, &Path) -> Result<()>,
}

impl Language {
    /// The module of the package in `directory`.
    pub(crate) fn module(&self, directory: &Path) -> PathBuf {
        directory.join(self.output)
    }

    /// Builds the package in a directory, as its author would.
    pub(in crate::guests) fn make(&self, workspace: &Workspace, directory: &Path) -> Result<()> {
        (self.make)(workspace, directory)
    }
}
