//! Where things are.

use std::fs::File;
use std::path::PathBuf;

/// Where an open file is, if the system can tell.
#[cfg(target_os = "linux")]
pub(crate) fn path_of(file: &File) -> Option<PathBuf> {
    use std::os::fd::AsRawFd;
    std::fs::read_link(format!("/proc/self/fd/{}", file.as_raw_fd())).ok()
}

#[cfg(not(target_os = "linux"))]
pub(crate) fn path_of(_file: &File) -> Option<PathBuf> {
    None
}
