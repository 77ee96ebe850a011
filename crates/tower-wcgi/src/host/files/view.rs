//! The file system a script sees: the package's mounts and a private `/tmp`.
//!
//! Directories are opened once and used by one exchange after the other. An exchange takes a view, and gives it back when it
//! is over and its `/tmp` is empty again.

use std::fs::{self, File};
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime};

use tokio::runtime::Handle;
use wasmtime_wasi::filesystem::WasiFilesystemCtx;
use wasmtime_wasi::p1::WasiP1Ctx;
use wasmtime_wasi::{FsPerms, WasiCtx, WasiView};

use super::MAX_OPEN_FILES;
use super::look::{FileKind, Look, look};
use super::preopens::{Preopen, Preopens};
use super::quota::{Quota, Quotas};
use super::seen::Seen;
use crate::error::{Error, ErrorKind};
use crate::mount::{Access, Mount, TMP};
use crate::scratch::Scratch;
use crate::sys::{self, may_hang};

/// The mounts of a service.
#[derive(Debug)]
pub(crate) struct Files {
    mounts: Vec<Mount>,
    quotas: Quotas,
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
    pub(crate) fn new(mounts: Vec<Mount>, quotas: Quotas, seen: Arc<Seen>) -> Self {
        let may_hang = mounts.iter().any(|mount| may_hang(&mount.host));
        let (left_out, wal) = (AtomicBool::new(false), AtomicBool::new(false));
        Self { mounts, quotas, seen, idle: Mutex::default(), left_out, may_hang, wal }
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
    /// [`ErrorKind::Host`] if no temporary directory can be made.
    pub(crate) fn check_tmp() -> Result<(), Error> {
        Tmp::create().map(drop)
    }

    /// A view nobody else uses. `threads` is where its `/tmp` is emptied afterwards.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Host`] if a mount's directory cannot be opened, or no temporary directory can be made.
    pub(crate) async fn check_out(self: &Arc<Self>, threads: &Handle) -> Result<CheckedOut, Error> {
        let idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner).pop();
        let view = match idle.filter(View::is_current) {
            Some(view) => view,
            None => View::open(&self.mounts)?,
        };
        let files = Arc::clone(self);
        Ok(CheckedOut { preopens: view.preopens(), view: Some(view), files, threads: threads.clone() })
    }
}

/// A view in use.
pub(crate) struct CheckedOut {
    view: Option<View>,
    preopens: Preopens,
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
        self.preopens.get(dir) == Some(Preopen::Tmp)
    }

    /// Whether the descriptor `dir` is a mount that nothing can be written to.
    pub(crate) fn is_read_only(&self, dir: u32) -> bool {
        let Some(Preopen::Mount(index)) = self.preopens.get(dir) else { return false };
        self.files.mounts.get(index).is_some_and(|mount| mount.access == Access::ReadOnly)
    }

    /// What the descriptor `dir` is, if the files below it are counted.
    pub(crate) fn counted(&self, dir: u32) -> Option<Preopen> {
        let preopen = self.preopens.get(dir)?;
        (preopen == Preopen::Tmp || self.quota(preopen).is_some()).then_some(preopen)
    }

    /// The quota of a mount.
    pub(crate) fn quota(&self, preopen: Preopen) -> Option<&Quota> {
        let Preopen::Mount(index) = preopen else { return None };
        self.files.quotas.get(index)?.as_ref()
    }

    /// Where the private `/tmp` is on the host.
    pub(crate) fn tmp(&self) -> Option<&Path> {
        Some(self.view.as_ref()?.tmp.as_ref()?.dir.path())
    }

    /// What `path` below the descriptor `dir` leads to. Nothing if `dir` is not a mount, or it takes more than a look to tell.
    pub(crate) fn look(&self, dir: u32, path: &[u8], follow: bool) -> Option<Look> {
        let view = self.view.as_ref()?;
        let directory = match self.preopens.get(dir)? {
            Preopen::Mount(index) => view.opened.get(index)?.handle()?,
            Preopen::Tmp => &view.tmp.as_ref()?.handle,
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
            Look::Found(found) => !matches!(found.kind, FileKind::File | FileKind::Directory),
            Look::NotThere => false,
        })
    }

    /// A directory was listed without some of its names, which is said once.
    pub(crate) fn note_left_out(&self, directory: Option<&File>) {
        if !self.files.left_out.swap(true, Ordering::Relaxed) {
            let directory = directory.and_then(sys::path_of).unwrap_or_else(|| "a mount".into());
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
        self.preopens.moved(fd);
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
pub(crate) struct View {
    pub(crate) context: WasiFilesystemCtx,
    /// What was opened, to notice when a path has come to mean another directory.
    opened: Vec<OpenMount>,
    pub(crate) tmp: Option<Tmp>,
}

impl View {
    pub(crate) fn open(mounts: &[Mount]) -> Result<Self, Error> {
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
            opened.push(OpenMount::new(&mount.host).map_err(|error| mount.cannot_open(error))?);
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
    #[cfg(feature = "compiler")]
    pub(crate) fn put_in_tmp(&self, path: &str, content: &[u8], time: Duration) -> std::io::Result<()> {
        use std::io::Write as _;
        use std::time::UNIX_EPOCH;

        let (Some(tmp), Ok(name)) = (&self.tmp, Path::new(path).strip_prefix(TMP)) else { return Ok(()) };
        let mut file = File::create_new(tmp.dir.path().join(name))?;
        file.write_all(content)?;
        file.set_modified(UNIX_EPOCH + time)
    }

    /// The directories that it gives a guest.
    pub(crate) fn preopens(&self) -> Preopens {
        Preopens::new(self.opened.len(), self.tmp.is_some())
    }

    fn is_current(&self) -> bool {
        self.opened.iter().all(OpenMount::is_current)
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
struct OpenMount {
    path: std::path::PathBuf,
    identity: Identity,
    /// To look at what is in it.
    #[cfg(unix)]
    handle: File,
}

impl OpenMount {
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
pub(crate) struct Tmp {
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

    /// Whether the next exchange cannot tell that there was one before: the directory is empty, and its times are those it was
    /// made with. Times alone do not suffice, because two changes within one clock tick of the kernel look like one. Nor does
    /// emptiness, because a script can leave a message in the times.
    fn is_untouched(&self) -> bool {
        self.handle.metadata().is_ok_and(|now| stamp(&now) == self.created)
            && fs::read_dir(self.dir.path()).is_ok_and(|mut entries| entries.next().is_none())
    }
}

/// Which directory it is, as far as the system can tell.
type Identity = (Option<(u64, u64)>, Option<SystemTime>);

fn identity(metadata: &fs::Metadata) -> Identity {
    (sys::device_and_inode(metadata), metadata.created().ok())
}

/// When it was changed: its content, and anything about it.
type Stamp = (Option<SystemTime>, Option<Duration>);

fn stamp(metadata: &fs::Metadata) -> Stamp {
    (metadata.modified().ok(), sys::changed(metadata))
}
