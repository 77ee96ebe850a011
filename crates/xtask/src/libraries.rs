//! Libraries in C for WASI that guests and interpreters are linked with: `guests/lib` has a recipe for each, and `target/lib/NAME` gets its
//! `include` and `lib`. A library is made again only when its recipe, its source or a library that it needs changes.

use std::fs;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::thread;

use anyhow::{Context as _, Result, anyhow, bail};

use crate::compiler::Compiler;
use crate::fetch::{self, Crate, DebianSource};
use crate::guests;
use crate::sources::{self, ZLIB};
use crate::stamp::{self, Stamp};
use crate::workspace::Workspace;

struct Library {
    /// Of its recipe, its folder and its log.
    name: &'static str,
    source: Source,
    needs: &'static [&'static str],
}

enum Source {
    Debian(DebianSource),
    /// A folder of a crate.
    Crate(Crate, &'static str),
}

/// Each after those that it needs.
const LIBRARIES: [Library; 4] = [
    Library { name: "zlib", source: Source::Crate(ZLIB, "src/zlib"), needs: &[] },
    Library { name: "openssl", source: Source::Debian(sources::OPENSSL), needs: &[] },
    Library { name: "curl", source: Source::Debian(sources::CURL), needs: &["zlib", "openssl"] },
    Library { name: "libpq", source: Source::Debian(sources::POSTGRESQL), needs: &["openssl"] },
];

/// The names of all.
pub(crate) fn names() -> Vec<&'static str> {
    LIBRARIES.iter().map(|library| library.name).collect()
}

/// Makes those of these names and the ones that they need, and gives their folders.
pub(crate) fn build<const N: usize>(workspace: &Workspace, names: [&str; N]) -> Result<[PathBuf; N]> {
    make_all(workspace, &names)?;
    Ok(names.map(|name| folder(workspace, name)))
}

/// The same of any number.
pub(crate) fn make_all(workspace: &Workspace, names: &[&str]) -> Result<()> {
    if let Some(unknown) = names.iter().find(|&&name| library(name).is_none()) {
        bail!("no library is called {unknown}; choose one of {}", self::names().join(", "));
    }
    let mut left: Vec<_> = LIBRARIES.iter().filter(|library| is_needed(library.name, names)).collect();
    left.retain(|library| {
        let is_there = is_there(workspace, library);
        if is_there {
            println!("{}: {} is there", library.name, workspace.relative(&folder(workspace, library.name)));
        }
        !is_there
    });
    // Those that wait for no other are made at the same time.
    while !left.is_empty() {
        let waits = |library: &Library| left.iter().any(|other| library.needs.contains(&other.name));
        let (later, now): (Vec<_>, Vec<_>) = left.iter().copied().partition(|library| waits(library));
        let compiler = Compiler::zig(workspace)?;
        thread::scope(|scope| {
            let make = |library| {
                let compiler = &compiler;
                scope.spawn(move || make(workspace, compiler, library))
            };
            let threads: Vec<_> = now.into_iter().map(make).collect();
            threads.into_iter().try_for_each(|thread| thread.join().map_err(|_| anyhow!("a thread panicked"))?)
        })?;
        left = later;
    }
    Ok(())
}

/// What decides libraries: for the stamps of programs that they are linked into.
pub(crate) fn recipe(workspace: &Workspace, names: &[&str]) -> Result<String> {
    let mut stamp = Stamp::default().file(&fetch::pip_requirements(workspace, "zig"))?;
    let recipes = guests::files(&recipes(workspace))?;
    for library in LIBRARIES.iter().filter(|library| is_needed(library.name, names)) {
        stamp = stamp.text(match &library.source {
            Source::Debian(archive) => archive.sha256,
            Source::Crate(package, _) => package.sha256,
        });
        let is_its = |file: &&PathBuf| file.file_stem().is_some_and(|stem| stem == "common" || stem == library.name);
        stamp = recipes.iter().filter(is_its).try_fold(stamp, |stamp, file| stamp.file(file))?;
    }
    let sockets = sockets(workspace)?;
    Ok(sockets.iter().try_fold(stamp, |stamp, file| stamp.file(file))?.finish())
}

