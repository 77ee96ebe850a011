//! What all artefacts of a release have in common: the version, processors, places, checksums.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, ensure};
use sha2::{Digest as _, Sha256};

use crate::workspace::Workspace;

/// A processor that there are programs for, and what each kind of package calls it.
#[derive(Debug)]
pub(super) struct Arch {
    /// What Rust calls it.
    pub(super) name: &'static str,
    pub(super) debian: &'static str,
    pub(super) npm: &'static str,
    pub(super) oci: &'static str,
}

/// One release in the making.
#[derive(Debug)]
pub(super) struct Release<'w> {
    pub(super) workspace: &'w Workspace,
    pub(super) version: String,
    pub(super) directory: PathBuf,
}

impl Release<'_> {
    /// The place of an artefact.
    pub(super) fn file(&self, name: &str) -> PathBuf {
        self.directory.join(name)
    }

    /// An empty directory to put an artefact together in.
    pub(super) fn staging(&self, name: &str) -> Result<PathBuf> {
        let directory = self.workspace.root().join("target/dist-staging").join(name);
        let _ = fs::remove_dir_all(&directory);
        fs::create_dir_all(&directory).with_context(|| format!("cannot create {}", directory.display()))?;
        Ok(directory)
    }

    /// `SHA256SUMS`, as `sha256sum --check` reads it.
    pub(super) fn checksums(&self) -> Result<()> {
        let mut lines = Vec::new();
        for entry in fs::read_dir(&self.directory)? {
            let path = entry?.path();
            let name = path.file_name().context("it has a name")?.to_string_lossy().into_owned();
            lines.push(format!("{}  {name}\n", crate::stamp::sha256(&path)?));
        }
        lines.sort_by(|a, b| a.get(64..).cmp(&b.get(64..)));
        fs::write(self.file("SHA256SUMS"), lines.concat()).context("cannot write SHA256SUMS")
    }
}

pub(super) fn arch(name: &str) -> Result<&'static Arch> {
    let known = ARCHES.iter().find(|arch| arch.name == name);
    known.with_context(|| format!("no program for {name}; choose one of x86_64, aarch64"))
}

/// The version that the workspace says.
pub(super) fn version(workspace: &Workspace) -> Result<String> {
    let manifest = fs::read_to_string(workspace.root().join("Cargo.toml")).context("cannot read Cargo.toml")?;
    let line = manifest.lines().find_map(|line| line.strip_prefix("version = \"")?.strip_suffix('"'));
    let version = line.context("Cargo.toml says no version")?;
    ensure!(version.split('.').count() == 3, "{version:?} is no version");
    Ok(version.to_owned())
}

/// Copies a program, executable for all.
pub(super) fn copy_program(from: &Path, to: &Path) -> Result<()> {
    if let Some(directory) = to.parent() {
        fs::create_dir_all(directory).with_context(|| format!("cannot create {}", directory.display()))?;
    }
    fs::copy(from, to).with_context(|| format!("cannot copy {} to {}", from.display(), to.display()))?;
    #[cfg(unix)]
    fs::set_permissions(to, std::os::unix::fs::PermissionsExt::from_mode(0o755))?;
    Ok(())
}

pub(super) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

pub(super) fn sha256(bytes: &[u8]) -> Vec<u8> {
    Sha256::digest(bytes).to_vec()
}

pub(super) const ARCHES: [Arch; 2] = [
    Arch { name: "x86_64", debian: "amd64", npm: "x64", oci: "amd64" },
    Arch { name: "aarch64", debian: "arm64", npm: "arm64", oci: "arm64" },
];
pub(super) const ABOUT: &str = "Serves CGI programs compiled to WebAssembly, one isolated instance per request";
pub(super) const HOMEPAGE: &str = "https://github.com/tower-wcgi/tower-wcgi";
pub(super) const LICENSE: &str = "MIT OR Apache-2.0";
