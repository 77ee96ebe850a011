//! Unpacking an archive that comes from somewhere else.
//!
//! Every name is checked to stay below the root. Links are made when all files are there, so nothing is written through
//! one. No link that leads out is left behind.

use std::ffi::OsStr;
use std::fs::{self, OpenOptions};
use std::io::{self, Read, Write as _};
use std::path::{Component, Path, PathBuf};

use tar::{Archive, Entry, EntryType, PaxExtensions};

use super::MAX_DEPTH;
use crate::digest::BUFFER;
use crate::error::{self, Error, ErrorKind, content};
use crate::options::Limits;

/// How much more may be unpacked of one package.
#[derive(Debug)]
pub(crate) struct Budget {
    bytes: u64,
    files: u64,
    limits: Limits,
}

impl Budget {
    pub(crate) fn new(limits: Limits) -> Self {
        Self { bytes: limits.package_bytes, files: limits.files, limits }
    }

    pub(crate) fn spend_bytes(&mut self, bytes: u64) -> Result<(), Error> {
        self.bytes = self.bytes.checked_sub(bytes).ok_or_else(|| {
            let message = format!("the package has more than {} bytes unpacked", self.limits.package_bytes);
            Error::new(ErrorKind::Limit, message).with_hint("--max-package raises the limit")
        })?;
        Ok(())
    }

    fn spend_file(&mut self) -> Result<(), Error> {
        self.files = self.files.checked_sub(1).ok_or_else(|| {
            let message = format!("the package has more than {} files", self.limits.files);
            Error::new(ErrorKind::Limit, message).with_hint("--max-files raises the limit")
        })?;
        Ok(())
    }
}

/// Unpacks the archive into `root`, an empty directory. Gives the names of the links that led nowhere and were left out.
///
/// # Errors
///
/// When the archive is damaged, hostile or too large, or when writing fails. What was written stays.
pub(crate) fn unpack(archive: impl Read, root: &Path, budget: &mut Budget) -> Result<Vec<PathBuf>, Error> {
    let damaged = |error: io::Error| content("the archive of a mount is damaged").with_source(error);
    let mut decoder = zstd::Decoder::new(archive).map_err(damaged)?.single_frame();
    decoder.window_log_max(budget.limits.window_log()).map_err(damaged)?;
    // Headers and padding count too: an archive of nothing but those would never end.
    let most = budget.bytes.saturating_add(budget.files.saturating_mul(BLOCKS_OF_A_FILE * 512)).saturating_add(1 << 20);
    let mut archive = Archive::new(decoder.take(most));
    let mut unpacker = Unpacker { root, budget, links: Vec::new(), path: None, link: None };
    // Raw: the crate would read long names into memory, however long they are.
    for entry in archive.entries().map_err(damaged)?.raw(true) {
        unpacker.entry(&mut entry.map_err(damaged)?)?;
    }
    unpacker.link()
}

struct Unpacker<'a> {
    root: &'a Path,
    budget: &'a mut Budget,
    links: Vec<(PathBuf, PathBuf)>,
    /// What an entry before says of the next one's name and target.
    path: Option<Vec<u8>>,
    link: Option<Vec<u8>>,
}

