//! C++: `make`, with Zig's clang and libc++ as for C, or with the compiler that `WCGI_WASM_CXX` names. Zig builds libc++ the
//! first time, which takes a minute.

use super::language::Language;
use crate::guests::c;

pub(super) const CPP: Language = Language {
    name: "cpp",
    with: "the standard library",
    command: "make",
    output: "guestbook.wasm",
    recipe: |workspace| c::compiler(workspace, "WCGI_WASM_CXX"),
    make: |workspace, directory| c::run_make(workspace, directory, ("CXX", "WCGI_WASM_CXX")),
};
