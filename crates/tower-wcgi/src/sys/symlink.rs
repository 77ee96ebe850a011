//! Symbolic links.

use std::io;
use std::path::Path;

/// Makes a symbolic link.
///
/// # Errors
///
/// The system's; `Unsupported` where a link has to say whether it leads to a directory.
#[cfg(unix)]
pub(crate) fn symlink(target: &Path, at: &Path) -> io::Result<()> {
    std::os::unix::fs::symlink(target, at)
}

#[cfg(not(unix))]
pub(crate) fn symlink(_target: &Path, _at: &Path) -> io::Result<()> {
    Err(io::Error::new(io::ErrorKind::Unsupported, "symbolic links are not supported on this system"))
}
