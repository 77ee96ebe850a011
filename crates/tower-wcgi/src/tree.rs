//! The mounts as one tree of files: opens the host's file that a script's path names.
//!
//! In: a guest path, and the mounts of the service. Out: the open file, or none. A path is looked up in the
//! mount where a script would find it, and no link leads out of that mount. Files are opened, never checked and then opened.
//! It must not know HTTP, wasm or tokio.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::fs::{File, Metadata};
use std::io;
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

use cap_std::ambient_authority;
use cap_std::fs::{Dir, OpenOptions};

use crate::error::{Error, ErrorKind};
use crate::mount::{Mount, TMP};
use crate::sys::{self, may_hang};

/// The mounts of a service.
#[derive(Debug)]
pub(crate) struct Tree {
    /// Longest guest path first.
    mounts: Vec<Mount>,
    /// Guest paths of the mounts whose file system may not answer.
    remote: Vec<String>,
}

/// Facts about an open file.
#[derive(Debug)]
pub(crate) struct Facts {
    pub(crate) length: u64,
    /// The time of modification, if the system has it. Every writer of the file can set it to any time.
    pub(crate) modified: Option<SystemTime>,
    /// The time of any change, by the kernel's clock, where there is such a time.
    pub(crate) changed: Option<SystemTime>,
    /// Its number in its file system; 0 where there is none.
    pub(crate) inode: u64,
    pub(crate) now: SystemTime,
    /// Tells the tags of one file's codings apart: empty, or `-br`.
    pub(crate) coding: &'static str,
}

/// A file that a path names.
#[derive(Debug)]
pub(crate) enum Found {
    Directory,
    File(OpenFile),
}

/// What can be told of a path without waiting.
#[cfg_attr(not(target_os = "linux"), expect(dead_code, reason = "other systems wait for everything"))]
enum Known {
    Found(Found),
    Nothing,
}

/// A regular file.
#[derive(Debug)]
pub(crate) struct OpenFile {
    pub(crate) file: File,
    pub(crate) facts: Facts,
    /// Its guest path without links, if links led to it.
    pub(crate) linked: Option<String>,
}

/// Why a path was not opened.
#[derive(Debug)]
pub(crate) enum Failure {
    /// It is below no mount.
    NoMount,
    /// The mount cannot be opened, which is the host's fault.
    Mount(Error),
    Path(io::Error),
}

/// Several look-ups for one request, which opens each mount once.
#[derive(Debug)]
pub(crate) struct Lookup<'t> {
    tree: &'t Tree,
    dirs: BTreeMap<&'t str, Dir>,
    /// Nothing waits, and nothing is opened for reading.
    at_once: bool,
    /// A look-up would have had to wait.
    gave_up: bool,
    /// How many there were.
    #[cfg(test)]
    pub(crate) count: usize,
}

impl Tree {
    pub(crate) fn new(mounts: Vec<Mount>) -> Self {
        let remote = mounts.iter().filter(|mount| may_hang(&mount.host)).map(|mount| mount.guest.clone()).collect();
        Self { mounts, remote }
    }

    /// Opens `path` as the script would, links and `..` within the mount included. Blocks for as long as the file system
    /// does.
    pub(crate) fn open(&self, path: &str) -> Result<(File, Metadata), Failure> {
        let (mount, below) = self.resolve(path.as_bytes()).ok_or(Failure::NoMount)?;
        let dir = open_mount(mount).map_err(Failure::Mount)?;
        let file = dir.open_with(below, &options()).map_err(Failure::Path)?.into_std();
        let metadata = file.metadata().map_err(Failure::Path)?;
        Ok((file, metadata))
    }

