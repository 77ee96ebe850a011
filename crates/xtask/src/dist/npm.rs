//! Packages for npm: `wcgi` starts the program of the package for this processor, which npm chooses.

use std::fs;
use std::path::Path;

use anyhow::{Context as _, Result};

use super::archive::tar;
use super::release::{ABOUT, ARCHES, Arch, HOMEPAGE, LICENSE, Release, copy_program};

/// The package with the program for one processor.
pub(super) fn make_program(release: &Release<'_>, arch: &Arch, program: &Path) -> Result<()> {
    let name = format!("wcgi-linux-{}", arch.npm);
    let staging = release.staging("npm")?;
    copy_program(program, &staging.join("package/bin/wcgi"))?;
    let more = format!(r#""os": ["linux"], "cpu": ["{}"], "preferUnplugged": true"#, arch.npm);
    finish(release, &staging, &name, &more)
}

/// The package that people name.
pub(super) fn make_launcher(release: &Release<'_>) -> Result<()> {
    let staging = release.staging("npm")?;
    fs::create_dir_all(staging.join("package/bin"))?;
    fs::write(staging.join("package/bin/wcgi.js"), LAUNCHER)?;
    let version = &release.version;
    let programs = ARCHES.map(|arch| format!(r#""wcgi-linux-{}": "{version}""#, arch.npm)).join(", ");
    let more = format!(r#""bin": {{"wcgi": "bin/wcgi.js"}}, "optionalDependencies": {{{programs}}}"#);
    finish(release, &staging, "wcgi", &more)
}

fn finish(release: &Release<'_>, staging: &Path, name: &str, more: &str) -> Result<()> {
    let version = &release.version;
    let text = format!(
        r#"{{"name": "{name}", "version": "{version}", "description": "{ABOUT}", "license": "{LICENSE}", "homepage": "{HOMEPAGE}", {more}}}"#
    );
    fs::write(staging.join("package/package.json"), text + "\n")?;
    for file in ["README.md", "LICENSE-MIT", "LICENSE-APACHE"] {
        let to = staging.join("package").join(file);
        fs::copy(release.workspace.root().join(file), to).with_context(|| format!("cannot copy {file}"))?;
    }
    tar(staging, &["package"], &release.file(&format!("npm-{name}-{version}.tgz")))
}

const LAUNCHER: &str = r#"#!/usr/bin/env node
// Starts the program of the package for this processor, and ends as it ends.
"use strict";
const { spawn } = require("node:child_process");

const name = `wcgi-${process.platform}-${process.arch}`;
let program;
try {
  program = require.resolve(`${name}/bin/wcgi`);
} catch {
  console.error(`error: there is no wcgi for ${process.platform} on ${process.arch}`);
  console.error(`hint: install the package ${name}, without --omit=optional`);
  process.exit(1);
}
const child = spawn(program, process.argv.slice(2), { stdio: "inherit" });
for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"]) {
  process.on(signal, () => child.kill(signal));
}
child.on("error", (error) => {
  console.error(`error: cannot start ${program}: ${error.message}`);
  process.exit(1);
});
child.on("exit", (code, signal) => {
  process.exitCode = signal ? 1 : code;
});
"#;
