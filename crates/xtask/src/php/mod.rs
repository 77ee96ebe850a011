//! The PHP interpreters. Our own build of php-cgi (`cargo xtask php`), or a ready one given to set-up, has its start-up in
//! a snapshot. Without either, the examples get a stock one. `guests/php` has the recipe of our own. This file fetches the
//! sources, unpacks them and calls `guests/php/build.sh`.

mod install;
mod source;
mod stock;

use std::env;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Instant;

use anyhow::{Context as _, Result, bail};

use self::install::install;
use self::source::SOURCES;
pub(crate) use self::stock::PACKAGE;
use crate::compiler::Compiler;
use crate::guests;
use crate::program;
use crate::stamp::{self, Stamp};
use crate::workspace::Workspace;

/// Puts `examples/php/php-cgi.wasm` there, and the guest `snapshot-php`: `ready` or what `$WCGI_PHP` names, else what [`build`] has
/// made. Where neither is there, or it lacks extensions, the examples get the stock one.
pub(crate) fn provide(workspace: &Workspace, ready: Option<&Path>) -> Result<()> {
    let example = workspace.examples().join("php/php-cgi.wasm");
    let ready = ready.map(Path::to_owned).or_else(|| env::var_os("WCGI_PHP").map(PathBuf::from));
    let Some(from) = ready.or_else(|| Some(built(workspace)).filter(|own| own.exists())) else {
        return stock::fetch(workspace, &example);
    };
    let module = fs::read(&from).with_context(|| format!("cannot read {}", from.display()))?;
    let has = |text: &str| memmem(&module, text.as_bytes());
    if !has("wizer-initialize") {
        bail!("{} has no start-up that could be in a snapshot", from.display());
    }
    place(workspace, &from, &workspace.guests().join("snapshot-php.wasm"))?;
    match EXTENSIONS.iter().find(|(_, function)| !has(function)) {
        None => place(workspace, &from, &example),
        Some((extension, _)) => {
            println!("php: {} is not for the examples: it lacks {extension}", from.display());
            stock::fetch(workspace, &example)
        }
    }
}

fn place(workspace: &Workspace, from: &Path, to: &Path) -> Result<()> {
    if !(to.exists() && stamp::sha256(to)? == stamp::sha256(from)?) {
        install(from, to)?;
    }
    println!("php: {} is {}", workspace.relative(to), workspace.relative(from));
    Ok(())
}

fn memmem(bytes: &[u8], wanted: &[u8]) -> bool {
    bytes.windows(wanted.len()).any(|window| window == wanted)
}

/// Builds php-cgi, unless the one that is there is of these sources, and copies it to `output`, else into the examples.
pub(crate) fn build(workspace: &Workspace, output: Option<&Path>) -> Result<()> {
    let module = built(workspace);
    let stamp = recipe(workspace)?;
    if stamp::is_current(&module, &stamp) {
        println!("php: {} is up to date", workspace.relative(&module));
    } else {
        make(workspace, &module, false)?;
        stamp::write(&module, &stamp)?;
        println!("php: {} is ready", workspace.relative(&module));
    }
    match output {
        Some(output) => install(&module, output),
        None => provide(workspace, None),
    }
}

/// Builds to `output` what counts which opcode handler comes after which.
pub(crate) fn build_counting(workspace: &Workspace, output: &Path) -> Result<()> {
    make(workspace, output, true)
}

/// From nothing: what an earlier build left would have to be told apart from what a changed recipe makes.
fn make(workspace: &Workspace, module: &Path, counting: bool) -> Result<()> {
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
    if counting {
        build.env("WCGI_PHP_COUNT", "1");
    } else {
        build.env_remove("WCGI_PHP_COUNT");
    }
    program::run(&mut build)?;
    println!("php: built in {} s", begin.elapsed().as_secs());

    let built = directory.join("php-cgi.wasm");
    install(&built, module)
}

/// What decides the module: versions and checksums, and everything in `guests/php` that is compiled or run.
fn recipe(workspace: &Workspace) -> Result<String> {
    let ours = sources_of_ours(workspace);
    let mut files = vec![ours.join("build.sh"), crate::fetch::pip_requirements(workspace, "zig")];
    for directory in ["patches", "wasi"] {
        files.extend(guests::files(&ours.join(directory))?);
    }
    files.sort();
    let stamp = SOURCES.iter().fold(Stamp::default(), |stamp, source| stamp.text(source.recipe()));
    Ok(files.iter().try_fold(stamp, |stamp, file| stamp.file(file))?.finish())
}

fn built(workspace: &Workspace) -> PathBuf {
    workspace.php().join("php-cgi.wasm")
}

fn sources_of_ours(workspace: &Workspace) -> PathBuf {
    workspace.root().join("guests/php")
}

/// What the examples need, and a function of each.
const EXTENSIONS: [(&str, &str); 3] =
    [("gd", "imagecreatetruecolor"), ("dom", "DOMDocument"), ("zlib", "gzuncompress")];

#[cfg(test)]
mod tests {
    use super::*;

    /// `cargo xtask php` and `cargo xtask wordpress` are the first commands there.
    #[test]
    fn a_fresh_clone_gets_the_modules() {
        let clone = tempfile::tempdir().unwrap();
        let workspace = Workspace::at(clone.path());
        let ready = clone.path().join("ready.wasm");
        let functions: String = EXTENSIONS.iter().map(|(_, function)| format!("{function}\n")).collect();
        fs::write(&ready, format!("wizer-initialize\n{functions}")).unwrap();
        provide(&workspace, Some(&ready)).unwrap();
        for module in ["target/guests/snapshot-php.wasm", "examples/php/php-cgi.wasm"] {
            assert_eq!(fs::read(clone.path().join(module)).unwrap(), fs::read(&ready).unwrap(), "{module}");
        }

        // What was built before is found, and goes where it is asked for.
        let built = built(&workspace);
        install(&ready, &built).unwrap();
        install(&built, &clone.path().join("new/folder/php-cgi.wasm")).unwrap();
        assert!(clone.path().join("new/folder/php-cgi.wasm").exists());
    }
}
