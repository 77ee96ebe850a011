//! Lua: the interpreter, from the sources in the crate `lua-src`, with a main program of ours (`crates/xtask/wasi/lua.c`),
//! compiled by Zig. Lua raises errors with longjmp, which here are exceptions of WebAssembly.

use std::path::{Path, PathBuf};

use anyhow::Result;

use super::interpreter::Interpreter;
use super::language::Language;
use crate::fetch::Crate;
use crate::guests::guest::files;
use crate::workspace::Workspace;

pub(super) const LUA: Language = Language {
    name: "lua",
    with: "Lua 5.4",
    command: "nothing to build",
    output: INTERPRETER.name,
    recipe: |workspace| INTERPRETER.recipe(workspace),
    make: |workspace, directory| INTERPRETER.install(workspace, directory),
};

const INTERPRETER: Interpreter = Interpreter {
    name: "lua.wasm",
    source: Crate {
        name: "lua-src",
        version: "551.1.0",
        sha256: "41d22b201501a536c0f5a96c7589b268b559172b20fb029064434e38ddcecb1f",
    },
    include: SOURCES,
    files: all_files,
    own_files: |workspace| vec![main_program(workspace)],
    flags: &[
        "-Os",
        "-s",
        "-std=gnu17",
        "-mexception-handling",
        "-mllvm",
        "-wasm-enable-sjlj",
        "-mllvm",
        "-wasm-use-legacy-eh=false",
        "-D_WASI_EMULATED_SIGNAL",
        "-lwasi-emulated-signal",
        "-Dl_system(command)=((command)?-1:0)",
        "-Wl,-z,stack-size=1048576",
    ],
};

fn all_files(workspace: &Workspace, source: &Path) -> Result<Vec<PathBuf>> {
    let mut files = files(&source.join(SOURCES))?;
    files.retain(|path| path.extension().is_some_and(|extension| extension == "c"));
    files.push(main_program(workspace));
    Ok(files)
}

fn main_program(workspace: &Workspace) -> PathBuf {
    workspace.wasi().join("lua.c")
}

const SOURCES: &str = "lua-5.4.9";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_template_has_the_same_interpreter() {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).ancestors().nth(2).unwrap();
        let module = |directory: &str| std::fs::read(root.join(directory).join(INTERPRETER.name)).unwrap();
        assert!(module("examples/guestbook/lua") == module("crates/wcgi-cli/templates/lua"));
    }
}
