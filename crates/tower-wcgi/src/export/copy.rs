//! Copies of mounts: the same files with the same times, because a start-up may have kept the times.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::path::{Path, PathBuf};

use crate::error::{Error, ErrorKind};
use crate::mount::Mount;
use crate::sys;

/// Number and size of the copied files.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Copied {
    pub(super) count: usize,
    pub(super) bytes: u64,
}

/// Each mount with the place of its files, below a package.
pub(super) type Places<'m> = Vec<(&'m Mount, String)>;

/// Copies `mounts` into `package`, and gives the place of each. Directories that lie in each other are copied once.
pub(super) fn mounts<'m>(mounts: &[&'m Mount], package: &Path) -> Result<(Places<'m>, Copied), Error> {
    let mut hosts = Vec::new();
    for &mount in mounts {
        hosts.push((fs::canonicalize(&mount.host).map_err(|error| cannot_read(&mount.host, error))?, mount));
    }
    // Directories before their contents.
    hosts.sort_by(|(one, _), (other, _)| one.cmp(other));
    let (mut copied, mut placed) = (Copied::default(), BTreeMap::<PathBuf, String>::new());
    let mut copies = Vec::new();
    for (host, mount) in hosts {
        let around = host.ancestors().find_map(|above| Some((above, placed.get(above)?)));
        let place = match around {
            Some((above, place)) => match host.strip_prefix(above).ok().and_then(Path::to_str) {
                Some("") => place.clone(),
                Some(below) => format!("{place}/{below}"),
                None => return Err(Error::new(ErrorKind::Package, format!("{} is not UTF-8", host.display()))),
            },
            None => {
                let name = mount.guest.trim_matches('/').replace('/', "-");
                let mut place = format!("files/{}", if name.is_empty() { "root" } else { &name });
                while placed.values().any(|taken| *taken == place) {
                    place.push('-');
                }
                fs::create_dir_all(package.join("files")).map_err(|error| cannot_write(package, error))?;
                copied.add(&host, &package.join(&place))?;
                placed.insert(host, place.clone());
                place
            }
        };
        copies.push((mount, place));
    }
    Ok((copies, copied))
}

impl Copied {
    /// Copies the file, link or directory `from` with all that is in it.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Package`] if it holds anything else, or cannot be read. [`ErrorKind::Host`] if the copy cannot
    /// be written.
    pub(super) fn add(&mut self, from: &Path, to: &Path) -> Result<(), Error> {
        let metadata = fs::symlink_metadata(from).map_err(|error| cannot_read(from, error))?;
        if metadata.is_symlink() {
            self.count += 1;
            let target = fs::read_link(from).map_err(|error| cannot_read(from, error))?;
            return sys::symlink(&target, to).map_err(|error| cannot_write(to, error));
        }
        if metadata.is_dir() {
            fs::create_dir(to).map_err(|error| cannot_write(to, error))?;
            for entry in fs::read_dir(from).map_err(|error| cannot_read(from, error))? {
                let entry = entry.map_err(|error| cannot_read(from, error))?;
                self.add(&entry.path(), &to.join(entry.file_name()))?;
            }
        } else if metadata.is_file() {
            self.count += 1;
            self.bytes += fs::copy(from, to).map_err(|error| cannot_write(to, error))?;
        } else {
            let why = format!("{} is neither a file nor a directory", from.display());
            return Err(Error::new(ErrorKind::Package, why));
        }
        // After its contents, which change the time too.
        let modified = metadata.modified().map_err(|error| cannot_read(from, error))?;
        File::open(to).and_then(|copy| copy.set_modified(modified)).map_err(|error| cannot_write(to, error))
    }
}

fn cannot_read(path: &Path, error: std::io::Error) -> Error {
    Error::new(ErrorKind::Package, format!("cannot read {}", path.display())).with_source(error)
}

pub(super) fn cannot_write(path: &Path, error: std::io::Error) -> Error {
    Error::new(ErrorKind::Host, format!("cannot write {}", path.display())).with_source(error)
}
