//! What drives the library's calls for scripts, and the memory of instances, with any bytes.
//!
//! The parsers are private, so their targets' bodies are in the library: `tower_wcgi::fuzzing`. Run one with
//! `cargo +nightly fuzz run response_head`.

mod calls;
mod memory;

pub use calls::calls;
pub use memory::memory;
