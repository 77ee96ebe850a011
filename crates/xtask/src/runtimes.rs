//! Runtimes: the interpreters that examples and templates depend on by name, given to `wcgi runtime add`.
//!
//! They are in the user's own store, as somebody wants who runs an example, and in that of the tests.

use std::env;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result};

use crate::guests::PYTHON_MODULE;
use crate::program;
use crate::workspace::Workspace;

/// What set-up's PHP is called. Manifests of the examples name it.
pub(crate) const PHP: &str = "php:8.2";
/// What the stock Python is called.
const STOCK_PYTHON: &str = "python:3.12";
/// What our own Python is called.
const OWN_PYTHON: &str = "python:3.13";

/// Adds what set-up has, to the user's store and to that of the tests. What is there is replaced.
pub(crate) fn provide(workspace: &Workspace) -> Result<()> {
    let wcgi = wcgi(workspace)?;
    for (name, package) in packages(workspace)? {
        let mut digests = Vec::new();
        for options in [Vec::new(), vec!["--cache-dir".into(), workspace.test_cache().into_os_string()]] {
            let mut add = Command::new(&wcgi);
            add.arg("--quiet").args(["runtime", "add", name]).arg(&package).args(&options);
            digests.push(program::capture(&mut add)?);
        }
        let digest = digests.first().map(|digest| digest.trim()).unwrap_or_default();
        println!("runtime {name}: {digest}");
        unlock(workspace, name, digest)?;
    }
    Ok(())
}

/// The program, built as the tests build it, so that nothing else has to be built again.
pub(crate) fn wcgi(workspace: &Workspace) -> Result<PathBuf> {
    let mut build = Command::new("cargo");
    build.current_dir(workspace.root()).args(["test", "--quiet", "--workspace", "--all-features", "--no-run"]);
    program::run(&mut build)?;
    let target = env::var_os("CARGO_TARGET_DIR").map_or_else(|| workspace.root().join("target"), Into::into);
    Ok(target.join("debug/wcgi"))
}

/// The packages of the interpreters that are there, by name.
pub(crate) fn packages(workspace: &Workspace) -> Result<Vec<(&'static str, PathBuf)>> {
    packages_of(workspace, &workspace.root().join("target/runtimes"))
}

/// Writes the packages of the interpreters that are there, and gives names and directories.
fn packages_of(workspace: &Workspace, packages: &Path) -> Result<Vec<(&'static str, PathBuf)>> {
    let examples = workspace.examples();
    let own_python = workspace.root().join("target/python");
    let mut found = Vec::new();
    let mut add = |name: &'static str, module: PathBuf, rest: &str| -> Result<()> {
        if module.exists() {
            found.push((name, write(packages, name, &module, rest)?));
        }
        Ok(())
    };
    // This php-cgi takes new random numbers in each request.
    add(PHP, examples.join("php/php-cgi.wasm"), "[command.annotations.wcgi.snapshot]\nreseeds = true\n")?;
    add(STOCK_PYTHON, examples.join("guestbook/python").join(PYTHON_MODULE), "")?;
    let library = own_python.join("library");
    if own_python.join("python313.zip").exists() {
        fs::create_dir_all(&library)?;
        fs::copy(own_python.join("python313.zip"), library.join("python313.zip"))?;
        let mount = format!("[fs]\n\"/python\" = {:?}\n", library.display().to_string());
        add(OWN_PYTHON, own_python.join("python.wasm"), &mount)?;
    }
    Ok(found)
}

fn write(packages: &Path, name: &str, module: &Path, rest: &str) -> Result<PathBuf> {
    let (name, version) = name.split_once(':').context("a runtime has a version")?;
    let package = packages.join(format!("{name}-{version}"));
    fs::create_dir_all(&package).with_context(|| format!("cannot create {}", package.display()))?;
    let text = format!(
        "[package]\nname = \"{name}\"\nversion = \"{version}\"\n\n[[module]]\nname = \"{name}\"\nsource = {:?}\n\
         abi = \"wasi\"\n\n[[command]]\nname = \"{name}\"\nrunner = \"wcgi\"\nmodule = \"{name}\"\n\n{rest}",
        module.display().to_string()
    );
    let manifest = package.join("wasmer.toml");
    fs::write(&manifest, text).with_context(|| format!("cannot write {}", manifest.display()))?;
    Ok(package)
}

/// Removes lock files of the examples that pin another build of a runtime. A new build is for all of them.
fn unlock(workspace: &Workspace, name: &str, digest: &str) -> Result<()> {
    let examples = workspace.examples();
    for folder in [examples.clone(), examples.join("guestbook")] {
        for entry in fs::read_dir(&folder).with_context(|| format!("cannot read {}", folder.display()))? {
            let lock = entry?.path().join("wcgi.lock");
            let pins = |text: String| text.contains(&format!("{name:?}")) && !text.contains(digest);
            if fs::read_to_string(&lock).is_ok_and(pins) {
                fs::remove_file(&lock).with_context(|| format!("cannot remove {}", lock.display()))?;
            }
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn examples_depend_on_what_set_up_adds() {
        let examples = Workspace::current().unwrap().examples();
        for example in ["adminer", "dokuwiki", "guestbook/php", "site", "wordpress"] {
            let manifest = fs::read_to_string(examples.join(example).join("wasmer.toml")).unwrap();
            assert!(manifest.contains(&format!("php = {PHP:?}\n")), "{example}");
        }
    }

    #[test]
    fn lock_files_of_another_build_go() {
        let clone = tempfile::tempdir().unwrap();
        let workspace = Workspace::at(clone.path());
        let lock = |example: &str| workspace.examples().join(example).join("wcgi.lock");
        for (example, digest) in [("old", "sha256:1"), ("new", "sha256:2"), ("guestbook/php", "sha256:1")] {
            fs::create_dir_all(workspace.examples().join(example)).unwrap();
            fs::write(lock(example), format!("ref = {PHP:?}\ndigest = \"{digest}\"\n")).unwrap();
        }
        unlock(&workspace, PHP, "sha256:2").unwrap();
        assert_eq!([lock("old"), lock("new"), lock("guestbook/php")].map(|lock| lock.exists()), [false, true, false]);
    }
}
