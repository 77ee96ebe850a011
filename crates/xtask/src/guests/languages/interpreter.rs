//! Interpreters in C whose sources are in a crate: compiled by Zig, always the same, once for all packages, and copied
//! into each.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};

use crate::compiler::Compiler;
use crate::fetch::{self, Crate};
use crate::guests::guest::install;
use crate::program;
use crate::stamp::{self, Stamp};
use crate::workspace::Workspace;

/// How one is compiled.
pub(super) struct Interpreter {
    /// Of the module.
    pub(super) name: &'static str,
    pub(super) source: Crate,
    /// The directory in the crate that is searched for headers.
    pub(super) include: &'static str,
    /// The files to compile: from the crate's directory, in order.
    pub(super) files: fn(&Workspace, &Path) -> Result<Vec<PathBuf>>,
    /// Files that are ours, which decide the output too.
    pub(super) own_files: fn(&Workspace) -> Vec<PathBuf>,
    pub(super) flags: &'static [&'static str],
}

impl Interpreter {
    /// What decides the module.
    pub(super) fn recipe(&self, workspace: &Workspace) -> Result<String> {
        let compiler = fetch::pip_requirements(workspace, "zig");
        let stamp = Stamp::default().file(&compiler)?.text(self.source.sha256).text(&self.flags.join(" "));
        Ok((self.own_files)(workspace).iter().try_fold(stamp, |stamp, file| stamp.file(file))?.finish())
    }

    /// Puts the module into a package's directory.
    pub(super) fn install(&self, workspace: &Workspace, directory: &Path) -> Result<()> {
        let module = fs::read(self.build(workspace)?)?;
        let copy = directory.join(self.name);
        // Not as a copy of the file, which would be executable as the linker left it.
        fs::write(&copy, module).with_context(|| format!("cannot write {}", copy.display()))
    }

    fn build(&self, workspace: &Workspace) -> Result<PathBuf> {
        let output = workspace.toolchains().join(self.name);
        let stamp = self.recipe(workspace)?;
        if stamp::is_current(&output, &stamp) {
            return Ok(output);
        }
        let source = self.source.fetch(workspace)?;
        let compiler = Compiler::zig(workspace)?;
        println!("compiling {} (once)", self.name);
        let unfinished = output.with_extension("unfinished");
        let mut call = compiler.call()?;
        call.args(self.flags).arg("-I").arg(source.join(self.include));
        call.arg("-o").arg(&unfinished).args((self.files)(workspace, &source)?);
        program::capture(&mut call)?;
        install(&unfinished, &output, &stamp)?;
        Ok(output)
    }
}