impl Unpacker<'_> {
    fn entry(&mut self, entry: &mut Entry<'_, impl Read>) -> Result<(), Error> {
        let kind = entry.header().entry_type();
        match kind {
            EntryType::GNULongName => {
                self.path = Some(without_nul(extension(entry)?));
                return Ok(());
            }
            EntryType::GNULongLink => {
                self.link = Some(without_nul(extension(entry)?));
                return Ok(());
            }
            EntryType::XHeader => return self.pax(&extension(entry)?),
            EntryType::XGlobalHeader => return extension(entry).map(drop),
            _ => {}
        }
        let name = self.path.take().unwrap_or_else(|| entry.path_bytes().into_owned());
        let target = self.link.take().or_else(|| entry.link_name_bytes().map(|target| target.into_owned()));
        let Some(name) = plain(&name)? else { return Ok(()) };
        self.budget.spend_file()?;
        let path = self.root.join(&name);
        match kind {
            EntryType::Directory => self.directory(&path),
            EntryType::Regular | EntryType::Continuous => {
                self.directory(path.parent().unwrap_or(self.root))?;
                let executable = entry.header().mode().is_ok_and(|mode| mode & 0o111 != 0);
                self.file(entry, &path, executable)
            }
            EntryType::Symlink => {
                self.directory(path.parent().unwrap_or(self.root))?;
                let target = os_path(&target.unwrap_or_default())?;
                if target.has_root() || target.as_os_str().is_empty() {
                    return Err(self.leads_out(&path));
                }
                self.links.push((path, target));
                Ok(())
            }
            EntryType::Link => {
                self.directory(path.parent().unwrap_or(self.root))?;
                let Some(target) = plain(&target.unwrap_or_default())? else { return Err(self.leads_out(&path)) };
                // There are no symbolic links yet that could lead elsewhere.
                fs::hard_link(self.root.join(target), &path).map_err(|error| self.failure(&path, error))
            }
            _ => Err(content(format!("{name:?} in the archive of a mount is a device or something else than a file"))),
        }
    }

    fn pax(&mut self, records: &[u8]) -> Result<(), Error> {
        for record in PaxExtensions::new(records) {
            let record = record.map_err(|error| content("the archive of a mount is damaged").with_source(error))?;
            match record.key_bytes() {
                b"path" => self.path = Some(record.value_bytes().to_vec()),
                b"linkpath" => self.link = Some(record.value_bytes().to_vec()),
                b"size" => return Err(content("the archive of a mount has a file of more than 8 GiB")),
                key if key.starts_with(b"GNU.sparse.") => {
                    return Err(content("the archive of a mount has sparse files, which are not supported"));
                }
                _ => {}
            }
        }
        Ok(())
    }

    /// Makes the directory and those above it, as far as they are not there.
    fn directory(&mut self, path: &Path) -> Result<(), Error> {
        fs::create_dir_all(path).map_err(|error| self.failure(path, error))
    }

    fn file(&mut self, content: &mut impl Read, path: &Path, executable: bool) -> Result<(), Error> {
        let mut options = OpenOptions::new();
        // Fails where something is already: a name that is there twice overwrites nothing.
        options.write(true).create_new(true);
        #[cfg(unix)]
        {
            use std::os::unix::fs::OpenOptionsExt as _;
            options.mode(if executable { 0o755 } else { 0o644 });
        }
        #[cfg(not(unix))]
        let _ = executable;
        let mut file = options.open(path).map_err(|error| self.failure(path, error))?;
        let mut buffer = vec![0; BUFFER];
        loop {
            let read = content.read(&mut buffer);
            let read = read.map_err(|error| error::content("the archive of a mount is damaged").with_source(error))?;
            if read == 0 {
                return Ok(());
            }
            self.budget.spend_bytes(read as u64)?;
            file.write_all(buffer.get(..read).unwrap_or_default()).map_err(|error| self.failure(path, error))?;
        }
    }

    /// Makes the links, then removes those that lead nowhere and refuses all for one that leads out. A look at the text of
    /// a link is not enough, as it may lead through another one.
    fn link(self) -> Result<Vec<PathBuf>, Error> {
        for (path, target) in &self.links {
            symlink(target, path).map_err(|error| self.failure(path, error))?;
        }
        let root = fs::canonicalize(self.root).map_err(|error| self.failure(self.root, error))?;
        let mut nowhere = Vec::new();
        for (path, _) in &self.links {
            match fs::canonicalize(path) {
                Ok(real) if real.starts_with(&root) => {}
                Ok(_) => return Err(self.leads_out(path)),
                Err(_) => {
                    fs::remove_file(path).map_err(|error| self.failure(path, error))?;
                    nowhere.push(path.strip_prefix(self.root).unwrap_or(path).to_owned());
                }
            }
        }
        Ok(nowhere)
    }

    fn leads_out(&self, path: &Path) -> Error {
        content(format!("the link {:?} in the archive of a mount leads out of it", self.shown(path)))
    }

    fn failure(&self, path: &Path, error: io::Error) -> Error {
        let shown = self.shown(path);
        match error.kind() {
            io::ErrorKind::AlreadyExists | io::ErrorKind::NotADirectory => {
                content(format!("{shown:?} is twice in the archive of a mount")).with_source(error)
            }
            io::ErrorKind::NotFound => {
                content(format!("the link {shown:?} in the archive of a mount leads to no file")).with_source(error)
            }
            _ => error::store("cannot unpack the archive of a mount", error),
        }
    }

    fn shown<'p>(&self, path: &'p Path) -> &'p Path {
        path.strip_prefix(self.root).unwrap_or(path)
    }
}

/// The content of an entry that says something of the next one.
fn extension(entry: &mut Entry<'_, impl Read>) -> Result<Vec<u8>, Error> {
    let mut bytes = Vec::new();
    let read = entry.take(LARGEST_EXTENSION + 1).read_to_end(&mut bytes);
    read.map_err(|error| content("the archive of a mount is damaged").with_source(error))?;
    if bytes.len() as u64 > LARGEST_EXTENSION {
        return Err(content("the archive of a mount has a name that is too long"));
    }
    Ok(bytes)
}

fn without_nul(mut bytes: Vec<u8>) -> Vec<u8> {
    let end = bytes.iter().position(|byte| *byte == 0).unwrap_or(bytes.len());
    bytes.truncate(end);
    bytes
}

/// A name as a path below the root; nothing for the root itself.
fn plain(name: &[u8]) -> Result<Option<PathBuf>, Error> {
    let path = os_path(name)?;
    let mut plain = PathBuf::new();
    for component in path.components() {
        match component {
            Component::Normal(segment) => plain.push(segment),
            Component::CurDir => {}
            Component::ParentDir | Component::RootDir | Component::Prefix(_) => {
                return Err(content(format!("the name {path:?} in the archive of a mount leads out of it")));
            }
        }
    }
    if plain.components().count() > MAX_DEPTH {
        return Err(content("directories in the archive of a mount are nested too deeply"));
    }
    Ok((!plain.as_os_str().is_empty()).then_some(plain))
}

fn os_path(bytes: &[u8]) -> Result<PathBuf, Error> {
    if bytes.contains(&0) {
        return Err(content("a name in the archive of a mount contains a NUL"));
    }
    #[cfg(unix)]
    {
        use std::os::unix::ffi::OsStrExt as _;
        Ok(PathBuf::from(OsStr::from_bytes(bytes)))
    }
    #[cfg(not(unix))]
    {
        let text = std::str::from_utf8(bytes).map_err(|_| content("a name in the archive of a mount is not UTF-8"))?;
        Ok(PathBuf::from(OsStr::new(text)))
    }
}

#[cfg(unix)]
fn symlink(target: &Path, path: &Path) -> io::Result<()> {
    std::os::unix::fs::symlink(target, path)
}

#[cfg(not(unix))]
fn symlink(_target: &Path, _path: &Path) -> io::Result<()> {
    Err(io::Error::new(io::ErrorKind::Unsupported, "symbolic links in packages are not supported on this system"))
}

/// Headers, padding, a long name and a long target.
const BLOCKS_OF_A_FILE: u64 = 16;
const LARGEST_EXTENSION: u64 = 16 << 10;