    /// Begins the look-ups of one request.
    ///
    /// Mounts are opened anew for each request, because a deployment may have swapped them.
    pub(crate) fn look(&self) -> Lookup<'_> {
        Lookup {
            tree: self,
            dirs: BTreeMap::new(),
            at_once: false,
            gave_up: false,
            #[cfg(test)]
            count: 0,
        }
    }

    /// The same on a thread that must not wait. It finds only what the kernel has in its caches, and files cannot be read.
    /// If that is not enough, the look-ups [have given up](Lookup::has_given_up), and their results mean nothing.
    pub(crate) fn look_at_once(&self) -> Lookup<'_> {
        Lookup { at_once: true, ..self.look() }
    }

    /// The mount that holds `path`, and the path below it. `..` is left in: the real directories decide where it leads, and it
    /// does not lead out of the mount.
    fn resolve(&self, path: &[u8]) -> Option<(&Mount, PathBuf)> {
        let segments = path.strip_prefix(b"/")?.split(|byte| *byte == b'/');
        let segments = segments.filter(|segment| !matches!(*segment, b"" | b"."));
        let path: Vec<u8> = segments.flat_map(|segment| [&b"/"[..], segment]).flatten().copied().collect();
        let (mount, rest) = self.mounts.iter().find_map(|mount| Some((mount, below(&mount.guest, &path)?)))?;
        // The script's own /tmp hides the host's directory.
        if mount.guest == "/" && below(TMP, &path).is_some() {
            return None;
        }
        Some((mount, host_path(rest.strip_prefix(b"/").unwrap_or(rest))?))
    }
}

impl<'t> Lookup<'t> {
    /// The directory or readable regular file that `path` names. Blocks for as long as the file system
    /// does, but does not wait for the other end of a FIFO.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Host`] if the mount or the path cannot be opened for a reason that is not the path's own.
    pub(crate) fn find(&mut self, path: &[u8]) -> Result<Option<Found>, Error> {
        #[cfg(test)]
        {
            self.count += 1;
        }
        let Some((mount, below)) = self.tree.resolve(path) else { return Ok(None) };
        let below = if below.as_os_str().is_empty() { Path::new(".") } else { &below };
        if self.at_once {
            return Ok(match self.find_at_once(mount, below) {
                Some(Known::Found(found)) => Some(found),
                Some(Known::Nothing) => None,
                None => {
                    self.gave_up = true;
                    None
                }
            });
        }
        let (file, metadata, real) = match find(self.dir(mount)?, below) {
            Ok(found) => found,
            Err(error) if names_nothing(&error) => return Ok(None),
            Err(error) => {
                let Mount { guest, host, .. } = mount;
                let path = String::from_utf8_lossy(path);
                let message = format!("cannot open {path:?} in {} for the mount {guest}", host.display());
                return Err(Error::new(ErrorKind::Host, message).with_source(error));
            }
        };
        if metadata.is_dir() {
            return Ok(Some(Found::Directory));
        }
        let guest = mount.guest.trim_end_matches('/');
        let linked = real.map(|real| format!("{guest}/{}", real.display()));
        Ok(metadata.is_file().then(|| Found::File(OpenFile { file, facts: Facts::of(&metadata), linked })))
    }

    pub(crate) fn has_given_up(&self) -> bool {
        self.gave_up
    }

    /// None if it would have to wait. `RESOLVE_CACHED` walks a path only while no file system is asked, and `O_PATH` opens a file
    /// without asking it. If a file is not readable for everybody, a real open has to try.
    #[cfg(target_os = "linux")]
    fn find_at_once(&mut self, mount: &'t Mount, below: &Path) -> Option<Known> {
        use std::os::unix::fs::PermissionsExt;

        use rustix::fs::{CWD, Mode, OFlags, ResolveFlags, openat2};
        use rustix::io::Errno;
        // The kernel may ask anew even for facts that it knows.
        if self.tree.remote.contains(&mount.guest) {
            return None;
        }
        let flags = OFlags::PATH | OFlags::CLOEXEC;
        let dir = match self.dirs.entry(&mount.guest) {
            Entry::Occupied(opened) => opened.into_mut(),
            Entry::Vacant(place) => {
                let opened = openat2(CWD, &mount.host, flags | OFlags::DIRECTORY, Mode::empty(), ResolveFlags::CACHED);
                place.insert(Dir::from_std_file(opened.ok()?.into()))
            }
        };
        let resolve = ResolveFlags::CACHED | ResolveFlags::BENEATH | ResolveFlags::NO_SYMLINKS;
        let file = match openat2(dir, below, flags, Mode::empty(), resolve) {
            Ok(opened) => File::from(opened),
            Err(Errno::NOENT | Errno::NOTDIR) => return Some(Known::Nothing),
            Err(_) => return None,
        };
        let metadata = file.metadata().ok()?;
        if metadata.is_dir() {
            return Some(Known::Found(Found::Directory));
        }
        let certain = metadata.is_file() && metadata.permissions().mode() & 0o004 != 0;
        certain.then(|| Known::Found(Found::File(OpenFile { file, facts: Facts::of(&metadata), linked: None })))
    }

