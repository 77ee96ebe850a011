//! The bill of materials: every crate in the program with its version and licence, in the form of `CycloneDX`.

use std::fs;
use std::process::Command;

use anyhow::{Context as _, Result};

use super::release::Release;
use crate::program;
use crate::tools::CYCLONEDX;

pub(super) fn make(release: &Release<'_>) -> Result<()> {
    CYCLONEDX.ensure()?;
    let name = format!("wcgi-{}.cdx", release.version);
    let mut cargo = Command::new("cargo");
    cargo.current_dir(release.workspace.root()).env("SOURCE_DATE_EPOCH", "0");
    cargo.args(["cyclonedx", "--format", "json", "--override-filename", &name, "--manifest-path"]);
    program::run(cargo.arg("crates/wcgi-cli/Cargo.toml"))?;
    // It writes one beside the manifest of each crate of the workspace.
    for folder in ["crates", "examples", "."] {
        for entry in fs::read_dir(release.workspace.root().join(folder))? {
            let made = entry?.path().join(format!("{name}.json"));
            if made.ends_with(format!("wcgi-cli/{name}.json")) {
                fs::copy(&made, release.file(&format!("{name}.json"))).context("cannot copy the bill of materials")?;
            }
            if made.exists() {
                fs::remove_file(&made)?;
            }
        }
    }
    Ok(())
}
