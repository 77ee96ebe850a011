//! How a module gets to its place.

use std::fs;
use std::path::Path;

use anyhow::{Context as _, Result};

/// Copies it beside its place first: `target` may be on another file system, where a rename is none. In a fresh clone the
/// place's directory is not there yet.
pub(super) fn install(from: &Path, to: &Path) -> Result<()> {
    if let Some(directory) = to.parent() {
        fs::create_dir_all(directory).with_context(|| format!("cannot create {}", directory.display()))?;
    }
    let unfinished = to.with_extension("wasm.unfinished");
    fs::copy(from, &unfinished).with_context(|| format!("cannot copy {}", from.display()))?;
    fs::rename(&unfinished, to).with_context(|| format!("cannot write {}", to.display()))
}
