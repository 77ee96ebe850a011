//! Packing a directory.

use std::fs::{self, File, Metadata};
use std::io::{self, Read as _, Write};
use std::path::{Component, Path, PathBuf};

use tar::{Builder, EntryType, Header};

use super::MAX_DEPTH;
use crate::error::{Error, ErrorKind, package};
use crate::options::Limits;

/// Writes the files below `root`.
///
/// # Errors
///
/// When a file cannot be read, is neither file, directory nor link, or a link leads out of `root`; when there are more
/// files or bytes than allowed.
pub(crate) fn pack(root: &Path, limits: &Limits, out: impl Write) -> Result<(), Error> {
    let entries = entries(root, limits)?;
    let real_root = fs::canonicalize(root).map_err(|error| cannot("read", root, error))?;
    let writing = |error: io::Error| package(format!("cannot pack {}", root.display())).with_source(error);
    let mut encoder = zstd::Encoder::new(out, LEVEL).map_err(writing)?;
    encoder.include_checksum(true).map_err(writing)?;
    let mut builder = Builder::new(encoder);
    let mut left = limits.package_bytes;
    for (name, metadata) in &entries {
        let path = root.join(name);
        let mut header = Header::new_gnu();
        header.set_mtime(0);
        header.set_uid(0);
        header.set_gid(0);
        if metadata.is_dir() {
            header.set_entry_type(EntryType::Directory);
            header.set_mode(0o755);
            header.set_size(0);
            builder.append_data(&mut header, name, io::empty()).map_err(writing)?;
        } else if metadata.is_symlink() {
            let target = fs::read_link(&path).map_err(|error| cannot("read", &path, error))?;
            if leads_out(&real_root, &path, name, &target) {
                let message = format!("the link {} leads out of {}", path.display(), root.display());
                return Err(package(message).with_hint("put a copy of its target in its place"));
            }
            header.set_entry_type(EntryType::Symlink);
            header.set_mode(0o644);
            header.set_size(0);
            builder.append_link(&mut header, name, &target).map_err(writing)?;
        } else {
            let file = File::open(&path).map_err(|error| cannot("read", &path, error))?;
            let length = metadata.len();
            left = left.checked_sub(length).ok_or_else(|| too_large(root, limits))?;
            header.set_entry_type(EntryType::Regular);
            header.set_mode(if is_executable(metadata) { 0o755 } else { 0o644 });
            header.set_size(length);
            let mut content = Whole { file: file.take(length), left: length };
            builder.append_data(&mut header, name, &mut content).map_err(|error| cannot("pack", &path, error))?;
        }
    }
    builder.into_inner().and_then(zstd::Encoder::finish).map_err(writing)?;
    Ok(())
}

/// All that is below `root`, parents first, in the order of their bytes.
fn entries(root: &Path, limits: &Limits) -> Result<Vec<(PathBuf, Metadata)>, Error> {
    let mut entries: Vec<(PathBuf, Metadata)> = Vec::new();
    let mut pending = vec![(PathBuf::new(), 0_usize)];
    while let Some((directory, depth)) = pending.pop() {
        let shown = root.join(&directory);
        if depth > MAX_DEPTH {
            return Err(package(format!("{}: directories are nested too deeply", shown.display())));
        }
        for entry in fs::read_dir(&shown).map_err(|error| cannot("read", &shown, error))? {
            let entry = entry.map_err(|error| cannot("read", &shown, error))?;
            let name = directory.join(entry.file_name());
            let metadata = entry.metadata().map_err(|error| cannot("read", &entry.path(), error))?;
            if metadata.is_dir() {
                pending.push((name.clone(), depth + 1));
            } else if !metadata.is_file() && !metadata.is_symlink() {
                let message = format!("{} is neither a file, a directory nor a link", entry.path().display());
                return Err(package(message).with_hint("pipes, sockets and devices cannot be in a package"));
            }
            if entries.len() as u64 >= limits.files {
                let message = format!("{} has more than {} files", root.display(), limits.files);
                return Err(Error::new(ErrorKind::Limit, message).with_hint("--max-files raises the limit"));
            }
            entries.push((name, metadata));
        }
    }
    entries.sort_by(|(a, _), (b, _)| a.as_os_str().as_encoded_bytes().cmp(b.as_os_str().as_encoded_bytes()));
    Ok(entries)
}

/// Whether a link leads out of the root, or names a place by its path on this machine. One that leads nowhere is judged
/// by its text.
fn leads_out(real_root: &Path, path: &Path, name: &Path, target: &Path) -> bool {
    if target.has_root() {
        return true;
    }
    if let Ok(real) = fs::canonicalize(path) {
        return !real.starts_with(real_root);
    }
    let mut depth = name.components().count().saturating_sub(1);
    for component in target.components() {
        match component {
            Component::Normal(_) => depth += 1,
            Component::CurDir => {}
            Component::ParentDir if depth > 0 => depth -= 1,
            Component::ParentDir | Component::RootDir | Component::Prefix(_) => return true,
        }
    }
    false
}

/// A file that has to have the length that was announced: it may be written to meanwhile.
struct Whole {
    file: io::Take<File>,
    left: u64,
}

impl io::Read for Whole {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.file.read(buffer)?;
        if read == 0 && self.left > 0 && !buffer.is_empty() {
            return Err(io::Error::new(io::ErrorKind::UnexpectedEof, "it became shorter while it was read"));
        }
        self.left = self.left.saturating_sub(read as u64);
        Ok(read)
    }
}

#[cfg(unix)]
fn is_executable(metadata: &Metadata) -> bool {
    use std::os::unix::fs::PermissionsExt as _;
    metadata.permissions().mode() & 0o111 != 0
}

#[cfg(not(unix))]
fn is_executable(_metadata: &Metadata) -> bool {
    false
}

fn too_large(root: &Path, limits: &Limits) -> Error {
    let message = format!("{} has more than {} bytes", root.display(), limits.package_bytes);
    Error::new(ErrorKind::Limit, message).with_hint("--max-package raises the limit")
}

fn cannot(what: &str, path: &Path, error: io::Error) -> Error {
    package(format!("cannot {what} {}", path.display())).with_source(error)
}

/// Twice as fast as what is a tenth smaller.
const LEVEL: i32 = 9;
