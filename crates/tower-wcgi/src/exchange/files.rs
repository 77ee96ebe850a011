//! The file system a script sees: the package's mounts and a private `/tmp`.
//!
//! Directories are opened once and used by one exchange after the other: a view is checked out, and handed back when the
//! exchange is over and its `/tmp` is empty again.

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, UNIX_EPOCH};

use tokio::runtime::Handle;
use wasmtime_wasi::filesystem::WasiFilesystemCtx;
use wasmtime_wasi::p1::WasiP1Ctx;
use wasmtime_wasi::{FsPerms, WasiCtx, WasiView};

use super::look::{Kind, Look, look};
use super::seen::Seen;
use crate::error::{Error, ErrorKind};
use crate::package::{Access, Mount, may_hang};
use crate::scratch::Scratch;
use crate::script::MAX_OPEN_FILES;

/// The mounts of a service.
#[derive(Debug)]
pub(crate) struct Files {
    mounts: Vec<Mount>,
    /// What a snapshot remembers of them.
    seen: Arc<Seen>,
    idle: Mutex<Vec<View>>,
    /// That some names are left out of listings was said.
    left_out: AtomicBool,
    /// A mount's file system may not answer.
    may_hang: bool,
    /// That a database is in WAL mode was said.
    wal: AtomicBool,
}

impl Files {
    pub(crate) fn new(mounts: Vec<Mount>, seen: Arc<Seen>) -> Self {
        let may_hang = mounts.iter().any(|mount| may_hang(&mount.host));
        let (left_out, wal) = (AtomicBool::new(false), AtomicBool::new(false));
        Self { mounts, seen, idle: Mutex::default(), left_out, may_hang, wal }
    }

    /// Whether a file call may wait for as long as another program or machine likes.
    pub(crate) fn may_hang(&self) -> bool {
        self.may_hang
    }

    /// One more than the highest descriptor that a file or a directory can have.
    pub(crate) fn descriptors(&self) -> u32 {
        // stdin, stdout, stderr and `/tmp`.
        u32::try_from(self.mounts.len()).unwrap_or(u32::MAX).saturating_add(4 + MAX_OPEN_FILES)
    }

    /// Makes sure that exchanges can have a `/tmp`.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Host`] when no temporary directory can be made.
    pub(crate) fn check_tmp() -> Result<(), Error> {
        Tmp::create().map(drop)
    }

    /// A view nobody else uses. `threads` is where its `/tmp` is emptied afterwards.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Host`] when a mount's directory cannot be opened, or no temporary directory can be made.
    pub(crate) async fn check_out(self: &Arc<Self>, threads: &Handle) -> Result<CheckedOut, Error> {
        let idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner).pop();
        let view = match idle.filter(View::is_current) {
            Some(view) => view,
            None => View::open(&self.mounts)?,
        };
        let files = Arc::clone(self);
        Ok(CheckedOut { view: Some(view), moved: Vec::new(), files, threads: threads.clone() })
    }
}

/// A view in use.
pub(crate) struct CheckedOut {
    view: Option<View>,
    /// Numbers of mounts that the script has closed or put something else in the place of.
    moved: Vec<u32>,
    files: Arc<Files>,
    threads: Handle,
}

impl CheckedOut {
    pub(crate) fn mount(&self, wasi: &mut WasiP1Ctx) {
        if let Some(view) = &self.view {
            *wasi.ctx().ctx.filesystem() = view.context.clone();
        }
    }

    /// Whether the descriptor `dir` is the private `/tmp`.
    pub(crate) fn is_private(&self, dir: u32) -> bool {
        self.view.as_ref().is_some_and(|view| view.tmp.is_some() && self.mount_of(dir) == Some(view.opened.len()))
    }

    /// Whether the descriptor `dir` is a mount that nothing can be written to.
    pub(crate) fn is_read_only(&self, dir: u32) -> bool {
        let mount = self.mount_of(dir).and_then(|mount| self.files.mounts.get(mount));
        mount.is_some_and(|mount| mount.access == Access::ReadOnly)
    }

    /// Where the private `/tmp` is on the host.
    pub(crate) fn tmp(&self) -> Option<&Path> {
        Some(self.view.as_ref()?.tmp.as_ref()?.dir.path())
    }

