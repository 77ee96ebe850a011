//! What a start-up could see of the read-only mounts: which files there were, and where links led.
//!
//! In: the mounts of a package that is opened. Out: whether a link leads elsewhere by now, and what scripts are told of the time
//! at which a file was changed. A snapshot remembers both, and no request may be answered by what is not so any more.

use std::collections::HashMap;
use std::fs::{self, Metadata};
use std::io;
use std::path::{Path, PathBuf};

use super::look::{FileId, id};
use crate::mount::{Access, Mount};
use crate::sys;

/// The files and links of the read-only mounts at one time. Nothing is in it where there is no snapshot.
#[derive(Debug, Default)]
pub(crate) struct Seen {
    files: HashMap<u64, File>,
    links: Vec<(PathBuf, PathBuf)>,
}

#[derive(Debug, Clone, Copy)]
struct File {
    /// By the kernel's clock, in nanoseconds since 1970.
    changed: u64,
    /// Made of its path: nanoseconds.
    fraction: u64,
}

impl Seen {
    /// What is there now. What cannot be read, a guest cannot read either.
    pub(crate) fn of(mounts: &[Mount]) -> Self {
        let mut seen = Self::default();
        let writable = mounts.iter().filter(|mount| mount.access == Access::ReadWrite);
        let writable: Vec<_> = writable.filter_map(|mount| fs::canonicalize(&mount.host).ok()).collect();
        for mount in mounts.iter().filter(|mount| mount.access == Access::ReadOnly) {
            let Ok(root) = fs::canonicalize(&mount.host) else { continue };
            let mut pending = vec![root.clone()];
            while let Some(directory) = pending.pop() {
                // It is seen at its own mount, and empty.
                if directory == root || !writable.contains(&directory) {
                    pending.extend(seen.add_directory(&directory, &root, &mount.guest).unwrap_or_default());
                }
            }
        }
        seen
    }

    pub(crate) fn has_links(&self) -> bool {
        !self.links.is_empty()
    }

    /// Whether each link leads where it did. Blocks for as long as the file system does.
    pub(crate) fn links_are_current(&self) -> bool {
        self.links.iter().all(|(link, target)| fs::read_link(link).is_ok_and(|now| now == *target))
    }

    /// What scripts are told as the time at which a file was changed in any way. Nothing for a file that was not there: they are
    /// told when it was made. Times are nanoseconds since 1970, and `changed` is nothing where that is not known.
    ///
    /// The time of an unchanged file is made of its path and its time of modification. A copy of the package has both as well. So
    /// a copy finds its snapshot right, and a new file at that path has another time.
    pub(crate) fn change_time(&self, file: FileId, modified: u64, changed: Option<u64>) -> Option<u64> {
        let seen = self.files.get(&file.0)?;
        let edited = changed.filter(|changed| *changed != seen.changed);
        Some(edited.unwrap_or_else(|| (modified - modified % SECOND).saturating_add(seen.fraction)))
    }

    /// Gives the directories in `directory`.
    fn add_directory(&mut self, directory: &Path, root: &Path, guest: &str) -> io::Result<Vec<PathBuf>> {
        let mut directories = Vec::new();
        for entry in fs::read_dir(directory)?.flatten() {
            let Ok(metadata) = entry.metadata() else { continue };
            let path = entry.path();
            if metadata.is_dir() {
                directories.push(path);
            } else if metadata.is_symlink() {
                if let Ok(target) = fs::read_link(&path) {
                    self.links.push((path, target));
                }
            } else if let Some((file, changed)) = identity(&metadata) {
                let below = path.strip_prefix(root).unwrap_or(&path).as_os_str().as_encoded_bytes();
                let fraction = fraction(&[guest.trim_end_matches('/').as_bytes(), b"/", below].concat());
                // Of the names of one file always the same one, in whatever order they come.
                let known = self.files.entry(file.0).or_insert(File { changed, fraction });
                known.fraction = known.fraction.min(fraction);
            }
        }
        Ok(directories)
    }
}

/// Less than a second, in nanoseconds, for a path. Packages have it in their snapshots: it must stay the same.
fn fraction(path: &[u8]) -> u64 {
    let hash = blake3::hash(path);
    let first = hash.as_bytes().first_chunk().map_or(0, |bytes| u64::from_le_bytes(*bytes));
    first % SECOND
}

