//! The interpreters as packages: one file each, for `wcgi runtime add` on a machine without a registry.

use std::path::Path;
use std::process::Command;

use anyhow::Result;

use super::release::Release;
use crate::{program, runtimes};

/// Packs those that set-up has. `program` runs on this machine.
pub(super) fn make(release: &Release<'_>, program: &Path) -> Result<()> {
    for (name, package) in runtimes::packages(release.workspace)? {
        let output = release.file(&format!("{}.webc", name.replace(':', "-")));
        let mut pack = Command::new(program);
        pack.args(["pack", "--no-cache"]).arg(&package).arg("--output").arg(&output);
        program::capture(&mut pack)?;
        println!("dist: {} is {name}", release.workspace.relative(&output));
    }
    Ok(())
}
