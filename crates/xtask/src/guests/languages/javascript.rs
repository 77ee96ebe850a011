//! JavaScript: `qjs`, the interpreter of QuickJS-ng with its modules `std` and `os`, from the sources in the crate
//! `rquickjs-sys`, compiled by Zig. Whoever copies a package takes the same version from QuickJS-ng's releases.

use std::path::{Path, PathBuf};

use anyhow::Result;

use super::interpreter::Interpreter;
use super::language::Language;
use crate::fetch::Crate;
use crate::workspace::Workspace;

pub(super) const JAVASCRIPT: Language = Language {
    name: "javascript",
    with: "quickjs-ng",
    command: "npm run build",
    output: INTERPRETER.name,
    recipe: |workspace| INTERPRETER.recipe(workspace),
    make: |workspace, directory| INTERPRETER.install(workspace, directory),
};

const INTERPRETER: Interpreter = Interpreter {
    name: "qjs.wasm",
    source: Crate {
        name: "rquickjs-sys",
        version: "0.14.0",
        sha256: "cee271d0eeba64f0915b846cb7ae02e16faf3dfdffdca91731101d9d30fe3423",
    },
    include: "quickjs",
    files: all_files,
    own_files: |_| Vec::new(),
    flags: &[
        "-Os",
        "-s",
        "-std=gnu17",
        "-w",
        "-DNDEBUG",
        "-D_GNU_SOURCE",
        "-D_WASI_EMULATED_PROCESS_CLOCKS",
        "-D_WASI_EMULATED_SIGNAL",
        "-lwasi-emulated-process-clocks",
        "-lwasi-emulated-signal",
        "-Wl,-z,stack-size=2097152",
    ],
};

/// The two in `gen` are JavaScript of its own, which `qjs` refers to.
fn all_files(_: &Workspace, source: &Path) -> Result<Vec<PathBuf>> {
    let names = ["dtoa", "libregexp", "libunicode", "quickjs", "quickjs-libc", "qjs", "gen/repl", "gen/standalone"];
    Ok(names.iter().map(|name| source.join("quickjs").join(name).with_extension("c")).collect())
}
