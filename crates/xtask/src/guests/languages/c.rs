//! C: `make`, with Zig's clang in a pinned version, which pip fetches below `target/toolchains` (100 MB, once), or with the
//! compiler that `WCGI_WASM_CC` names.

use super::language::Language;
use crate::guests::c;

pub(super) const C: Language = Language {
    name: "c",
    with: "the C library",
    command: "make",
    output: "guestbook.wasm",
    recipe: |workspace| c::compiler(workspace, "WCGI_WASM_CC"),
    make: |workspace, directory| c::run_make(workspace, directory, ("CC", "WCGI_WASM_CC")),
};
