//! One guest program, and what all kinds of them are made with.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};

use crate::stamp::{self, Stamp};
use crate::workspace::Workspace;

/// One program.
pub(super) struct Guest {
    pub(super) name: String,
    pub(super) source: PathBuf,
}

/// The headers that programs in C share.
pub(super) fn headers(workspace: &Workspace) -> Result<Vec<PathBuf>> {
    let mut files = files(&workspace.guest_sources())?;
    files.retain(|path| path.extension().is_some_and(|e| e == "h"));
    Ok(files)
}

/// The files of a directory, in order.
pub(crate) fn files(directory: &Path) -> Result<Vec<PathBuf>> {
    let entries = fs::read_dir(directory).with_context(|| format!("cannot read {}", directory.display()))?;
    let mut paths = entries.map(|entry| Ok(entry?.path())).collect::<Result<Vec<_>>>()?;
    paths.retain(|path| path.is_file());
    paths.sort();
    Ok(paths)
}

pub(super) fn is_wasm_text(path: &Path) -> bool {
    path.extension().is_some_and(|extension| extension == "wat")
}

/// Copies what is to be used as it is; says how many were not there.
pub(super) fn copy_text(output: &Path, guests: &[Guest]) -> Result<usize> {
    let mut copied = 0;
    for guest in guests {
        let output = output.join(&guest.name).with_extension("wat");
        let stamp = Stamp::default().file(&guest.source)?.finish();
        if !stamp::is_current(&output, &stamp) {
            fs::copy(&guest.source, &output).with_context(|| format!("cannot write {}", output.display()))?;
            stamp::write(&output, &stamp)?;
            copied += 1;
        }
    }
    Ok(copied)
}

/// Puts a finished module in its place at once, and notes what it was made from.
pub(super) fn install(built: &Path, output: &Path, stamp: &str) -> Result<()> {
    fs::rename(built, output).with_context(|| format!("cannot write {}", output.display()))?;
    stamp::write(output, stamp)
}
