//! Rust: Cargo, for `wasm32-wasip1`. The compiler is rustup's, or Debian's where rustup cannot add the target (`guests/rust.rs`
//! fetches it); crates come from crates.io, 3 MB of them for axum. The module stays where Cargo leaves it.

use std::fs;
use std::path::Path;

use anyhow::{Context as _, Result};

use super::language::Language;
use crate::guests::rust;
use crate::stamp::Stamp;
use crate::workspace::Workspace;

pub(super) const RUST: Language =
    Language { name: "rust", with: "the standard library", command: COMMAND, output: OUTPUT, recipe, make };

pub(super) const RUST_AXUM: Language = Language {
    name: "rust-axum",
    with: "axum, wcgi-guest",
    command: COMMAND,
    output: OUTPUT,
    recipe: recipe_with_crate,
    make,
};

/// The compiler is all that comes from outside: other crates are in the package's `Cargo.lock`.
fn recipe(_: &Workspace) -> Result<String> {
    rust::compiler_version()
}

/// The same, and the crate of this repository.
fn recipe_with_crate(workspace: &Workspace) -> Result<String> {
    let stamp = Stamp::default().text(&rust::compiler_version()?);
    Ok(rust::with_wcgi_guest(workspace, stamp)?.finish())
}

fn make(workspace: &Workspace, directory: &Path) -> Result<()> {
    let manifest = directory.join("Cargo.toml");
    let manifest = fs::read_to_string(&manifest).with_context(|| format!("cannot read {}", manifest.display()))?;
    let mut more = Vec::new();
    if directory.join("Cargo.lock").exists() {
        more.push("--locked");
    }
    // A new package names the crate by its version; it may be newer here than what is published.
    let path = workspace.wcgi_guest();
    let patch = format!("patch.crates-io.wcgi-guest.path={:?}", path.display().to_string());
    if manifest.contains("wcgi-guest = \"") {
        more.extend(["--config", &patch]);
    }
    println!("compiling {} by Cargo", workspace.relative(directory));
    rust::cargo_build(workspace, directory, &directory.join("target"), &more)
}

const COMMAND: &str = "cargo build --release --target wasm32-wasip1";
const OUTPUT: &str = "target/wasm32-wasip1/release/guestbook.wasm";
