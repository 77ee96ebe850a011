//! Archives: the files of a mount as one blob, tar within zstd.
//!
//! Two machines that pack the same files get the same bytes: entries are sorted, times and owners are 0, modes 644 and
//! 755. What is unpacked comes from somewhere else, so nothing in it is believed.

mod pack;
mod unpack;

pub(crate) use self::pack::pack;
pub(crate) use self::unpack::{Budget, unpack};

/// Looking a path up takes a stack frame for each segment.
const MAX_DEPTH: usize = 128;

#[cfg(test)]
mod tests;