    /// What `path` below the descriptor `dir` leads to. Nothing if `dir` is not a mount, or it takes more than a look to tell.
    pub(crate) fn look(&self, dir: u32, path: &[u8], follow: bool) -> Option<Look> {
        let view = self.view.as_ref()?;
        let mount = self.mount_of(dir)?;
        let directory = match view.opened.get(mount) {
            Some(opened) => opened.handle()?,
            None => &view.tmp.as_ref().filter(|_| mount == view.opened.len())?.handle,
        };
        let mut looked = look(directory, path, follow);
        if let Some(Look::Found(found)) = &mut looked
            && let Some(time) = self.files.seen.change_time(found.id, found.modified, Some(found.changed))
        {
            found.created = time;
        }
        looked
    }

    /// What the script's snapshot remembers of the files.
    pub(crate) fn seen(&self) -> &Seen {
        &self.files.seen
    }

    /// Whether it leads to what is neither a file nor a directory. Nothing as [`look`](Self::look).
    pub(crate) fn is_special(&self, dir: u32, path: &[u8]) -> Option<bool> {
        Some(match self.look(dir, path, true)? {
            Look::Found(found) => !matches!(found.kind, Kind::File | Kind::Directory),
            Look::NotThere => false,
        })
    }

    /// A directory was listed without some of its names, which is said once.
    pub(crate) fn note_left_out(&self, directory: Option<&File>) {
        if !self.files.left_out.swap(true, Ordering::Relaxed) {
            let directory = directory.and_then(path_of).unwrap_or_else(|| "a mount".into());
            tracing::warn!(
                directory = %directory.display(),
                "a directory has names that are not UTF-8; scripts do not see them, static files with them are served"
            );
        }
    }

    /// A script has opened a database whose readers and writers would share memory, which is said once.
    pub(crate) fn note_wal(&self) {
        if !self.files.wal.swap(true, Ordering::Relaxed) {
            tracing::warn!(
                "an SQLite database is in WAL mode, for which requests would have to share memory; most scripts cannot open it \
                 (`unable to open database file`), and others have it one after the other. `PRAGMA journal_mode = DELETE`, by \
                 another program, ends that"
            );
        }
    }

    /// Says that the descriptor `fd` is no longer what it was at the start.
    pub(crate) fn moved(&mut self, fd: u32) {
        if self.mount_of(fd).is_some_and(|mount| self.view.as_ref().is_some_and(|view| mount <= view.opened.len())) {
            self.moved.push(fd);
        }
    }

    /// Which of the directories the descriptor `dir` is: they come after stdin, stdout and stderr, `/tmp` last.
    fn mount_of(&self, dir: u32) -> Option<usize> {
        if self.moved.contains(&dir) { None } else { (dir as usize).checked_sub(3) }
    }
}

impl Drop for CheckedOut {
    fn drop(&mut self) {
        let Some(view) = self.view.take() else { return };
        if view.is_untouched() {
            self.files.idle.lock().unwrap_or_else(PoisonError::into_inner).push(view);
        } else {
            // Whatever the script left in /tmp may be large.
            self.threads.spawn_blocking(move || drop(view));
        }
    }
}

/// Open directories.
pub(super) struct View {
    pub(super) context: WasiFilesystemCtx,
    /// What was opened, to notice when a path has come to mean another directory.
    opened: Vec<Opened>,
    pub(super) tmp: Option<Tmp>,
}

impl View {
    pub(super) fn open(mounts: &[Mount]) -> Result<Self, Error> {
        let mut builder = WasiCtx::builder();
        // File calls are made on the guest's own thread: handing each to another costs 10 to 30 µs, and an application makes
        // thousands.
        builder.allow_blocking_current_thread(true);
        let mut opened = Vec::with_capacity(mounts.len());
        for mount in mounts {
            let perms = match mount.access {
                Access::ReadOnly => FsPerms::ReadOnly,
                Access::ReadWrite => FsPerms::ReadWrite,
            };
            opened.push(Opened::new(&mount.host).map_err(|error| mount.cannot_open(error))?);
            builder.preopened_dir(&mount.host, &mount.guest, perms).map_err(|error| mount.cannot_open(error))?;
        }
        let tmp = if mounts.iter().any(|mount| mount.guest == TMP) { None } else { Some(Tmp::create()?) };
        if let Some(tmp) = &tmp {
            builder
                .preopened_dir(tmp.dir.path(), TMP, FsPerms::ReadWrite)
                .map_err(|error| Error::new(ErrorKind::Host, "cannot open a temporary directory").with_source(error))?;
        }
        Ok(Self { context: builder.build().filesystem().clone(), opened, tmp })
    }

