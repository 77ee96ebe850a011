//! What a start-up has left: an image of the memory and the values of the globals.

use std::sync::Arc;

use wasmtime::Val;
use wcgi_memory::Image;

/// Values of globals by their index in the module.
pub(crate) type Globals = Vec<(u32, Val)>;

/// What a start-up has left.
#[derive(Debug)]
pub(crate) struct Snapshot {
    pub(crate) image: Arc<Image>,
    /// By the index in the module, all that can change.
    pub(crate) globals: Globals,
}
