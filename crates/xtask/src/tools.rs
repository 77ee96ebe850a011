//! The Cargo subcommands that the checks call. One on the PATH is used, whatever its version. A missing one is
//! installed where Cargo installs programs, so that the next clone has it too.

use std::process::Command;

use anyhow::{Context as _, Result};

use crate::program;

/// A Cargo subcommand, its package, and the version to install.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Tool {
    subcommand: &'static str,
    package: &'static str,
    version: &'static str,
}

pub(crate) const NEXTEST: Tool = Tool { subcommand: "nextest", package: "cargo-nextest", version: "0.9.143" };
pub(crate) const DENY: Tool = Tool { subcommand: "deny", package: "cargo-deny", version: "0.20.2" };
pub(crate) const HACK: Tool = Tool { subcommand: "hack", package: "cargo-hack", version: "0.6.46" };
pub(crate) const CYCLONEDX: Tool = Tool { subcommand: "cyclonedx", package: "cargo-cyclonedx", version: "0.5.9" };
pub(crate) const FUZZ: Tool = Tool { subcommand: "fuzz", package: "cargo-fuzz", version: "0.13.2" };

/// Installs every tool that is missing.
pub(crate) fn install_all() -> Result<()> {
    [NEXTEST, DENY, HACK, FUZZ].iter().try_for_each(Tool::ensure)
}

impl Tool {
    /// Installs it if it is missing.
    pub(crate) fn ensure(&self) -> Result<()> {
        if program::capture(Command::new("cargo").args([self.subcommand, "--version"])).is_ok() {
            return Ok(());
        }
        println!("tools: installing {} {} by Cargo; this takes some minutes, once", self.package, self.version);
        let arguments = ["install", "--quiet", "--locked", "--version", self.version, self.package];
        program::run(Command::new("cargo").args(arguments)).with_context(|| format!("cannot install {}", self.package))
    }
}
