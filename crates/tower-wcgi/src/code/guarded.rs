//! A folder that only this user and root can change, held open.
//!
//! In: a path. Out: the folder, or who else could change what is in it. Each folder on the way is opened from the one above
//! it, without following links, and judged by its own descriptor. So nothing can be put in its place between the look and
//! the use. The rules are those of sshd for its keys, and a parent may also be sticky, as `/tmp` is.

use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};

use cap_std::fs::{Dir, DirBuilder};

#[derive(Debug)]
pub(crate) struct GuardedDir {
    dir: Dir,
    /// For messages.
    path: PathBuf,
}

impl GuardedDir {
    /// Opens the folder at `path`.
    ///
    /// # Errors
    ///
    /// [`io::ErrorKind::PermissionDenied`] with a message that names the culprit when somebody else can change the folder, one
    /// above it, or a link on the way.
    pub(crate) fn open(path: &Path) -> io::Result<Self> {
        Ok(Self { dir: walk(path, false)?, path: path.to_owned() })
    }

    /// The same. Folders that are not there are made, for their owner alone.
    ///
    /// # Errors
    ///
    /// As for [`open`](Self::open), and when a folder cannot be made.
    pub(crate) fn create(path: &Path) -> io::Result<Self> {
        Ok(Self { dir: walk(path, true)?, path: path.to_owned() })
    }

    /// The folder `name` in it.
    ///
    /// # Errors
    ///
    /// As for [`open`](Self::open).
    pub(crate) fn folder(&self, name: &str) -> io::Result<Self> {
        let path = self.path.join(name);
        Ok(Self { dir: open_folder(&self.dir, name, &path)?, path })
    }

    /// The same. It is made if it is not there.
    ///
    /// # Errors
    ///
    /// As for [`create`](Self::create).
    pub(crate) fn create_folder(&self, name: &str) -> io::Result<Self> {
        match self.dir.create_dir_with(name, &private()) {
            Err(error) if error.kind() != io::ErrorKind::AlreadyExists => Err(error),
            _ => self.folder(name),
        }
    }

    /// Opens the regular file `name` in it to be read.
    ///
    /// # Errors
    ///
    /// As for [`open`](Self::open), and when it is not a regular file.
    pub(crate) fn file(&self, name: &str) -> io::Result<File> {
        let file = open_file(&self.dir, name)?;
        if !file.metadata()?.is_file() {
            return Err(io::Error::other("it is not a regular file"));
        }
        check(&file, &self.path.join(name), Use::Content)?;
        Ok(file)
    }

    /// Makes a new file in it, for its owner alone.
    ///
    /// # Errors
    ///
    /// Fails if there is one of that name, or the host refuses.
    pub(crate) fn new_file(&self, name: &str) -> io::Result<File> {
        let mut options = cap_std::fs::OpenOptions::new();
        options.write(true).create_new(true);
        #[cfg(unix)]
        cap_std::fs::OpenOptionsExt::mode(&mut options, 0o600);
        Ok(self.dir.open_with(name, &options)?.into_std())
    }

    /// Moves the file `name` to `new_name` in `folder`, in place of what is there.
    ///
    /// # Errors
    ///
    /// Fails if the host refuses.
    pub(crate) fn rename(&self, name: &str, folder: &Self, new_name: &str) -> io::Result<()> {
        self.dir.rename(name, &folder.dir, new_name)
    }

    pub(crate) fn has(&self, name: &str) -> bool {
        self.dir.symlink_metadata(name).is_ok()
    }

    /// # Errors
    ///
    /// Fails if the host refuses.
    pub(crate) fn remove_file(&self, name: &str) -> io::Result<()> {
        self.dir.remove_file(name)
    }

    /// The names in it that end with `.` and `extension`.
    ///
    /// # Errors
    ///
    /// Fails if it cannot be read.
    pub(crate) fn names(&self, extension: &str) -> io::Result<Vec<String>> {
        let is_wanted = |name: &String| Path::new(name).extension().is_some_and(|found| found == extension);
        let names = self.dir.entries()?.flatten().filter_map(|entry| entry.file_name().into_string().ok());
        Ok(names.filter(is_wanted).collect())
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }
}

