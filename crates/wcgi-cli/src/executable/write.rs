//! Writing: a copy of this program with a package behind it.

use std::fs::{self, File};
use std::io::{self, Seek as _, Write as _};
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use anyhow::Context as _;
use tempfile::NamedTempFile;

use super::{MTIME, Trailer};
use crate::report::WithHint;

/// Where an executable will be.
#[derive(Debug)]
pub(crate) struct Target {
    path: PathBuf,
    directory: PathBuf,
}

impl Target {
    /// # Errors
    ///
    /// When there is something at `path` that is no executable of this kind.
    pub(crate) fn new(path: &Path) -> anyhow::Result<Self> {
        let is_ours = |mut file: File| matches!(Trailer::read(&mut file), Ok(Some(_)));
        if path.symlink_metadata().is_ok() && !(path.is_file() && File::open(path).is_ok_and(is_ours)) {
            let source = io::Error::from(io::ErrorKind::AlreadyExists);
            let message = format!("cannot write {}", path.display());
            return Err(WithHint { message, hint: "nothing was changed; choose another name", source }.into());
        }
        let directory = path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
        Ok(Self { path: path.to_owned(), directory: directory.to_owned() })
    }

    /// Writes this program, and the package in `package` without its writable mounts. Gives the size.
    ///
    /// # Errors
    ///
    /// When a file cannot be read or written.
    pub(crate) fn write(&self, package: &Path, left_out: &[PathBuf], max_memory: u64) -> anyhow::Result<u64> {
        let cannot = || format!("cannot write {}", self.path.display());
        let program = std::env::current_exe().context("this program cannot find itself")?;
        let mut program = File::open(&program).with_context(|| format!("cannot read {}", program.display()))?;
        let file = NamedTempFile::new_in(&self.directory).with_context(cannot)?;
        let offset = io::copy(&mut program, &mut file.as_file()).with_context(cannot)?;
        let mut archive = tar::Builder::new(file.as_file());
        add_all(&mut archive, package, Path::new(""), left_out)
            .and_then(|()| archive.into_inner().map(drop))
            .with_context(cannot)?;
        let mut file = file;
        let end = file.as_file_mut().stream_position().with_context(cannot)?;
        let trailer = Trailer { offset, length: end - offset, max_memory };
        file.write_all(&trailer.bytes()).with_context(cannot)?;
        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt as _;
            file.as_file().set_permissions(fs::Permissions::from_mode(0o755)).with_context(cannot)?;
        }
        file.persist(&self.path).with_context(cannot)?;
        Ok(end)
    }
}

/// Adds what is in `directory` below the root, in order, with its times.
fn add_all(archive: &mut tar::Builder<&File>, root: &Path, directory: &Path, left_out: &[PathBuf]) -> io::Result<()> {
    let mut entries = fs::read_dir(root.join(directory))?.collect::<io::Result<Vec<_>>>()?;
    entries.sort_by_key(fs::DirEntry::file_name);
    for entry in entries {
        let path = directory.join(entry.file_name());
        if left_out.contains(&path) {
            continue;
        }
        let metadata = entry.metadata()?;
        let modified = metadata.modified()?.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        let exact = format!("{}.{:09}", modified.as_secs(), modified.subsec_nanos());
        archive.append_pax_extensions([(MTIME, exact.as_bytes())])?;
        let mut header = tar::Header::new_gnu();
        header.set_mtime(modified.as_secs());
        if metadata.is_dir() {
            header.set_entry_type(tar::EntryType::Directory);
            header.set_mode(0o755);
            header.set_size(0);
            archive.append_data(&mut header, &path, io::empty())?;
            add_all(archive, root, &path, left_out)?;
        } else if metadata.is_symlink() {
            header.set_entry_type(tar::EntryType::Symlink);
            header.set_mode(0o777);
            header.set_size(0);
            archive.append_link(&mut header, &path, fs::read_link(root.join(&path))?)?;
        } else {
            header.set_mode(0o644);
            header.set_size(metadata.len());
            archive.append_data(&mut header, &path, File::open(root.join(&path))?)?;
        }
    }
    Ok(())
}
