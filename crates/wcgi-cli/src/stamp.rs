//! Whether files are what they were: by time, length and inode, without reading them.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

/// Files as they were at one moment.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Stamp(Vec<(PathBuf, Option<Facts>)>);

#[derive(Debug, Clone, PartialEq, Eq)]
struct Facts {
    modified: Option<SystemTime>,
    length: u64,
    inode: u64,
}

impl Stamp {
    /// Of these files as they are now, also of those that are not there.
    pub(crate) fn of(paths: impl IntoIterator<Item = PathBuf>) -> Self {
        Self(paths.into_iter().map(|path| (path.clone(), facts(&path))).collect())
    }

    /// Of files that were read since `begin`: one that was written then may have been read before that.
    pub(crate) fn since(begin: SystemTime, paths: impl IntoIterator<Item = PathBuf>) -> Self {
        let Self(mut files) = Self::of(paths);
        for (_, facts) in &mut files {
            if facts.as_ref().and_then(|facts| facts.modified).is_some_and(|modified| modified + CLOCK >= begin) {
                // Unlike every file.
                *facts = Some(Facts { modified: None, length: u64::MAX, inode: u64::MAX });
            }
        }
        Self(files)
    }

    pub(crate) fn is_current(&self) -> bool {
        self.0.iter().all(|(path, then)| *then == facts(path))
    }

    pub(crate) fn paths(&self) -> impl Iterator<Item = &Path> {
        self.0.iter().map(|(path, _)| path.as_path())
    }
}

/// A package that is a file, or the files at the top of one that is a directory.
pub(crate) fn files_of(package: &Path) -> Vec<PathBuf> {
    match package.read_dir() {
        Ok(entries) => entries.flatten().map(|entry| entry.path()).filter(|path| !path.is_dir()).take(MOST).collect(),
        Err(_) => vec![package.to_owned()],
    }
}

fn facts(path: &Path) -> Option<Facts> {
    let metadata = fs::metadata(path).ok()?;
    #[cfg(unix)]
    let inode = std::os::unix::fs::MetadataExt::ino(&metadata);
    #[cfg(not(unix))]
    let inode = 0;
    Some(Facts { modified: metadata.modified().ok(), length: metadata.len(), inode })
}

/// What else lies in a package's directory is data.
const MOST: usize = 1000;
/// How far a file system's clock may lag behind.
const CLOCK: Duration = Duration::from_millis(100);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_that_is_written_replaced_or_removed_is_another() {
        let dir = tempfile::tempdir().unwrap();
        let (file, other) = (dir.path().join("file"), dir.path().join("other"));
        fs::write(&file, "1").unwrap();
        let stamp = || Stamp::of([file.clone()]);
        let old = stamp();
        assert!(old.is_current() && old == stamp());
        fs::write(&file, "22").unwrap();
        assert!(!old.is_current());
        let old = stamp();
        fs::write(&other, "22").unwrap();
        fs::rename(&other, &file).unwrap();
        assert!(!old.is_current());
        let old = stamp();
        fs::remove_file(&file).unwrap();
        assert!(!old.is_current());
        assert!(stamp().is_current());
    }

    #[test]
    fn what_was_written_while_it_was_read_is_not_known() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("file");
        let begin = SystemTime::now();
        fs::write(&file, "1").unwrap();
        assert!(!Stamp::since(begin, [file.clone()]).is_current());
        assert!(Stamp::since(begin + Duration::from_secs(60), [file]).is_current());
    }
}