/// What something on the way to a file is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Use {
    /// A folder above: in a sticky one, nobody can replace what belongs to somebody else.
    #[cfg_attr(not(unix), expect(dead_code, reason = "only Unix judges by owner and mode"))]
    Passage,
    /// The folder itself, or a file in it.
    Content,
}

fn private() -> DirBuilder {
    #[cfg_attr(not(unix), expect(unused_mut, reason = "there are no modes"))]
    let mut builder = DirBuilder::new();
    #[cfg(unix)]
    cap_std::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder
}

#[cfg(unix)]
fn walk(path: &Path, create: bool) -> io::Result<Dir> {
    use std::os::fd::OwnedFd;
    use std::os::unix::ffi::OsStrExt as _;
    use std::path::Component;

    use rustix::fs::{AtFlags, CWD, FileType, Mode, OFlags, mkdirat, openat, readlinkat, statat};
    use rustix::io::Errno;

    let names = |path: &Path| -> Vec<PathBuf> {
        let named = |part: &Component<'_>| matches!(part, Component::Normal(_) | Component::ParentDir);
        path.components().filter(named).map(|part| PathBuf::from(part.as_os_str())).rev().collect()
    };
    let root = || -> io::Result<OwnedFd> { Ok(openat(CWD, "/", PASS, Mode::empty())?) };
    let path = std::path::absolute(path)?;
    // The next name last.
    let mut rest = names(&path);
    let (mut dir, mut at) = (root()?, PathBuf::from("/"));
    let mut links = 0;
    loop {
        check(&dir, &at, if rest.is_empty() { Use::Content } else { Use::Passage })?;
        let Some(name) = rest.pop() else { break };
        let next = match openat(&dir, &name, PASS, Mode::empty()) {
            Err(Errno::NOENT) if create => {
                match mkdirat(&dir, &name, Mode::RWXU) {
                    Ok(()) | Err(Errno::EXIST) => {}
                    Err(error) => return Err(error.into()),
                }
                openat(&dir, &name, PASS, Mode::empty())
            }
            next => next,
        };
        match next {
            Ok(next) => {
                dir = next;
                if name.as_os_str() == ".." { _ = at.pop() } else { at.push(&name) }
            }
            // A link, or something that is no folder. The folder it is in has been judged: only the link's owner, who is judged
            // too, and the folder's can replace it between these calls.
            Err(error @ (Errno::LOOP | Errno::NOTDIR | Errno::MLINK)) => {
                let found = statat(&dir, &name, AtFlags::SYMLINK_NOFOLLOW)?;
                if FileType::from_raw_mode(found.st_mode) != FileType::Symlink || links == MOST_LINKS {
                    return Err(error.into());
                }
                links += 1;
                check_owner(found.st_uid, &at.join(&name))?;
                let target = readlinkat(&dir, &name, Vec::new())?;
                let target = Path::new(std::ffi::OsStr::from_bytes(target.as_bytes()));
                rest.extend(names(target));
                if target.is_absolute() {
                    (dir, at) = (root()?, PathBuf::from("/"));
                }
            }
            Err(error) => return Err(error.into()),
        }
    }
    // What was passed through may not be read.
    let readable = openat(&dir, ".", OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty())?;
    Ok(Dir::from_std_file(readable.into()))
}

/// Whether only this user and root can change `file`, which lies at `path`.
#[cfg(unix)]
fn check(file: impl std::os::fd::AsFd, path: &Path, what: Use) -> io::Result<()> {
    use rustix::fs::Mode;
    let found = rustix::fs::fstat(file)?;
    check_owner(found.st_uid, path)?;
    let mode = Mode::from_raw_mode(found.st_mode);
    if mode.intersects(Mode::WGRP | Mode::WOTH) && !(what == Use::Passage && mode.contains(Mode::SVTX)) {
        let (path, mode) = (path.display(), mode.as_raw_mode() & 0o7777);
        return Err(refused(format!("others can write to {path}, whose mode is {mode:04o}; `chmod go-w` it")));
    }
    Ok(())
}