    #[cfg(not(target_os = "linux"))]
    fn find_at_once(&mut self, _mount: &'t Mount, _below: &Path) -> Option<Known> {
        None
    }

    fn dir(&mut self, mount: &'t Mount) -> Result<&Dir, Error> {
        match self.dirs.entry(&mount.guest) {
            Entry::Occupied(opened) => Ok(opened.into_mut()),
            Entry::Vacant(place) => Ok(place.insert(open_mount(mount)?)),
        }
    }
}

impl Facts {
    pub(crate) fn of(metadata: &Metadata) -> Self {
        let changed = sys::changed(metadata).map(|since| UNIX_EPOCH + since);
        let inode = sys::device_and_inode(metadata).map_or(0, |(_, inode)| inode);
        let (length, modified, now) = (metadata.len(), metadata.modified().ok(), SystemTime::now());
        Self { length, modified, changed, inode, now, coding: "" }
    }
}

fn open_mount(mount: &Mount) -> Result<Dir, Error> {
    Dir::open_ambient_dir(&mount.host, ambient_authority()).map_err(|error| mount.cannot_open(error))
}

/// Opens `path`, and gives its path without links if it has any.
fn find(dir: &Dir, path: &Path) -> io::Result<(File, Metadata, Option<PathBuf>)> {
    let (file, real) = match open_unlinked(dir, path)? {
        Some(file) => (file, None),
        None => {
            let real = dir.canonicalize(path)?;
            let file = open_unlinked(dir, &real)?.ok_or(io::ErrorKind::NotFound)?;
            (file, Some(real))
        }
    };
    let metadata = file.metadata()?;
    Ok((file, metadata, real))
}

/// Opens `path`, unless a symbolic link is on the way: then nothing.
fn open_unlinked(dir: &Dir, path: &Path) -> io::Result<Option<File>> {
    #[cfg(target_os = "linux")]
    {
        use rustix::fs::{Mode, ResolveFlags, openat2};
        use rustix::io::Errno;
        let resolve = ResolveFlags::BENEATH | ResolveFlags::NO_SYMLINKS;
        match openat2(dir, path, flags() | rustix::fs::OFlags::CLOEXEC, Mode::empty(), resolve) {
            Ok(opened) => return Ok(Some(opened.into())),
            Err(Errno::LOOP) => return Ok(None),
            // A kernel or a sandbox has no such call, or something was renamed meanwhile.
            Err(Errno::NOSYS | Errno::PERM | Errno::AGAIN) => {}
            Err(error) => return Err(error.into()),
        }
    }
    walk_unlinked(dir, path)
}

/// The same, step by step. A link that comes in between leads to nothing outside of the mount.
fn walk_unlinked(dir: &Dir, path: &Path) -> io::Result<Option<File>> {
    if dir.canonicalize(path)? != path {
        return Ok(None);
    }
    Ok(Some(dir.open_with(path, &options())?.into_std()))
}

/// Whether the error means that the file does not exist or may not be opened, and not that the host is at its limits.
fn names_nothing(error: &io::Error) -> bool {
    use io::ErrorKind::{InvalidFilename, InvalidInput, NotADirectory, NotFound, PermissionDenied};
    if matches!(error.kind(), NotFound | NotADirectory | PermissionDenied | InvalidFilename | InvalidInput) {
        return true;
    }
    #[cfg(unix)]
    {
        use rustix::io::Errno;
        // A socket, a loop of links, and a link that leads out.
        let names_nothing = [Errno::NXIO, Errno::LOOP, Errno::XDEV].map(Errno::raw_os_error);
        error.raw_os_error().is_some_and(|code| names_nothing.contains(&code))
    }
    #[cfg(not(unix))]
    false
}

/// The part of `path` after `guest`, if it is `guest` or below.
fn below<'a>(guest: &str, path: &'a [u8]) -> Option<&'a [u8]> {
    let rest = path.strip_prefix(guest.trim_end_matches('/').as_bytes())?;
    (rest.is_empty() || rest.starts_with(b"/")).then_some(rest)
}

/// A path of the host, whose names are bytes where the system allows that.
#[cfg(unix)]
fn host_path(path: &[u8]) -> Option<PathBuf> {
    use std::ffi::OsStr;
    use std::os::unix::ffi::OsStrExt;
    Some(OsStr::from_bytes(path).into())
}

