//! What is known of a component's handles besides what they are.

use std::fs::File;
use std::sync::Weak;

/// What is known of a component's handles besides what they are.
#[derive(Debug, Default)]
pub(crate) struct Handles {
    /// Those of mounts, with the number that the mount has as a descriptor of a module. Each is given as often as it is
    /// asked for.
    pub(super) mounts: Vec<(u32, u32)>,
    /// Those of files that are open to be written and may yet turn out to be only appended to.
    pub(super) undecided: Vec<u32>,
    /// Files whose handles were given back while a stream of them was left.
    pub(super) outlived: Vec<Weak<File>>,
    /// Those of directories being read, with their sizes.
    pub(super) listings: Vec<(u32, u64)>,
}

impl Handles {
    /// What one exchange may have.
    pub(crate) const MOST: usize = 8192;

    /// The number of the mount `dir`. What is no mount has a number that no mount has.
    pub(super) fn mount(&self, dir: u32) -> u32 {
        self.mounts.iter().find(|(handle, _)| *handle == dir).map_or(u32::MAX, |(_, number)| *number)
    }
}