#[cfg(unix)]
fn check_owner(owner: u32, path: &Path) -> io::Result<()> {
    let user = rustix::process::geteuid().as_raw();
    if owner == 0 || owner == user {
        return Ok(());
    }
    let path = path.display();
    Err(refused(format!("{path} belongs to user {owner}, who is neither root nor the user {user} of this process")))
}

#[cfg(unix)]
fn refused(message: String) -> io::Error {
    io::Error::new(io::ErrorKind::PermissionDenied, message)
}

#[cfg(unix)]
fn open_folder(dir: &Dir, name: &str, path: &Path) -> io::Result<Dir> {
    use rustix::fs::{Mode, OFlags, openat};
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let opened = openat(dir, name, flags, Mode::empty())?;
    check(&opened, path, Use::Content)?;
    Ok(Dir::from_std_file(opened.into()))
}

#[cfg(unix)]
fn open_file(dir: &Dir, name: &str) -> io::Result<File> {
    use rustix::fs::{Mode, OFlags, openat};
    // A pipe of that name would wait for a writer.
    let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
    Ok(openat(dir, name, flags, Mode::empty())?.into())
}

/// A folder on the way needs to be passed through, not to be read.
#[cfg(target_os = "linux")]
const PASS: rustix::fs::OFlags = PASS_UNREAD.union(rustix::fs::OFlags::PATH);
#[cfg(all(unix, not(target_os = "linux")))]
const PASS: rustix::fs::OFlags = PASS_UNREAD;
#[cfg(unix)]
const PASS_UNREAD: rustix::fs::OFlags =
    rustix::fs::OFlags::DIRECTORY.union(rustix::fs::OFlags::NOFOLLOW).union(rustix::fs::OFlags::CLOEXEC);
/// As many as Linux follows.
#[cfg(unix)]
const MOST_LINKS: u32 = 40;

/// Elsewhere access lists say who may write, and the user's own folders are the user's.
#[cfg(not(unix))]
fn walk(path: &Path, create: bool) -> io::Result<Dir> {
    if create {
        std::fs::create_dir_all(path)?;
    }
    Dir::open_ambient_dir(path, cap_std::ambient_authority())
}

#[cfg(not(unix))]
fn check(_file: &File, _path: &Path, _what: Use) -> io::Result<()> {
    Ok(())
}

#[cfg(not(unix))]
fn open_folder(dir: &Dir, name: &str, _path: &Path) -> io::Result<Dir> {
    dir.open_dir(name)
}

#[cfg(not(unix))]
fn open_file(dir: &Dir, name: &str) -> io::Result<File> {
    Ok(dir.open(name)?.into_std())
}

#[cfg(target_os = "linux")]
#[cfg(test)]
mod tests {
    use std::fs::{self, Permissions};
    use std::os::unix::fs::{PermissionsExt, chown, symlink};

    use super::*;

    fn set_mode(path: &Path, mode: u32) {
        fs::set_permissions(path, Permissions::from_mode(mode)).unwrap();
    }