#[cfg(not(unix))]
fn host_path(path: &[u8]) -> Option<PathBuf> {
    std::str::from_utf8(path).ok().map(PathBuf::from)
}

fn options() -> OpenOptions {
    let mut options = OpenOptions::new();
    options.read(true);
    #[cfg(unix)]
    {
        use cap_std::fs::OpenOptionsExt;
        options.custom_flags(flags().bits().cast_signed());
    }
    options
}

/// Opening a FIFO would wait for a writer, and a terminal would become this process's own.
#[cfg(unix)]
fn flags() -> rustix::fs::OFlags {
    rustix::fs::OFlags::NONBLOCK | rustix::fs::OFlags::NOCTTY
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::mount::{Access, overlay};

    fn tree(mounts: &[(&str, &Path)]) -> Tree {
        let mount = |&(guest, host): &(&str, &Path)| Mount {
            guest: guest.to_owned(),
            host: host.to_owned(),
            access: Access::ReadOnly,
        };
        Tree::new(overlay(Vec::new(), mounts.iter().map(mount).collect()))
    }

    /// If the kernel cannot do it in one call, the answers are the same.
    #[cfg(unix)]
    #[test]
    fn links_are_noticed_with_and_without_the_kernels_help() {
        use std::fs;
        use std::os::unix::fs::symlink;
        let (root, outside) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        fs::create_dir(root.path().join("dir")).unwrap();
        fs::write(root.path().join("dir/file"), "").unwrap();
        symlink("dir", root.path().join("link")).unwrap();
        symlink("file", root.path().join("dir/link")).unwrap();
        symlink(outside.path(), root.path().join("out")).unwrap();
        symlink("loop", root.path().join("loop")).unwrap();
        let dir = Dir::open_ambient_dir(root.path(), ambient_authority()).unwrap();
        for (path, expected) in [
            (".", Some(true)),
            ("dir", Some(true)),
            ("dir/file", Some(true)),
            ("link", Some(false)),
            ("link/file", Some(false)),
            ("dir/link", Some(false)),
            ("gone", None),
            ("dir/file/x", None),
        ] {
            for open in [open_unlinked, walk_unlinked] {
                match open(&dir, Path::new(path)) {
                    Ok(opened) => assert_eq!(Some(opened.is_some()), expected, "{path}"),
                    Err(error) => assert!(expected.is_none() && names_nothing(&error), "{path}: {error}"),
                }
            }
        }
        for path in ["out", "out/x", "loop", "link/../../x"] {
            assert!(find(&dir, Path::new(path)).is_err_and(|error| names_nothing(&error)), "{path}");
        }
        let (_, metadata, real) = find(&dir, Path::new("link/link")).unwrap();
        assert_eq!((metadata.is_file(), real.as_deref()), (true, Some(Path::new("dir/file"))));
    }

    #[test]
    fn the_longest_guest_path_wins() {
        let at = Path::new("");
        let tree = tree(&[("/", at), ("/d", at), ("/d/e", at), ("/tmp/shared", at)]);
        for (path, expected) in [
            ("/d/a", Some(("/d", "a"))),
            ("/d/e/a", Some(("/d/e", "a"))),
            ("/d/./e//a", Some(("/d/e", "a"))),
            ("/d/e/../a", Some(("/d/e", "../a"))),
            ("/d/ea", Some(("/d", "ea"))),
            ("/da", Some(("/", "da"))),
            ("/d", Some(("/d", ""))),
            ("/", Some(("/", ""))),
            ("//x", Some(("/", "x"))),
            ("/tmp/shared/a", Some(("/tmp/shared", "a"))),
            ("/tmpfile", Some(("/", "tmpfile"))),
            ("/tmp/a", None),
            ("/tmp", None),
            ("/./tmp/a", None),
            ("d/a", None),
            ("", None),
        ] {
            let resolved = tree.resolve(path.as_bytes());
            let resolved = resolved.as_ref().map(|(mount, below)| (mount.guest.as_str(), below.to_str().unwrap()));
            assert_eq!(resolved, expected, "{path}");
        }
        assert!(super::tests::tree(&[("/d", at)]).resolve(b"/e").is_none());
        assert_eq!(super::tests::tree(&[("/tmp", at), ("/", at)]).resolve(b"/tmp/a").unwrap().0.guest, "/tmp");
    }
}
