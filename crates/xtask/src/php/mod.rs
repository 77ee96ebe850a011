//! The PHP interpreters: a stock php-cgi, which the examples are served by, and our own build of it (`cargo xtask php`), whose
//! start-up can be taken in a snapshot. What that is made of and how lies in `guests/php`; this fetches the sources, unpacks
//! them and calls `guests/php/build.sh`.

mod source;
mod stock;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Instant;

use anyhow::{Context as _, Result};

use self::source::SOURCES;
pub(crate) use self::stock::{MODULE, PACKAGE, fetch};
use crate::guests::Compiler;
use crate::program;
use crate::stamp::{self, Stamp};
use crate::workspace::Workspace;

/// Builds php-cgi, unless the one that is there is of these sources, and copies it to `output` if that is given.
pub(crate) fn build(workspace: &Workspace, output: Option<&Path>) -> Result<()> {
    let module = workspace.php().join("php-cgi.wasm");
    let stamp = recipe(workspace)?;
    if stamp::is_current(&module, &stamp) {
        println!("php: {} is up to date", workspace.relative(&module));
    } else {
        make(workspace, &module)?;
        stamp::write(&module, &stamp)?;
        println!("php: {} is ready", workspace.relative(&module));
    }
    if let Some(output) = output {
        fs::copy(&module, output).with_context(|| format!("cannot write {}", output.display()))?;
        println!("php: {} is a copy", output.display());
    }
    Ok(())
}

/// From nothing: what an earlier build left would have to be told apart from what a changed recipe makes.
fn make(workspace: &Workspace, module: &Path) -> Result<()> {
    let compiler = Compiler::zig(workspace)?;
    let archives = SOURCES.iter().map(|source| source.fetch(workspace)).collect::<Result<Vec<_>>>()?;

    let directory = workspace.php().join("build");
    if directory.exists() {
        fs::remove_dir_all(&directory).with_context(|| format!("cannot remove {}", directory.display()))?;
    }
    println!("php: building in {}; this takes some minutes", workspace.relative(&directory));
    for (source, archive) in SOURCES.iter().zip(&archives) {
        source.unpack(archive, &directory)?;
    }

    // A copy of the recipe, as a shell reads a script while it runs it.
    let recipe = directory.join("recipe");
    program::run(Command::new("cp").arg("-R").arg(sources_of_ours(workspace)).arg(&recipe))?;

    let begin = Instant::now();
    let mut build = Command::new("sh");
    build.arg(recipe.join("build.sh")).current_dir(&directory);
    compiler.export_to(&mut build);
    program::run(&mut build)?;
    println!("php: built in {} s", begin.elapsed().as_secs());

    let built = directory.join("php-cgi.wasm");
    fs::rename(&built, module).with_context(|| format!("cannot write {}", module.display()))
}

/// What decides the module: versions and checksums, and everything in `guests/php` that is compiled or run.
fn recipe(workspace: &Workspace) -> Result<String> {
    let ours = sources_of_ours(workspace);
    let mut files = vec![ours.join("build.sh"), crate::fetch::pip_requirements(workspace, "zig")];
    for directory in ["patches", "wasi"] {
        let entries = fs::read_dir(ours.join(directory)).with_context(|| format!("cannot read {}", ours.display()))?;
        for entry in entries {
            files.push(entry?.path());
        }
    }
    files.sort();
    let stamp = SOURCES.iter().fold(Stamp::default(), |stamp, source| stamp.text(source.recipe()));
    Ok(files.iter().try_fold(stamp, |stamp, file| stamp.file(file))?.finish())
}

fn sources_of_ours(workspace: &Workspace) -> PathBuf {
    workspace.root().join("guests/php")
}