fn identity(metadata: &Metadata) -> Option<(FileId, u64)> {
    let (device, inode) = sys::device_and_inode(metadata)?;
    Some((id(device, inode), u64::try_from(sys::changed(metadata)?.as_nanos()).ok()?))
}

const SECOND: u64 = 1_000_000_000;

#[cfg(test)]
#[cfg(unix)]
mod tests {
    use std::os::unix::fs::{MetadataExt, symlink};

    use super::*;

    /// The files of a directory and its copy, each with the time of change that scripts are told.
    fn told(seen: &Seen, path: &Path) -> Option<u64> {
        let metadata = fs::metadata(path).unwrap();
        let (file, changed) = identity(&metadata).unwrap();
        let modified = u64::try_from(metadata.mtime()).unwrap() * SECOND;
        seen.change_time(file, modified, Some(changed))
    }

    fn release(root: &Path, content: &str) {
        fs::create_dir_all(root).unwrap();
        for name in ["a.php", "b.php"] {
            fs::write(root.join(name), content).unwrap();
            let file = fs::File::options().write(true).open(root.join(name)).unwrap();
            file.set_modified(std::time::UNIX_EPOCH + std::time::Duration::from_secs(1)).unwrap();
        }
    }

    fn seen(host: &Path) -> Seen {
        Seen::of(&[Mount { guest: "/app".to_owned(), host: host.to_owned(), access: Access::ReadOnly }])
    }

    #[test]
    fn a_copy_has_the_times_of_its_original_and_an_edit_others() {
        let dir = tempfile::tempdir().unwrap();
        let [one, two] = ["one", "two"].map(|name| dir.path().join(name));
        release(&one, "1");
        release(&two, "2");
        let (first, copy) = (seen(&one), seen(&two));
        for name in ["a.php", "b.php"] {
            let time = told(&first, &one.join(name)).unwrap();
            assert_eq!(told(&copy, &two.join(name)), Some(time), "{name}");
            assert_eq!(time / SECOND, 1);
        }
        assert_ne!(told(&first, &one.join("a.php")), told(&first, &one.join("b.php")));

        // Of the same size and time, edited in place; and another in its place.
        let before = told(&first, &one.join("a.php"));
        release(&one, "3");
        assert_ne!(told(&first, &one.join("a.php")), before);
        fs::rename(two.join("b.php"), one.join("b.php")).unwrap();
        assert_eq!(told(&first, &one.join("b.php")), None);
    }

    #[test]
    fn a_directory_that_was_renamed_has_other_files() {
        let dir = tempfile::tempdir().unwrap();
        let [old, new, away] = ["old", "new", "away"].map(|name| dir.path().join(name));
        release(&old, "1");
        release(&new, "2");
        let seen = seen(dir.path());
        let before = told(&seen, &old.join("a.php"));
        fs::rename(&old, &away).unwrap();
        fs::rename(&new, &old).unwrap();
        assert!(before.is_some() && told(&seen, &old.join("a.php")) != before);
    }

    #[test]
    fn links_are_noticed_when_they_lead_elsewhere_or_are_gone() {
        let dir = tempfile::tempdir().unwrap();
        for name in ["1", "2"] {
            release(&dir.path().join(name), name);
        }
        let link = dir.path().join("current");
        assert!(!seen(dir.path()).has_links());
        symlink("1", &link).unwrap();
        let first = seen(dir.path());
        assert!(first.has_links() && first.links_are_current());
        symlink("2", dir.path().join("next")).unwrap();
        fs::rename(dir.path().join("next"), &link).unwrap();
        assert!(!first.links_are_current() && seen(dir.path()).links_are_current());
        fs::remove_file(&link).unwrap();
        assert!(!first.links_are_current());
    }

    #[test]
    fn writable_mounts_are_not_seen() {
        let dir = tempfile::tempdir().unwrap();
        let data = dir.path().join("data");
        release(&data, "1");
        let mount = |guest: &str, host: &Path, access| Mount { guest: guest.to_owned(), host: host.to_owned(), access };
        let seen =
            Seen::of(&[mount("/app", dir.path(), Access::ReadOnly), mount("/app/data", &data, Access::ReadWrite)]);
        assert_eq!(told(&seen, &data.join("a.php")), None);
    }
}
