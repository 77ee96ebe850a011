//! What an output was made from, kept beside it, so that it is made again only when that changes. Contents count, not
//! times: a fresh clone or a branch switched back and forth rebuilds nothing that is the same.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};
use sha2::{Digest as _, Sha256};

/// A digest over everything that decides an output.
#[derive(Debug, Default)]
pub(crate) struct Stamp {
    digest: Sha256,
}

impl Stamp {
    /// Adds a recipe: a version, flags.
    pub(crate) fn text(mut self, text: &str) -> Self {
        self.digest.update((text.len() as u64).to_le_bytes());
        self.digest.update(text);
        self
    }

    /// Adds the contents of a source file.
    pub(crate) fn file(mut self, path: &Path) -> Result<Self> {
        let bytes = fs::read(path).with_context(|| format!("cannot read {}", path.display()))?;
        self.digest.update((bytes.len() as u64).to_le_bytes());
        self.digest.update(bytes);
        Ok(self)
    }

    /// The digest, to compare and to write beside the output.
    pub(crate) fn finish(self) -> String {
        hex(&self.digest.finalize())
    }
}

/// Whether `output` is there and was made from what `stamp` says.
pub(crate) fn is_current(output: &Path, stamp: &str) -> bool {
    output.exists() && fs::read_to_string(stamp_path(output)).is_ok_and(|written| written == stamp)
}

/// Notes what `output` was made from.
pub(crate) fn write(output: &Path, stamp: &str) -> Result<()> {
    let path = stamp_path(output);
    if let Some(parent) = path.parent() {
        fs::create_dir_all(parent)?;
    }
    fs::write(&path, stamp).with_context(|| format!("cannot write {}", path.display()))
}

/// The SHA-256 of a file, in hex.
pub(crate) fn sha256(path: &Path) -> Result<String> {
    let bytes = fs::read(path).with_context(|| format!("cannot read {}", path.display()))?;
    Ok(hex(&Sha256::digest(bytes)))
}

fn stamp_path(output: &Path) -> PathBuf {
    let name = output.file_name().unwrap_or_default();
    output.with_file_name(".stamps").join(name)
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
