//! Unpacking: the volumes of a `.webc` as directories of the host.
//!
//! In: a container and the names of the volumes that are mounted. Out: their directories. Every name must be one plain path
//! segment. Nothing is written through a link. No link that leads out of its volume stays.

use std::collections::BTreeMap;
use std::fs::{self, OpenOptions};
use std::io::{self, Write};
use std::path::{Component, Path, PathBuf};
use std::time::SystemTime;

use ::webc::{Container, Metadata, PathSegments, Volume};

use crate::error::Error;
use crate::package::refuse::refuse;
use crate::scratch::Scratch;
use crate::sys;

/// Unpacks each volume once, into its own directory.
pub(super) struct Unpacker {
    pub(super) directory: Scratch,
    pub(super) warnings: Vec<String>,
    file: String,
    done: BTreeMap<String, PathBuf>,
    /// The time of change that every file gets.
    modified: SystemTime,
    /// How much more may be unpacked. In an honest file every entry and every byte takes its own room. So the output cannot be
    /// larger than the file. Directories that contain themselves, or each other twice, end here.
    budget_bytes: usize,
}

impl Unpacker {
    /// An unpacker for `file`, which has `file_bytes` and was changed at `modified`.
    ///
    /// # Errors
    ///
    /// Fails if no temporary directory can be made.
    pub(super) fn new(file: &str, file_bytes: usize, modified: SystemTime) -> Result<Self, Error> {
        let directory = Scratch::new("package-")
            .map_err(|error| refuse(format!("{file}: cannot make a directory to unpack into")).with_source(error))?;
        let (file, done, warnings) = (file.to_owned(), BTreeMap::new(), Vec::new());
        Ok(Self { directory, warnings, file, done, modified, budget_bytes: file_bytes })
    }

    /// The directory that `volume`, or the directory `within` it (a normalised absolute path), was unpacked into.
    ///
    /// # Errors
    ///
    /// Fails if there is no such volume or directory, the volume is hostile, or writing fails.
    pub(super) fn directory_of(
        &mut self,
        container: &Container,
        volume: &str,
        within: Option<&str>,
    ) -> Result<PathBuf, Error> {
        let root = match self.done.get(volume) {
            Some(root) => root.clone(),
            None => {
                let found = container.get_volume(volume);
                let Some(found) = found else { return Err(damaged(&self.file, &format!("no volume {volume:?}"))) };
                // A name of our own: the volume's name comes from the file, and often has slashes.
                let root = self.directory.path().join(self.done.len().to_string());
                self.unpack(&found, &root)?;
                self.done.insert(volume.to_owned(), root.clone());
                root
            }
        };
        let directory = root.join(within.unwrap_or("/").trim_start_matches('/'));
        if within.is_some() && !(stays_inside(&root, &directory).unwrap_or(false) && directory.is_dir()) {
            let within = within.unwrap_or("/");
            return Err(damaged(&self.file, &format!("no directory {within:?} in volume {volume:?}")));
        }
        Ok(directory)
    }

    fn unpack(&mut self, volume: &Volume, root: &Path) -> Result<(), Error> {
        let mut links: Vec<(PathBuf, String)> = Vec::new();
        let mut pending = vec![(PathSegments::ROOT, root.to_owned(), 0_usize)];
        while let Some((path, directory, depth)) = pending.pop() {
            if depth > MAX_DEPTH {
                return Err(damaged(&self.file, "directories are nested too deeply"));
            }
            fs::create_dir(&directory).map_err(|error| self.failure(&directory, error))?;
            let Some(entries) = volume.read_dir(&path) else {
                return Err(damaged(&self.file, &format!("cannot read the directory {path}")));
            };
            for (name, _, metadata) in entries {
                if !is_plain(&name) {
                    return Err(damaged(&self.file, &format!("{name:?} in {path} is not a file name")));
                }
                let target = directory.join(name.as_str());
                let entry = path.join(name);
                let unreadable = || damaged(&self.file, &format!("cannot read {entry}"));
                match metadata {
                    Metadata::Dir { .. } => {
                        self.spend(ENTRY_BYTES)?;
                        pending.push((entry, target, depth + 1));
                    }
                    Metadata::File { .. } => {
                        let (content, _) = volume.read_file(&entry).ok_or_else(unreadable)?;
                        self.spend(content.len().saturating_add(ENTRY_BYTES))?;
                        // Fails if the file exists: a repeated name overwrites nothing.
                        let created = OpenOptions::new().write(true).create_new(true).open(&target);
                        created
                            .and_then(|mut file| {
                                file.write_all(&content).and_then(|()| file.set_modified(self.modified))
                            })
                            .map_err(|error| self.failure(&target, error))?;
                    }
                    Metadata::Symlink { .. } => {
                        let (link, _) = volume.read_link(&entry).ok_or_else(unreadable)?;
                        self.spend(link.len().saturating_add(ENTRY_BYTES))?;
                        links.push((target, link));
                    }
                }
            }
        }
        self.link(root, &links)
    }

    /// Makes the links after everything else. Then removes links that lead nowhere, and refuses the volume if
    /// a link leads out. The text of a link alone does not tell: it may lead through another link.
    fn link(&mut self, root: &Path, links: &[(PathBuf, String)]) -> Result<(), Error> {
        for (path, target) in links {
            if Path::new(target).has_root() {
                return Err(self.leads_out(root, path));
            }
            sys::symlink(Path::new(target), path).map_err(|error| self.failure(path, error))?;
        }
        for (path, _) in links {
            match stays_inside(root, path) {
                Ok(true) => {}
                Ok(false) => return Err(self.leads_out(root, path)),
                Err(_) => {
                    let shown = path.strip_prefix(root).unwrap_or(path);
                    self.warnings.push(format!("{}: the link {shown:?} leads nowhere, left out", self.file));
                    fs::remove_file(path).map_err(|error| self.failure(path, error))?;
                }
            }
        }
        Ok(())
    }

    fn leads_out(&self, root: &Path, path: &Path) -> Error {
        let shown = path.strip_prefix(root).unwrap_or(path);
        damaged(&self.file, &format!("the link {shown:?} leads out of its volume"))
    }

    fn spend(&mut self, bytes: usize) -> Result<(), Error> {
        let left = self.budget_bytes.checked_sub(bytes);
        self.budget_bytes = left.ok_or_else(|| damaged(&self.file, "more would come out of it than is in it"))?;
        Ok(())
    }

    fn failure(&self, path: &Path, error: io::Error) -> Error {
        let shown = path.strip_prefix(self.directory.path()).unwrap_or(path).display();
        refuse(format!("{}: cannot unpack {shown}", self.file)).with_source(error)
    }
}

/// Whether it is one plain segment on this host: no `..`, no `/`, no drive, no NUL.
fn is_plain(name: &str) -> bool {
    let mut components = Path::new(name).components();
    let plain = matches!(components.next(), Some(Component::Normal(only)) if only == name);
    plain && components.next().is_none() && !name.contains('\0')
}

/// Whether `path`, every link followed, is `root` or in it.
fn stays_inside(root: &Path, path: &Path) -> io::Result<bool> {
    Ok(fs::canonicalize(path)?.starts_with(fs::canonicalize(root)?))
}

/// The least size of an entry in a file: an offset and the length of a name.
const ENTRY_BYTES: usize = 16;

/// Looking a path up takes a stack frame for each segment.
const MAX_DEPTH: usize = 128;

pub(super) fn damaged(file: &str, why: &str) -> Error {
    refuse(format!("{file}: damaged or not a .webc file: {}", why.lines().next().unwrap_or_default()))
}
