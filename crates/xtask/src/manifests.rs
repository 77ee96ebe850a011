//! The manifests of `deploy/kubernetes` against the schemas of Kubernetes, by the program kubernetes-validate.

use std::path::PathBuf;
use std::process::Command;

use anyhow::{Context as _, Result, ensure};

use crate::fetch;
use crate::guests;
use crate::program;
use crate::workspace::Workspace;

/// Fails if one has an unknown key, or lacks one that is needed.
pub(crate) fn check(workspace: &Workspace) -> Result<()> {
    let validate = fetch::pip(workspace, "kubernetes", 119)?;
    let root = workspace.root().join("deploy/kubernetes");
    let mut manifests: Vec<PathBuf> = Vec::new();
    for folder in ["base", "wordpress"] {
        // The schemas have no kustomization: no server ever gets one.
        let files = guests::files(&root.join(folder))?.into_iter();
        manifests.extend(files.filter(|file| !file.ends_with("kustomization.yaml")));
    }
    ensure!(!manifests.is_empty(), "no manifests in {}", root.display());
    let mut check = Command::new(if cfg!(windows) { "python" } else { "python3" });
    check.current_dir(workspace.root()).env("PYTHONPATH", validate);
    check.args(["-m", "kubernetes_validate", "--strict", "--quiet"]).args(manifests);
    program::run(&mut check).context("Kubernetes would refuse a manifest")
}