    /// Puts a file at `path` into the private `/tmp`, changed last at `time` since 1970, if there is a private one.
    pub(super) fn put_in_tmp(&self, path: &str, content: &[u8], time: Duration) -> io::Result<()> {
        let (Some(tmp), Ok(name)) = (&self.tmp, Path::new(path).strip_prefix(TMP)) else { return Ok(()) };
        let mut file = File::create_new(tmp.dir.path().join(name))?;
        file.write_all(content)?;
        file.set_modified(UNIX_EPOCH + time)
    }

    fn is_current(&self) -> bool {
        self.opened.iter().all(Opened::is_current)
    }

    fn is_untouched(&self) -> bool {
        self.tmp.as_ref().is_none_or(Tmp::is_untouched)
    }
}

impl std::fmt::Debug for View {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("View").field("tmp", &self.tmp).finish_non_exhaustive()
    }
}

/// A mount's directory at the time it was opened: a deployment may have swapped a link or renamed directories since.
struct Opened {
    path: std::path::PathBuf,
    identity: Identity,
    /// To look at what is in it.
    #[cfg(unix)]
    handle: File,
}

impl Opened {
    #[cfg(unix)]
    fn new(path: &Path) -> std::io::Result<Self> {
        let handle = File::open(path)?;
        Ok(Self { path: path.into(), identity: identity(&handle.metadata()?), handle })
    }

    #[cfg(not(unix))]
    fn new(path: &Path) -> std::io::Result<Self> {
        Ok(Self { path: path.into(), identity: identity(&fs::metadata(path)?) })
    }

    #[cfg(unix)]
    fn handle(&self) -> Option<&File> {
        Some(&self.handle)
    }

    #[cfg(not(unix))]
    fn handle(&self) -> Option<&File> {
        None
    }

    fn is_current(&self) -> bool {
        fs::metadata(&self.path).is_ok_and(|now| identity(&now) == self.identity)
    }
}

/// A private `/tmp`.
#[derive(Debug)]
pub(super) struct Tmp {
    dir: Scratch,
    handle: File,
    created: Stamp,
}

impl Tmp {
    fn create() -> Result<Self, Error> {
        let make = || {
            let dir = Scratch::new("tmp-")?;
            let handle = File::open(dir.path())?;
            let created = stamp(&handle.metadata()?);
            Ok(Self { dir, handle, created })
        };
        make().map_err(|error: std::io::Error| {
            let place = std::env::temp_dir();
            Error::new(ErrorKind::Host, format!("cannot make a temporary directory in {}", place.display()))
                .with_source(error)
                .with_hint("set TMPDIR to a directory that can be written")
        })
    }

    /// Whether the next exchange could not tell that there was one before: nothing is in it, and its times are those it was
    /// made with. Times alone would not do, as two changes within one clock tick of the kernel look like one; nor would
    /// emptiness, as a script can leave a message in the times.
    fn is_untouched(&self) -> bool {
        self.handle.metadata().is_ok_and(|now| stamp(&now) == self.created)
            && fs::read_dir(self.dir.path()).is_ok_and(|mut entries| entries.next().is_none())
    }
}

/// Where an open directory is, if the system can tell.
fn path_of(directory: &File) -> Option<std::path::PathBuf> {
    #[cfg(target_os = "linux")]
    {
        use std::os::fd::AsRawFd;
        fs::read_link(format!("/proc/self/fd/{}", directory.as_raw_fd())).ok()
    }
    #[cfg(not(target_os = "linux"))]
    {
        let _ = directory;
        None
    }
}

#[cfg(unix)]
type Identity = (u64, u64);
#[cfg(unix)]
fn identity(metadata: &fs::Metadata) -> Identity {
    use std::os::unix::fs::MetadataExt;
    (metadata.dev(), metadata.ino())
}
#[cfg(not(unix))]
type Identity = Option<std::time::SystemTime>;
#[cfg(not(unix))]
fn identity(metadata: &fs::Metadata) -> Identity {
    metadata.created().ok()
}

#[cfg(unix)]
type Stamp = (i64, i64, i64, i64);
#[cfg(unix)]
fn stamp(metadata: &fs::Metadata) -> Stamp {
    use std::os::unix::fs::MetadataExt;
    (metadata.mtime(), metadata.mtime_nsec(), metadata.ctime(), metadata.ctime_nsec())
}
#[cfg(not(unix))]
type Stamp = Option<std::time::SystemTime>;
#[cfg(not(unix))]
fn stamp(metadata: &fs::Metadata) -> Stamp {
    metadata.modified().ok()
}

const TMP: &str = "/tmp";
