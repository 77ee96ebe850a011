//! Guests in C: one call of the compiler per program.
//!
//! Packages in C and C++ are built by their own Makefile, in which Zig is the default too; for C++ the variable is
//! `WCGI_WASM_CXX`.

use std::fs;
use std::path::Path;
use std::process::Command;
use std::sync::Mutex;
use std::{env, thread};

use anyhow::{Context as _, Result, anyhow, bail};

use super::guest::{Guest, headers, install};
use super::library::Libraries;
use crate::compiler::{Compiler, words, zig};
use crate::fetch::{self, Unavailable};
use crate::libraries;
use crate::program;
use crate::stamp::{self, Stamp};
use crate::workspace::Workspace;

/// Builds those that are not up to date and says how many that were.
pub(super) fn build(workspace: &Workspace, guests: &[Guest]) -> Result<usize> {
    let recipe = recipe(workspace)?;
    let headers = headers(workspace)?;
    let (mut stale, mut needed) = (Vec::new(), Vec::new());
    for guest in guests {
        let output = workspace.guests().join(&guest.name).with_extension("wasm");
        let mut stamp = Stamp::default().text(&recipe).file(&guest.source)?;
        let libraries = Libraries::of(workspace, &guest.source)?;
        for file in libraries.sources.iter().chain(&libraries.headers) {
            stamp = stamp.file(file)?;
        }
        if !libraries.built.is_empty() {
            stamp = stamp.text(&libraries::recipe(workspace, libraries.built)?);
        }
        let stamp = headers.iter().try_fold(stamp, |stamp, header| stamp.file(header))?.finish();
        if !stamp::is_current(&output, &stamp) {
            needed.extend(libraries.built);
            stale.push((guest, output, stamp));
        }
    }
    if stale.is_empty() {
        return Ok(0);
    }

    libraries::make_all(workspace, &needed)?;
    let compiler = Compiler::find(workspace)?;
    println!("guests: compiling {} in C", stale.len());
    let count = stale.len();
    let queue = Mutex::new(stale);
    let next = || queue.lock().ok()?.pop();
    let work = || -> Result<()> {
        while let Some((guest, output, stamp)) = next() {
            let unfinished = output.with_extension("wasm.unfinished");
            let warnings = compile(&compiler, workspace, &guest.source, &unfinished)?;
            eprint!("{warnings}");
            install(&unfinished, &output, &stamp)?;
        }
        Ok(())
    };
    let workers = thread::available_parallelism().map_or(1, usize::from);
    thread::scope(|scope| {
        let handles: Vec<_> = (0..workers).map(|_| scope.spawn(work)).collect();
        handles.into_iter().try_for_each(|handle| handle.join().map_err(|_| anyhow!("a compiling thread panicked"))?)
    })?;
    Ok(count)
}

fn compile(compiler: &Compiler, workspace: &Workspace, source: &Path, output: &Path) -> Result<String> {
    let mut command = compiler.call()?;
    command.args(FLAGS).arg("-o").arg(output).arg(source);
    let libraries = Libraries::of(workspace, source)?;
    command.args(&libraries.sources);
    for include in &libraries.includes {
        command.arg("-I").arg(include);
    }
    if !libraries.built.is_empty() {
        command.args(libraries.archives(workspace)?).args(WITH_LIBRARIES);
    }
    if libraries.is_foreign {
        command.arg("-w");
    }
    let run = command.output().context("cannot run the C compiler")?;
    let messages = String::from_utf8_lossy(&run.stderr).into_owned();
    if !run.status.success() {
        bail!("{} does not compile\n{}", source.display(), messages.trim_end());
    }
    Ok(messages)
}

/// Which compiler it is: the one the variable names, else Zig's.
pub(super) fn compiler(workspace: &Workspace, variable: &str) -> Result<String> {
    match words(variable) {
        Some(words) => Ok(words.join(" ")),
        None => Ok(fs::read_to_string(fetch::pip_requirements(workspace, "zig"))?),
    }
}

/// Runs `make` in a directory. `replacement` is a variable of its Makefile and ours that puts another compiler in its place.
pub(super) fn run_make(workspace: &Workspace, directory: &Path, replacement: (&str, &str)) -> Result<()> {
    let (make_variable, variable) = replacement;
    let mut make = Command::new("make");
    make.current_dir(directory).arg("--always-make");
    if let Some(words) = words(variable) {
        make.arg(format!("{make_variable}={}", words.join(" ")));
    } else {
        let zig = zig(workspace)?;
        let path = env::var_os("PATH").unwrap_or_default();
        let directories = zig.parent().map(Path::to_owned).into_iter().chain(env::split_paths(&path));
        make.env("PATH", env::join_paths(directories).context("the path of the repository cannot be in PATH")?);
    }
    let cache = workspace.toolchains().join("zig-cache");
    program::run(make.env("ZIG_GLOBAL_CACHE_DIR", &cache).env("ZIG_LOCAL_CACHE_DIR", &cache)).map_err(|error| {
        let is_missing = program::is_missing(&error);
        if is_missing { error.context(Unavailable("make is needed".to_owned())) } else { error }
    })
}

/// What decides the output besides the source.
fn recipe(workspace: &Workspace) -> Result<String> {
    Ok(format!("{} {}", compiler(workspace, "WCGI_WASM_CC")?, FLAGS.join(" ")))
}

/// Small code and a small stack, so that an instance begins with two pages of memory.
const FLAGS: [&str; 6] = ["-std=gnu17", "-Os", "-s", "-Wall", "-Wextra", "-Wl,-z,stack-size=65536"];

/// What is in archives of the C library, and a stack for cryptography.
const WITH_LIBRARIES: [&str; 5] = [
    "-lwasi-emulated-getpid",
    "-lwasi-emulated-signal",
    "-lwasi-emulated-process-clocks",
    "-lwasi-emulated-mman",
    "-Wl,-z,stack-size=1048576",
];
