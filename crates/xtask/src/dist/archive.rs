//! The program alone, with its licences, as a compressed tar.

use std::fs;
use std::path::Path;
use std::process::Command;

use anyhow::Result;

use super::release::{Arch, Release, copy_program};
use crate::program;

pub(super) fn make(release: &Release<'_>, arch: &Arch, program: &Path) -> Result<()> {
    let name = format!("wcgi-{}-{}-linux", release.version, arch.name);
    let staging = release.staging("archive")?;
    copy_program(program, &staging.join(&name).join("wcgi"))?;
    for file in ["LICENSE-MIT", "LICENSE-APACHE", "README.md", "CHANGELOG.md"] {
        fs::copy(release.workspace.root().join(file), staging.join(&name).join(file))?;
    }
    tar(&staging, &[&name], &release.file(&format!("{name}.tar.gz")))
}

/// A tar of these names in `directory`, the same on every machine.
pub(super) fn tar(directory: &Path, names: &[&str], output: &Path) -> Result<()> {
    let mut tar = Command::new("tar");
    tar.args(["--create", "--sort=name", "--mtime=@0", "--owner=0", "--group=0", "--numeric-owner", "--format=ustar"]);
    tar.arg("--use-compress-program=gzip -n -9").arg("--mode=u=rwX,go=rX").arg("--directory").arg(directory);
    program::run(tar.arg("--file").arg(output).args(names))
}
