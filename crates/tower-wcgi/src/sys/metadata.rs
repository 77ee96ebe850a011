//! What a system says of a file besides what `std` has.

use std::fs::Metadata;
use std::time::Duration;

/// The numbers of the file's file system and of the file in it. Only Unix has these.
#[cfg(unix)]
pub(crate) fn device_and_inode(metadata: &Metadata) -> Option<(u64, u64)> {
    use std::os::unix::fs::MetadataExt;
    Some((metadata.dev(), metadata.ino()))
}

#[cfg(not(unix))]
pub(crate) fn device_and_inode(_metadata: &Metadata) -> Option<(u64, u64)> {
    None
}

/// How many names the file has.
#[cfg(unix)]
pub(crate) fn links(metadata: &Metadata) -> u64 {
    std::os::unix::fs::MetadataExt::nlink(metadata)
}

#[cfg(not(unix))]
pub(crate) fn links(_metadata: &Metadata) -> u64 {
    1
}

/// When anything about the file was changed, since 1970 and by the kernel's clock, where there is such a time.
#[cfg(unix)]
pub(crate) fn changed(metadata: &Metadata) -> Option<Duration> {
    use std::os::unix::fs::MetadataExt;
    let nanoseconds = u32::try_from(metadata.ctime_nsec()).unwrap_or_default();
    Some(Duration::new(u64::try_from(metadata.ctime()).ok()?, nanoseconds))
}

#[cfg(not(unix))]
pub(crate) fn changed(_metadata: &Metadata) -> Option<Duration> {
    None
}

/// Whether every user may write it, where the system can tell.
#[cfg(unix)]
pub(crate) fn is_writable_by_all(metadata: &Metadata) -> bool {
    std::os::unix::fs::MetadataExt::mode(metadata) & 0o002 != 0
}

#[cfg(not(unix))]
pub(crate) fn is_writable_by_all(_metadata: &Metadata) -> bool {
    false
}
