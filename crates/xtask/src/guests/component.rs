//! Guests as components, for the tests that run over both kinds. A separate program wraps every module that was built
//! (`crates/xtask/componentize`); its dependencies are too large for xtask. Guests that cannot be wrapped are written as
//! components in the text format (`tests/guests/component`). One program calls WASI 0.2 itself (`tests/guests/wasip2`).

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::{env, fs};

use anyhow::{Context as _, Result};

use super::guest::{Guest, copy_text, files, install, is_wasm_text};
use super::rust;
use crate::program;
use crate::stamp::{self, Stamp};
use crate::workspace::Workspace;

/// Makes those that are not up to date and says how many that were. The modules must have been built.
pub(super) fn build(workspace: &Workspace, guests: &BTreeMap<String, PathBuf>) -> Result<usize> {
    let output = workspace.guests().join("component");
    fs::create_dir_all(&output).with_context(|| format!("cannot create {}", output.display()))?;
    let mut texts = Vec::new();
    for source in files(&workspace.guest_sources().join("component"))? {
        let name = source.file_stem().unwrap_or_default().to_string_lossy().into_owned();
        if guests.contains_key(&name) {
            texts.push(Guest { name, source });
        }
    }
    let copied = copy_text(&output, &texts)?;

    let tool = workspace.componentize();
    let mut stale = Vec::new();
    for (name, source) in guests.iter().filter(|(name, _)| !texts.iter().any(|text| text.name == **name)) {
        let extension = if is_wasm_text(source) { "wat" } else { "wasm" };
        let module = workspace.guests().join(name).with_extension(extension);
        let stamp = Stamp::default().file(&tool.join("Cargo.lock"))?.file(&tool.join("src/main.rs"))?.file(&module)?;
        let component = output.join(name).with_extension("wasm");
        let stamp = stamp.finish();
        if !stamp::is_current(&component, &stamp) {
            stale.push((module, component, stamp));
        }
    }
    if !stale.is_empty() {
        println!("guests: making components of {}", stale.len());
        let unfinished = output.join("unfinished");
        wrap(workspace, &unfinished, stale.iter().map(|(module, ..)| module.as_path()))?;
        for (_, component, stamp) in &stale {
            install(&unfinished.join(component.file_name().unwrap_or_default()), component, stamp)?;
        }
    }
    Ok(copied + stale.len())
}

/// Builds the program that calls WASI 0.2 itself. True if it was not up to date. It is built for `wasm32-wasip2` if the compiler has
/// that target. Otherwise it is built for `wasm32-wasip1` and wrapped, because its std calls preview 1.
pub(super) fn build_native(workspace: &Workspace) -> Result<bool> {
    let package = workspace.guest_sources().join("wasip2");
    let output = workspace.guests().join("component/native.wasm");
    let tool = workspace.componentize();
    let stamp = Stamp::default().text(&rust::compiler_version()?).file(&package.join("Cargo.lock"))?;
    let stamp = stamp.file(&package.join("Cargo.toml"))?.file(&package.join("src/lib.rs"))?;
    let stamp = stamp.file(&tool.join("Cargo.lock"))?.file(&tool.join("src/main.rs"))?.finish();
    if stamp::is_current(&output, &stamp) {
        return Ok(false);
    }
    println!("guests: compiling native in Rust");
    let (built, is_component) = rust::build_library(workspace, &package, "native")?;
    let unfinished = workspace.guests().join("component/unfinished");
    let component = unfinished.join("native.wasm");
    if is_component {
        fs::create_dir_all(&unfinished)?;
        fs::copy(&built, &component).with_context(|| format!("cannot read {}", built.display()))?;
    } else {
        wrap(workspace, &unfinished, [built.as_path()].into_iter())?;
    }
    install(&component, &output, &stamp)?;
    Ok(true)
}

fn wrap<'a>(workspace: &Workspace, output: &Path, modules: impl Iterator<Item = &'a Path>) -> Result<()> {
    let tool = workspace.componentize();
    let mut cargo = Command::new(env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    cargo.current_dir(tool).args(["run", "--quiet", "--locked", "--"]).arg(output).args(modules);
    cargo.env("CARGO_TARGET_DIR", workspace.componentize_target());
    program::run(&mut cargo)
}

/// They import what only modules can.
pub(super) const MODULES_ONLY: [&str; 6] = ["curl", "locks", "net", "postgres", "redis", "wasmedge"];
