//! CPython with its start-up in a snapshot. Zig's C compiler builds it from Debian's source archive, with the main program in
//! `guests/python`. It is put into `examples/flask` together with Flask. Nothing else needs it, so it is built only on
//! request.

use std::env;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result};

use crate::compiler::Compiler;
use crate::fetch::{self, DebianSource};
use crate::guests;
use crate::libraries;
use crate::program;
use crate::sources::SQLITE;
use crate::stamp::{self, Stamp};
use crate::workspace::Workspace;

/// Makes `target/python/python.wasm` and its library, and completes the example.
pub(crate) fn build(workspace: &Workspace) -> Result<()> {
    let output = workspace.root().join("target/python");
    let recipe = workspace.root().join("guests/python");
    let module = output.join("python.wasm");
    let library = output.join("python313.zip");

    let mut sources = guests::files(&recipe)?;
    sources.extend(guests::files(&recipe.join("patches"))?);
    sources.sort();
    let stamp = Stamp::default()
        .text(SOURCE.sha256)
        .text(&libraries::recipe(workspace, &LIBRARIES)?)
        .text(SQLITE.sha256)
        .file(&fetch::pip_requirements(workspace, "zig"))?;
    let stamp = sources.iter().try_fold(stamp, |stamp, source| stamp.file(source))?.finish();
    if stamp::is_current(&module, &stamp) && library.exists() {
        println!("python: {} is there", workspace.relative(&module));
    } else {
        let [openssl, zlib] = libraries::build(workspace, LIBRARIES)?;
        let work = output.join("work");
        let mut script = Command::new(recipe.join("build.sh"));
        script
            .env("SOURCE", SOURCE.fetch(workspace)?)
            .env("OPENSSL", openssl)
            .env("ZLIB", zlib)
            .env("SOCKETS", workspace.sockets())
            .env("SQLITE", SQLITE.fetch(workspace)?.join("sqlite3"))
            .env("BUILD_PYTHON", native().unwrap_or_default())
            .env("WORK", &work);
        Compiler::zig(workspace)?.export_to(&mut script);
        program::run(&mut script)?;
        for file in [&module, &library] {
            let name = file.file_name().context("it has a name")?;
            fs::rename(work.join(name), file).with_context(|| format!("cannot write {}", file.display()))?;
        }
        stamp::write(&module, &stamp)?;
        println!("python: {} is ready", workspace.relative(&module));
    }
    complete(workspace, &module, &library)
}

/// Puts the interpreter, its library and Flask into `examples/flask`.
fn complete(workspace: &Workspace, module: &Path, library: &Path) -> Result<()> {
    let example = workspace.examples().join("flask");
    let packages = example.join("site-packages");
    let requirements = workspace.examples().join("guestbook/python-flask/requirements.txt");
    copy(module, &example.join("python.wasm"))?;
    copy(library, &example.join("python/python313.zip"))?;
    let stamp = Stamp::default().file(&requirements)?.finish();
    if !stamp::is_current(&packages, &stamp) {
        println!("python: installing Flask by pip");
        fetch::pip_install(&requirements, &packages)?;
        stamp::write(&packages, &stamp)?;
    }
    println!("python: {} is ready", workspace.relative(&example));
    clients(workspace)
}

/// Fetches the clients of databases that the tests run, beside the interpreter.
fn clients(workspace: &Workspace) -> Result<()> {
    let requirements = fetch::pip_requirements(workspace, "python-clients");
    let packages = workspace.root().join("target/python/clients");
    let stamp = Stamp::default().file(&requirements)?.finish();
    if !stamp::is_current(&packages, &stamp) {
        println!("python: installing clients of databases by pip");
        fetch::pip_install(&requirements, &packages)?;
        stamp::write(&packages, &stamp)?;
    }
    Ok(())
}

/// Only when it differs: a snapshot is kept for as long as nothing that it was made from has another time.
fn copy(from: &Path, to: &Path) -> Result<()> {
    if to.exists() && stamp::sha256(from)? == stamp::sha256(to)? {
        return Ok(());
    }
    if let Some(directory) = to.parent() {
        fs::create_dir_all(directory)?;
    }
    fs::copy(from, to).with_context(|| format!("cannot write {}", to.display()))?;
    Ok(())
}

/// A Python of the version that is built, which the build needs: the one that `$WCGI_BUILD_PYTHON` names, or one on the PATH.
fn native() -> Option<PathBuf> {
    let named = env::var_os("WCGI_BUILD_PYTHON").map(PathBuf::from);
    named.or_else(|| {
        let print = ["-c", "import sys; print(sys.executable)"];
        let path = program::capture(Command::new("python3.13").args(print)).ok()?;
        Some(PathBuf::from(path.trim()))
    })
}

const LIBRARIES: [&str; 2] = ["openssl", "zlib"];

/// The Python of Debian 13. 3.13 gets security updates until October 2029.
const SOURCE: DebianSource = DebianSource {
    name: "python3.13",
    suite: "trixie",
    version: None,
    file: "python3.13_3.13.5.orig.tar.xz",
    sha256: "93e583f243454e6e9e4588ca2c2662206ad961659863277afcdb96801647d640",
    megabytes: 23,
};
