//! Unpacking: from the running file to a directory that the library can open.
//!
//! The directory is private, and gone when the program ends. One that a killed program leaves is removed by the next server
//! on this machine, as it looks like the library's own temporary directories: a name and a locked file.

use std::fs::{self, File};
use std::io::{self, Read as _, Seek as _, SeekFrom};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use anyhow::Context as _;
use tempfile::TempDir;

use super::{MTIME, Trailer};
use crate::report::WithHint;

/// The package of this program.
#[derive(Debug)]
pub(super) struct Unpacked {
    // Removed while it is locked.
    home: TempDir,
    _lock: File,
}

impl Unpacked {
    pub(super) fn path(&self) -> PathBuf {
        self.home.path().join("package")
    }
}

/// Unpacks what is behind the program `file`.
///
/// # Errors
///
/// When there is no room for it, or the file is damaged.
pub(super) fn unpack(file: &mut File, trailer: Trailer) -> anyhow::Result<Unpacked> {
    let home = home(&std::env::temp_dir()).map_err(|source| WithHint {
        message: format!("cannot unpack into {}", std::env::temp_dir().display()),
        hint: "the package needs a folder to unpack into, such as a tmpfs at /tmp, or the one that TMPDIR names",
        source,
    })?;
    let lock = File::create_new(home.path().join("lock")).context("cannot unpack")?;
    // Where files have no locks, no other program finds the directory abandoned either.
    let _ = lock.lock();
    let unpacked = Unpacked { home, _lock: lock };
    let directory = unpacked.path();
    fs::create_dir(&directory).context("cannot unpack")?;
    extract(file, trailer, &directory).context("cannot unpack the package of this program")?;
    Ok(unpacked)
}

/// A private directory in `tmp`, which an empty container does not have.
fn home(tmp: &Path) -> io::Result<TempDir> {
    let mut builder = tempfile::Builder::new();
    builder.prefix("wcgi-run-");
    #[cfg(unix)]
    builder.permissions(<fs::Permissions as std::os::unix::fs::PermissionsExt>::from_mode(0o700));
    builder.tempdir_in(tmp).or_else(|error| match error.kind() {
        io::ErrorKind::NotFound => {
            make_shared(tmp)?;
            builder.tempdir_in(tmp)
        }
        _ => Err(error),
    })
}

#[cfg(unix)]
fn make_shared(tmp: &Path) -> io::Result<()> {
    use std::os::unix::fs::PermissionsExt as _;
    fs::create_dir_all(tmp)?;
    fs::set_permissions(tmp, fs::Permissions::from_mode(0o1777))
}

#[cfg(not(unix))]
fn make_shared(tmp: &Path) -> io::Result<()> {
    fs::create_dir_all(tmp)
}

fn extract(file: &mut File, trailer: Trailer, directory: &Path) -> io::Result<()> {
    let mut content = file.try_clone()?;
    file.seek(SeekFrom::Start(trailer.offset))?;
    // The program's own archive has files, directories and links, as `write` has put them there.
    let mut archive = tar::Archive::new(io::BufReader::with_capacity(HEADERS, file.take(trailer.length)));
    let mut directories = Vec::new();
    let mut contents = Vec::new();
    for entry in archive.entries()? {
        let mut entry = entry?;
        let modified = modified(&mut entry)?;
        let kind = entry.header().entry_type();
        if kind.is_file() {
            contents.push((entry.path()?.into_owned(), entry.raw_file_position(), entry.size(), modified));
            continue;
        }
        if !entry.unpack_in(directory)? {
            return Err(io::Error::other("the package has a path that leads out of it"));
        }
        if kind.is_dir() {
            directories.push((directory.join(entry.path()?), modified));
        }
    }
    for (path, position, size, modified) in contents {
        // By the kernel, without a copy in this process.
        content.seek(SeekFrom::Start(trailer.offset + position))?;
        let mut to = File::create_new(directory.join(path))?;
        let copied = io::copy(&mut (&content).take(size), &mut to)?;
        if copied != size {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        to.set_modified(modified)?;
    }
    // After their contents, which change the time too.
    directories.iter().rev().try_for_each(|(path, modified)| File::open(path)?.set_modified(*modified))
}

/// Seconds and a fraction since 1970, as an extended header says, else the plain one.
fn modified<R: io::Read>(entry: &mut tar::Entry<'_, R>) -> io::Result<SystemTime> {
    let plain = Duration::from_secs(entry.header().mtime()?);
    let said = entry.pax_extensions()?.into_iter().flatten().flatten().find(|extension| extension.key() == Ok(MTIME));
    let exact = said.and_then(|extension| {
        let (seconds, nanoseconds) = extension.value().ok()?.split_once('.')?;
        Some(Duration::new(seconds.parse().ok()?, nanoseconds.parse().ok().filter(|n| *n < 1_000_000_000)?))
    });
    Ok(SystemTime::UNIX_EPOCH + exact.unwrap_or(plain))
}

/// Enough for the headers of some files; contents are read past it.
const HEADERS: usize = 16 << 10;
