//! A guest that exits: the error that carries its status through wasm.

use std::fmt;

/// The script called `proc_exit`. Passes through wasm as an error.
#[derive(Debug)]
pub(crate) struct Exit(pub(crate) u32);

impl fmt::Display for Exit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the script exited with {}", self.0)
    }
}

impl std::error::Error for Exit {}
