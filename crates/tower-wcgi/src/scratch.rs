//! Temporary directories. Those of a killed process are removed soon.
//!
//! In: a prefix. Out: an empty directory for this user alone, removed when it is dropped. All directories of a process lie in one
//! directory with a lock that the process holds. The kernel releases the lock of a killed process. A process that gets the lock may
//! then remove that directory.

use std::fs::{self, File};
use std::io;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError, Weak};

use tempfile::TempDir;

/// A temporary directory.
#[derive(Debug)]
pub(crate) struct Scratch {
    // Removed before the directory it lies in.
    dir: TempDir,
    _home: Arc<Home>,
}

impl Scratch {
    /// Makes one whose name begins with `prefix`.
    ///
    /// # Errors
    ///
    /// Fails if the host refuses.
    pub(crate) fn new(prefix: &str) -> io::Result<Self> {
        let home = {
            let mut current = HOME.lock().unwrap_or_else(PoisonError::into_inner);
            match current.upgrade() {
                Some(home) => home,
                None => {
                    let home = Arc::new(Home::new(&std::env::temp_dir())?);
                    *current = Arc::downgrade(&home);
                    home
                }
            }
        };
        let dir = builder(prefix).tempdir_in(home.dir.path())?;
        Ok(Self { dir, _home: home })
    }

    pub(crate) fn path(&self) -> &Path {
        self.dir.path()
    }
}

/// Removes the files that killed processes have left in the temporary directory of this one.
pub(crate) fn sweep() {
    sweep_in(&std::env::temp_dir());
}

fn sweep_in(tmp: &Path) {
    // If the temporary directory cannot be read, its next user will report it.
    for entry in fs::read_dir(tmp).into_iter().flatten().flatten() {
        if !entry.file_name().as_encoded_bytes().starts_with(PREFIX.as_bytes()) {
            continue;
        }
        let path = entry.path();
        // Directories of other users are neither opened nor removed. Nobody can replace our own.
        if !entry.metadata().is_ok_and(|metadata| metadata.is_dir() && is_own(&metadata)) {
            continue;
        }
        let removed = match File::open(path.join(LOCK)) {
            Ok(lock) if lock.try_lock().is_ok() => fs::remove_dir_all(&path),
            Ok(_) => continue,
            // Its process has not taken the lock yet and will begin anew, or was killed before that.
            Err(_) => fs::remove_dir(&path),
        };
        match removed {
            Ok(()) => {
                tracing::info!(path = %path.display(), "removed the temporary files of a process that was killed")
            }
            Err(error) => tracing::debug!(path = %path.display(), %error, "cannot remove abandoned temporary files"),
        }
    }
}

/// The directory of this process's temporary directories, as long as there are any.
static HOME: Mutex<Weak<Home>> = Mutex::new(Weak::new());

#[derive(Debug)]
struct Home {
    // Removed while it is locked.
    dir: TempDir,
    _lock: File,
}

impl Home {
    fn new(tmp: &Path) -> io::Result<Self> {
        loop {
            let dir = builder(PREFIX).tempdir_in(tmp)?;
            let path = dir.path().join(LOCK);
            let lock = match File::create_new(&path) {
                // Another process has found it before it was locked.
                Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
                lock => lock?,
            };
            // If files have no locks, no process finds it abandoned either.
            let _ = lock.lock();
            if path.exists() {
                return Ok(Self { dir, _lock: lock });
            }
        }
    }
}

fn builder(prefix: &str) -> tempfile::Builder<'_, 'static> {
    let mut builder = tempfile::Builder::new();
    builder.prefix(prefix);
    #[cfg(unix)]
    builder.permissions(<fs::Permissions as std::os::unix::fs::PermissionsExt>::from_mode(0o700));
    builder
}

#[cfg(unix)]
fn is_own(metadata: &fs::Metadata) -> bool {
    std::os::unix::fs::MetadataExt::uid(metadata) == rustix::process::geteuid().as_raw()
}

#[cfg(not(unix))]
fn is_own(_: &fs::Metadata) -> bool {
    true
}

const PREFIX: &str = "wcgi-run-";
const LOCK: &str = "lock";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_killed_process_left_is_removed_and_nothing_else() {
        let tmp = tempfile::tempdir().unwrap();
        let living = Home::new(tmp.path()).unwrap();
        let Home { dir, _lock } = Home::new(tmp.path()).unwrap();
        drop(_lock);
        let killed = dir.keep();
        fs::create_dir_all(killed.join("tmp/deep")).unwrap();
        fs::write(killed.join("tmp/deep/file"), "left").unwrap();
        // Killed before it had a lock; one that is no directory; one of somebody else's making.
        let [early, file, other] = ["wcgi-run-early", "wcgi-run-file", "other"].map(|name| tmp.path().join(name));
        fs::create_dir(&early).unwrap();
        fs::write(&file, "").unwrap();
        fs::create_dir(&other).unwrap();
        sweep_in(tmp.path());
        assert_eq!([&killed, &early].map(|path| path.exists()), [false; 2]);
        assert!(living.dir.path().join(LOCK).exists() && file.exists() && other.exists());
    }

    #[cfg(unix)]
    #[test]
    fn links_and_directories_of_others_are_left_alone() {
        use std::os::unix::fs::{chown, symlink};
        let (tmp, outside) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let kept = outside.path().join("kept");
        fs::create_dir(&kept).unwrap();
        fs::write(kept.join(LOCK), "").unwrap();
        symlink(&kept, tmp.path().join("wcgi-run-link")).unwrap();
        let others = tmp.path().join("wcgi-run-others");
        fs::create_dir(&others).unwrap();
        fs::write(others.join(LOCK), "").unwrap();
        // Only root can give things away.
        let is_root = chown(&others, Some(12345), None).is_ok();
        sweep_in(tmp.path());
        assert!(kept.join(LOCK).exists());
        assert_eq!(others.exists(), is_root);
    }

    #[test]
    fn directories_are_private_and_the_last_one_takes_all_with_it() {
        let (one, two) = (Scratch::new("a-").unwrap(), Scratch::new("b-").unwrap());
        let home = one.path().parent().unwrap().to_owned();
        assert_eq!(two.path().parent(), Some(&*home));
        #[cfg(unix)]
        for path in [&home, one.path(), two.path()] {
            let mode = std::os::unix::fs::MetadataExt::mode(&fs::metadata(path).unwrap());
            assert_eq!(mode & 0o777, 0o700, "{}", path.display());
        }
        drop(one);
        assert!(two.path().exists());
        drop(two);
        assert!(!home.exists());
    }
}