/// The files of the library of sockets.
pub(crate) fn sockets(workspace: &Workspace) -> Result<Vec<PathBuf>> {
    let sockets = workspace.sockets();
    let mut all = vec![sockets.join("sockets.c")];
    for directory in ["", "sys", "netinet", "arpa"] {
        all.extend(guests::files(&sockets.join("include").join(directory))?);
    }
    Ok(all)
}

fn make(workspace: &Workspace, compiler: &Compiler, library: &Library) -> Result<()> {
    let output = folder(workspace, library.name);
    let all = workspace.libraries();
    let (log, work) = (all.join(library.name).with_extension("log"), all.join("work").join(library.name));
    let source = match &library.source {
        Source::Debian(archive) => archive.fetch(workspace)?,
        Source::Crate(package, folder) => package.fetch(workspace)?.join(folder),
    };
    // What changes meanwhile is not in it.
    let stamp = recipe_of(workspace, library)?;
    println!("{}: building", library.name);
    fs::create_dir_all(&all).with_context(|| format!("cannot create {}", all.display()))?;
    let file = fs::File::create(&log).with_context(|| format!("cannot write {}", log.display()))?;
    let mut recipe = Command::new("sh");
    compiler.export_to(&mut recipe);
    let status = recipe
        .arg(recipes(workspace).join(library.name).with_extension("sh"))
        .env("SOURCE", source)
        .env("SOCKETS", workspace.sockets())
        .env("LIBRARIES", &all)
        .env("WORK", &work)
        .env("OUTPUT", &output)
        .env("JOBS", thread::available_parallelism().map_or(1, usize::from).to_string())
        .stdin(Stdio::null())
        .stdout(file.try_clone()?)
        .stderr(file)
        .status()
        .context("cannot run sh")?;
    if !status.success() {
        let said = fs::read_to_string(&log).unwrap_or_default();
        let lines: Vec<_> = said.lines().rev().take(20).collect();
        let last: Vec<_> = lines.into_iter().rev().collect();
        bail!("{} cannot be built; {} has all of this:\n{}", library.name, log.display(), last.join("\n"));
    }
    stamp::write(&output, &stamp)?;
    // The sources are large.
    fs::remove_dir_all(&work).with_context(|| format!("cannot remove {}", work.display()))?;
    println!("{}: {} is ready", library.name, workspace.relative(&output));
    Ok(())
}

fn is_there(workspace: &Workspace, library: &Library) -> bool {
    let output = folder(workspace, library.name);
    recipe_of(workspace, library).is_ok_and(|recipe| stamp::is_current(&output, &recipe))
}

fn recipe_of(workspace: &Workspace, library: &Library) -> Result<String> {
    recipe(workspace, &[library.name])
}

/// Whether it is one of these, or one of these needs it.
fn is_needed(name: &str, names: &[&str]) -> bool {
    names.iter().any(|&wanted| wanted == name || library(wanted).is_some_and(|library| is_needed(name, library.needs)))
}

fn library(name: &str) -> Option<&'static Library> {
    LIBRARIES.iter().find(|library| library.name == name)
}

fn recipes(workspace: &Workspace) -> PathBuf {
    workspace.root().join("guests/lib")
}

fn folder(workspace: &Workspace, name: &str) -> PathBuf {
    workspace.libraries().join(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_library_comes_after_those_it_needs() {
        for (index, library) in LIBRARIES.iter().enumerate() {
            let before: Vec<_> = LIBRARIES.iter().take(index).map(|library| library.name).collect();
            assert!(library.needs.iter().all(|name| before.contains(name)), "{}", library.name);
        }
        assert!(is_needed("openssl", &["libpq"]));
        assert!(!is_needed("zlib", &["libpq"]));
    }

    /// Or a change of the recipe would leave the library as it was.
    #[test]
    fn the_recipe_is_that_of_the_library_and_of_those_it_needs() {
        let workspace = Workspace::current().unwrap();
        let recipe = |names: &[&str]| recipe(&workspace, names).unwrap();
        assert_ne!(recipe(&["openssl"]), recipe(&["curl"]));
        assert_eq!(recipe(&["libpq"]), recipe(&["openssl", "libpq"]));
    }
}
