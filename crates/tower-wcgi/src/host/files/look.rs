//! One look at the file that a path below a directory leads to. It finds all that a stat needs in three calls to the kernel;
//! wasmtime-wasi makes six. That matters to programs that look for hundreds of files in each request, as PHP does.

use std::fs::File;
use std::hash::{DefaultHasher, Hash as _, Hasher as _};

use crate::sys;

/// Which file, whatever its path.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct FileId(pub(crate) u64);

/// What a look finds.
pub(crate) enum Look {
    Found(Found),
    NotThere,
}

/// What is there. Times are nanoseconds since 1970, 0 when they are not known.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Found {
    pub(crate) kind: FileKind,
    pub(crate) id: FileId,
    pub(crate) links: u64,
    pub(crate) size: u64,
    pub(crate) accessed: u64,
    pub(crate) modified: u64,
    pub(crate) created: u64,
    /// When anything about it was changed.
    pub(crate) changed: u64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum FileKind {
    File,
    Directory,
    Link,
    /// A pipe, a device, a socket.
    Special,
}

/// Looks at what `path` leads to without leaving `directory`. Nothing where it takes more than a look to tell: a link that
/// leads out of it, a kernel that cannot do this.
#[cfg(target_os = "linux")]
pub(crate) fn look(directory: &File, path: &[u8], follow: bool) -> Option<Look> {
    use rustix::fs::{AtFlags, FileType, Mode, OFlags, ResolveFlags, StatxFlags, StatxTimestamp, openat2, statx};
    use rustix::io::Errno;

    let flags = OFlags::PATH | OFlags::CLOEXEC | if follow { OFlags::empty() } else { OFlags::NOFOLLOW };
    let resolve = ResolveFlags::BENEATH | ResolveFlags::NO_MAGICLINKS;
    let found = match openat2(directory, path, flags, Mode::empty(), resolve) {
        Ok(found) => found,
        Err(Errno::NOENT) => return Some(Look::NotThere),
        Err(_) => return None,
    };
    let stat = statx(found, "", AtFlags::EMPTY_PATH, StatxFlags::BASIC_STATS | StatxFlags::BTIME).ok()?;
    let nanoseconds = |time: StatxTimestamp| {
        let seconds = u64::try_from(time.tv_sec).unwrap_or_default();
        seconds.saturating_mul(1_000_000_000).saturating_add(time.tv_nsec.into())
    };
    let knows_creation = stat.stx_mask & StatxFlags::BTIME.bits() != 0;
    Some(Look::Found(Found {
        kind: match FileType::from_raw_mode(stat.stx_mode.into()) {
            FileType::RegularFile => FileKind::File,
            FileType::Directory => FileKind::Directory,
            FileType::Symlink => FileKind::Link,
            _ => FileKind::Special,
        },
        id: id(rustix::fs::makedev(stat.stx_dev_major, stat.stx_dev_minor), stat.stx_ino),
        links: stat.stx_nlink.into(),
        size: stat.stx_size,
        accessed: nanoseconds(stat.stx_atime),
        modified: nanoseconds(stat.stx_mtime),
        created: if knows_creation { nanoseconds(stat.stx_btime) } else { 0 },
        changed: nanoseconds(stat.stx_ctime),
    }))
}

#[cfg(not(target_os = "linux"))]
pub(crate) fn look(_directory: &File, _path: &[u8], _follow: bool) -> Option<Look> {
    None
}

/// Which file is open.
pub(crate) fn file_id(file: &File) -> Option<FileId> {
    let (device, inode) = sys::device_and_inode(&file.metadata().ok()?)?;
    Some(id(device, inode))
}

/// As wasmtime-wasi makes it, which tells scripts the one of an open file: some compare the two.
pub(crate) fn id(device: u64, inode: u64) -> FileId {
    let mut hasher = DefaultHasher::new();
    (device, inode).hash(&mut hasher);
    FileId(hasher.finish())
}

#[cfg(test)]
#[cfg(unix)]
mod tests {
    use wasmtime_wasi::filesystem::WasiFilesystemView as _;
    use wasmtime_wasi::p1::wasi_snapshot_preview1::WasiSnapshotPreview1 as _;
    use wasmtime_wasi::p2::bindings::filesystem::preopens::Host as _;
    use wasmtime_wasi::p2::bindings::filesystem::types::HostDescriptor as _;
    use wasmtime_wasi::{FsPerms, WasiCtxBuilder};
    use wiggle::GuestMemory;

    use super::*;

    /// Turns and locks compare what is looked up here with what wasmtime-wasi says, and so do scripts.
    #[tokio::test]
    async fn a_file_has_the_identity_that_wasmtime_wasi_gives_it() {
        let dir = tempfile::tempdir().unwrap();
        let open = File::open(dir.path()).unwrap();
        let ours = file_id(&open).unwrap();
        let mut builder = WasiCtxBuilder::new();
        builder.allow_blocking_current_thread(true).preopened_dir(dir.path(), "/d", FsPerms::ReadOnly).unwrap();
        let mut wasi = builder.build_p1();
        let stat = wasi.fd_filestat_get(&mut GuestMemory::Unshared(&mut []), 3_u32.into()).await.unwrap();
        assert_eq!(FileId(stat.ino), ours, "preview 1");
        let (handle, _) = wasi.filesystem().get_directories().unwrap().remove(0);
        let hash = wasi.filesystem().metadata_hash(handle).await.unwrap();
        assert_eq!(FileId(hash.lower), ours, "0.2");
        #[cfg(target_os = "linux")]
        match look(&open, b".", true) {
            Some(Look::Found(found)) => assert_eq!(found.id, ours),
            Some(Look::NotThere) | None => panic!("the directory is there"),
        }
    }
}
