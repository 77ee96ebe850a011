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
    /// Those of `guests/lib`, with the ones that they need.
    pub(super) built: &'static [&'static str],
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
        libraries.sources.push(sockets.join("sockets.c"));
        libraries.headers = crate::libraries::sockets(workspace)?;
        libraries.includes.push(sockets.join("include"));
        if text.contains("#include <hiredis.h>") {
            let hiredis = HIREDIS.fetch(workspace)?.join("source");
            libraries.sources.extend(["hiredis.c", "net.c", "read.c", "sds.c"].map(|file| hiredis.join(file)));
            libraries.includes.push(hiredis);
            libraries.is_foreign = true;
        }
        if let Some((_, built)) = BUILT.iter().find(|(include, _)| text.contains(include)) {
            libraries.built = built;
            let include = |name: &&str| workspace.libraries().join(name).join("include");
            libraries.includes.extend(built.iter().map(include));
        }
        Ok(libraries)
    }

    /// What a linker takes of those of `guests/lib`.
    pub(super) fn archives(&self, workspace: &Workspace) -> Result<Vec<PathBuf>> {
        let mut archives = Vec::new();
        for name in self.built {
            archives.extend(files(&workspace.libraries().join(name).join("lib"))?);
        }
        Ok(archives)
    }
}

/// Headers, and the libraries that they are of.
const BUILT: [(&str, &[&str]); 2] =
    [("#include <curl/curl.h>", &["curl", "openssl", "zlib"]), ("#include <libpq-fe.h>", &["libpq", "openssl"])];
