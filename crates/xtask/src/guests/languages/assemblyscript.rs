//! The language of the package `assemblyscript`: `npm ci`, which fetches the compiler, in the versions and with the
//! checksums of `package-lock.json`, and `npm run build`. Node.js has to be installed.

use std::path::Path;
use std::process::Command;

use anyhow::{Context as _, Result};

use super::language::Language;
use crate::fetch::Unavailable;
use crate::workspace::Workspace;
use crate::{program, stamp};

pub(super) const ASSEMBLYSCRIPT: Language = Language {
    name: "assemblyscript",
    with: "its WASI shim",
    command: "npm install",
    output: "guestbook.wasm",
    recipe,
    make,
};

/// The lock is no source of a package in general; here it decides what the compiler is.
fn recipe(workspace: &Workspace) -> Result<String> {
    stamp::sha256(&workspace.examples().join("guestbook/assemblyscript/package-lock.json"))
}

fn make(_: &Workspace, directory: &Path) -> Result<()> {
    println!("assemblyscript: fetching the compiler by npm (25 MB)");
    let npm = |arguments: &[&str]| {
        let mut command = Command::new(if cfg!(windows) { "npm.cmd" } else { "npm" });
        command.current_dir(directory).args(arguments).args(["--silent", "--no-audit", "--no-fund"]);
        program::capture(&mut command)
    };
    npm(&["ci", "--ignore-scripts"]).map_err(|error| {
        let why = if program::is_missing(&error) {
            "npm is needed; install Node.js"
        } else {
            "npm cannot fetch the compiler"
        };
        error.context(Unavailable(why.to_owned()))
    })?;
    npm(&["run", "build"]).map(drop).context("it does not compile")
}