    /// Why the folder at `path` is refused.
    fn refusal(path: &Path) -> String {
        let error = GuardedDir::open(path).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::PermissionDenied, "{error}");
        error.to_string()
    }

    #[test]
    fn a_folder_that_others_can_write_is_refused_and_named() {
        let dir = tempfile::tempdir().unwrap();
        let (above, cache) = (dir.path().join("above"), dir.path().join("above/cache"));
        GuardedDir::create(&cache).unwrap();
        for (path, mode) in [(&cache, 0o777), (&cache, 0o770), (&cache, 0o707), (&cache, 0o1777), (&above, 0o777)] {
            set_mode(path, mode);
            let refusal = refusal(&cache);
            assert!(refusal.contains(&format!("{}, whose mode is {mode:04o}", path.display())), "{refusal}");
            assert!(GuardedDir::create(&cache).is_err(), "{mode:o}");
            set_mode(path, 0o755);
            GuardedDir::open(&cache).unwrap();
        }
        // Nobody can replace what is somebody else's there.
        set_mode(&above, 0o1777);
        GuardedDir::open(&cache).unwrap();
        // It is enough to pass through.
        set_mode(&above, 0o711);
        GuardedDir::open(&cache.join("../cache/.")).unwrap();
    }

    #[test]
    fn links_are_followed_and_judged_like_folders() {
        let dir = tempfile::tempdir().unwrap();
        let real = dir.path().join("open/cache");
        GuardedDir::create(&real).unwrap();
        symlink("open/../open/cache", dir.path().join("relative")).unwrap();
        symlink(&real, dir.path().join("absolute")).unwrap();
        symlink("loop", dir.path().join("loop")).unwrap();
        fs::write(dir.path().join("file"), "").unwrap();
        for name in ["relative", "absolute", "absolute/"] {
            let path = dir.path().join(name);
            set_mode(&dir.path().join("open"), 0o755);
            GuardedDir::open(&path).unwrap();
            set_mode(&dir.path().join("open"), 0o777);
            assert!(refusal(&path).contains("/open, "), "{name}");
        }
        for name in ["loop", "file", "absent"] {
            assert!(GuardedDir::open(&dir.path().join(name)).is_err(), "{name}");
        }
    }

    #[test]
    fn what_belongs_to_somebody_else_is_refused() {
        // Only root can give things away.
        if !rustix::process::geteuid().is_root() {
            return;
        }
        let dir = tempfile::tempdir().unwrap();
        let cache = dir.path().join("cache");
        let guarded = GuardedDir::create(&cache).unwrap();
        fs::create_dir(cache.join("entry")).unwrap();
        fs::write(cache.join("entry/file"), "").unwrap();
        symlink("cache", dir.path().join("link")).unwrap();
        guarded.folder("entry").unwrap().file("file").unwrap();

        chown(cache.join("entry/file"), Some(STRANGER), None).unwrap();
        let refused = guarded.folder("entry").unwrap().file("file").unwrap_err();
        assert!(refused.to_string().contains("entry/file belongs to user 12345"), "{refused}");
        chown(cache.join("entry"), Some(STRANGER), None).unwrap();
        let refused = guarded.create_folder("entry").unwrap_err();
        assert!(refused.to_string().contains("entry belongs to user 12345"), "{refused}");

        std::os::unix::fs::lchown(dir.path().join("link"), Some(STRANGER), None).unwrap();
        assert!(refusal(&dir.path().join("link")).contains("link belongs to"));
        GuardedDir::open(&cache).unwrap();
        chown(&cache, Some(STRANGER), None).unwrap();
        assert!(refusal(&cache).contains("cache belongs to"));
    }

    #[test]
    fn files_are_regular_and_nobody_elses_to_write() {
        let dir = tempfile::tempdir().unwrap();
        let guarded = GuardedDir::open(dir.path()).unwrap();
        let path = dir.path().join("file");
        fs::write(&path, "").unwrap();
        guarded.file("file").unwrap();
        set_mode(&path, 0o666);
        assert!(guarded.file("file").unwrap_err().to_string().contains("mode is 0666"));
        set_mode(&path, 0o644);
        symlink("file", dir.path().join("link")).unwrap();
        fs::create_dir(dir.path().join("folder")).unwrap();
        symlink("folder", dir.path().join("folder-link")).unwrap();
        rustix::fs::mknodat(
            rustix::fs::CWD,
            dir.path().join("pipe"),
            rustix::fs::FileType::Fifo,
            rustix::fs::Mode::RWXU,
            0,
        )
        .unwrap();
        for name in ["link", "folder", "pipe", "absent"] {
            assert!(guarded.file(name).is_err(), "{name}");
        }
        assert!(guarded.folder("folder-link").is_err());
    }

    const STRANGER: u32 = 12345;
}
