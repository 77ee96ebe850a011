//! Libraries in C that some guests are made with: a guest has those whose headers it includes.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};

use super::guest::files;
use crate::sources::HIREDIS;
use crate::workspace::Workspace;

/// What is compiled besides the program itself.
#[derive(Debug, Default)]
pub(super) struct Libraries {
    /// Directories of headers.
    pub(super) includes: Vec<PathBuf>,
    pub(super) sources: Vec<PathBuf>,
    /// Headers of this repository, which may change.
    pub(super) headers: Vec<PathBuf>,
    /// Some of it is not ours, and has warnings of its own.
    pub(super) is_foreign: bool,
}

impl Libraries {
    /// Those of the program.
    pub(super) fn of(workspace: &Workspace, program: &Path) -> Result<Self> {
        let text = fs::read_to_string(program).with_context(|| format!("cannot read {}", program.display()))?;
        let mut libraries = Self::default();
        if !text.contains("#include <netdb.h>") {
            return Ok(libraries);
        }
        let sockets = workspace.sockets();
        let include = sockets.join("include");
        libraries.sources.push(sockets.join("sockets.c"));
        for directory in ["", "sys", "netinet", "arpa"] {
            libraries.headers.extend(files(&include.join(directory))?);
        }
        libraries.includes.push(include);
        if text.contains("#include <hiredis.h>") {
            let hiredis = HIREDIS.fetch(workspace)?.join("source");
            libraries.sources.extend(["hiredis.c", "net.c", "read.c", "sds.c"].map(|file| hiredis.join(file)));
            libraries.includes.push(hiredis);
            libraries.is_foreign = true;
        }
        Ok(libraries)
    }
}
