//! The C compiler for WASI.
//!
//! It is Zig's clang, in a pinned version. pip checks its hash and installs it below `target/toolchains`. It
//! brings a linker and a C library for WASI, on every host and without root. `WCGI_WASM_CC` puts another in its
//! place, as a command line: `WCGI_WASM_CC="clang-19 --target=wasm32-wasi"`.

use std::env;
use std::path::PathBuf;
use std::process::Command;

use anyhow::{Context as _, Result};

use crate::fetch;
use crate::workspace::Workspace;

/// A C compiler for WASI and the words every call of it begins with.
#[derive(Debug)]
pub(crate) struct Compiler {
    words: Vec<String>,
    cache: PathBuf,
}

impl Compiler {
    /// The one `WCGI_WASM_CC` names, else Zig's, fetched when it is not there.
    pub(crate) fn find(workspace: &Workspace) -> Result<Self> {
        match words("WCGI_WASM_CC") {
            Some(words) => Ok(Self { words, cache: workspace.toolchains().join("zig-cache") }),
            None => Self::zig(workspace),
        }
    }

    /// Zig's, whatever `WCGI_WASM_CC` says: what only it can build, or what has to be the same everywhere.
    pub(crate) fn zig(workspace: &Workspace) -> Result<Self> {
        let zig = zig(workspace)?.to_str().context("the path of the repository is not UTF-8")?.to_owned();
        let words = [&zig, "cc", "-target", "wasm32-wasi"].map(str::to_owned).to_vec();
        Ok(Self { words, cache: workspace.toolchains().join("zig-cache") })
    }

    /// A call of it, to be completed.
    pub(crate) fn call(&self) -> Result<Command> {
        let (program, first_arguments) = self.words.split_first().context("WCGI_WASM_CC is empty")?;
        let mut command = Command::new(program);
        command.args(first_arguments);
        self.set_cache(&mut command);
        Ok(command)
    }

    /// As a command line for a shell script, with the environment it needs.
    pub(crate) fn export_to(&self, command: &mut Command) {
        command.env("WCGI_CC", self.words.join(" "));
        self.set_cache(command);
    }

    fn set_cache(&self, command: &mut Command) {
        command.env("ZIG_GLOBAL_CACHE_DIR", &self.cache).env("ZIG_LOCAL_CACHE_DIR", &self.cache);
    }
}

/// The words of a command line in the environment.
pub(crate) fn words(variable: &str) -> Option<Vec<String>> {
    let words = env::var(variable).ok()?;
    Some(words.split_whitespace().map(str::to_owned).collect()).filter(|words: &Vec<_>| !words.is_empty())
}

/// The Zig that pip's requirements file names, installed once per such file.
pub(crate) fn zig(workspace: &Workspace) -> Result<PathBuf> {
    let is_first = !workspace.toolchains().join("zig-cache").exists();
    let directory = fetch::pip(workspace, "zig", 100).context(
        "or set WCGI_WASM_CC to a C compiler for WASI (for example `clang-19 --target=wasm32-wasi`, with Debian's lld-19, \
         wasi-libc and libclang-rt-19-dev-wasm32)",
    )?;
    if is_first {
        println!("guests: the first call of the C compiler builds the C library, which takes half a minute");
    }
    Ok(directory.join("ziglang").join(if cfg!(windows) { "zig.exe" } else { "zig" }))
}
