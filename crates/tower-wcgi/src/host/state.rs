//! What the store of an exchange holds: all that the calls of a guest work on.

use std::sync::Arc;

use wasmtime_wasi::p1::WasiP1Ctx;
use wasmtime_wasi::{WasiCtxBuilder, WasiCtxView, WasiView};

use super::files::{CheckedOut, FileId, Listings, Locks, Preopen, Quota, Turns};
use super::habits::Habits;
use super::handles::Handles;
use super::memory_limit::MemoryLimit;
use crate::environ::Environ;
use crate::observe::ExchangeInfo;
use crate::outbound::{MAX_SOCKETS, Sockets};
use crate::stdio::{Output, Stderr, Stdin, Writer};

/// What the store of an exchange holds.
pub(crate) struct HostState {
    wasi: Option<WasiP1Ctx>,
    pub(crate) sockets: Sockets,
    /// The descriptor of the first socket.
    first_socket: u32,
    pub(crate) locks: Locks,
    pub(crate) turns: Turns,
    pub(crate) listings: Listings,
    /// Descriptors of files and directories that the script has opened.
    pub(crate) open_files: u32,
    /// Those that are SQLite databases.
    pub(crate) databases: Vec<FileId>,
    /// What is known of a component's handles.
    pub(crate) handles: Handles,
    /// Descriptors, or handles of a component, of what is open below its `/tmp` or a mount that has a quota.
    pub(crate) counted: Vec<(u32, Preopen)>,
    /// Made when something is first written to `/tmp`.
    quota_of_tmp: Option<Quota>,
    max_tmp: u64,
    pub(crate) view: Option<CheckedOut>,
    pub(crate) habits: Arc<Habits>,
    pub(crate) arguments: Arc<[String]>,
    pub(crate) environ: Environ,
    pub(crate) may_ignore_abort: bool,
    pub(crate) stdin: Stdin,
    stdout: Writer,
    stderr: Stderr,
    /// Which of stdin, stdout and stderr the script has closed or put something else in the place of.
    stdio_moved: [bool; 3],
    pub(crate) memory: MemoryLimit,
}

/// What an exchange gives its guest.
pub(crate) struct Given {
    /// Nothing for a guest that sees no files.
    pub(crate) view: Option<CheckedOut>,
    pub(crate) turns: Turns,
    pub(crate) sockets: Sockets,
    /// One more than the highest descriptor that a file can have.
    pub(crate) descriptors: u32,
    pub(crate) habits: Arc<Habits>,
    pub(crate) arguments: Arc<[String]>,
    pub(crate) environ: Environ,
    pub(crate) stdin: Stdin,
    pub(crate) stdout: Writer,
    pub(crate) stderr: Stderr,
    pub(crate) may_ignore_abort: bool,
    pub(crate) exchange: ExchangeInfo,
    /// Linear memory, in bytes.
    pub(crate) max_memory: usize,
    /// What all files of its `/tmp` may have together, in bytes.
    pub(crate) max_tmp: u64,
}

impl HostState {
    pub(crate) fn new(given: Given) -> Self {
        Self {
            wasi: None,
            sockets: given.sockets,
            first_socket: given.descriptors.max(FIRST_SOCKET),
            locks: Locks::default(),
            turns: given.turns,
            listings: Listings::default(),
            open_files: 0,
            databases: Vec::new(),
            handles: Handles::default(),
            counted: Vec::new(),
            quota_of_tmp: None,
            max_tmp: given.max_tmp,
            view: given.view,
            habits: given.habits,
            arguments: given.arguments,
            environ: given.environ,
            may_ignore_abort: given.may_ignore_abort,
            stdin: given.stdin,
            stdout: given.stdout,
            stderr: given.stderr,
            stdio_moved: [false; 3],
            memory: MemoryLimit::new(given.max_memory, Some(given.exchange)),
        }
    }

    /// wasmtime-wasi's context, made when something first asks for it.
    pub(crate) fn wasi(&mut self) -> &mut WasiP1Ctx {
        let Self { wasi, view, habits, stdin, stdout, stderr, .. } = self;
        wasi.get_or_insert_with(|| {
            let mut builder = WasiCtxBuilder::new();
            builder.stdin(stdin.clone()).stdout(stdout.clone()).stderr(stderr.clone());
            if habits.is_component {
                builder.stdout(stdout.clone().never_closed());
            }
            let mut wasi = builder.build_p1();
            if habits.is_component {
                wasi.ctx().table.set_max_capacity(Handles::MOST);
            }
            if let Some(view) = view {
                view.mount(&mut wasi);
            }
            wasi
        })
    }

    /// Whether the descriptor `fd` is stdin, stdout or stderr, as it was at the start.
    pub(crate) fn has_stdio(&self, fd: u32) -> bool {
        self.stdio_moved.get(fd as usize).is_some_and(|moved| !moved)
    }

    /// Which socket has the descriptor `fd`, if that is the number of one.
    pub(crate) fn socket(&self, fd: u32) -> Option<usize> {
        fd.checked_sub(self.first_socket).map(|socket| socket as usize).filter(|socket| *socket < MAX_SOCKETS)
    }

    /// Whether the descriptor `fd` is an open socket.
    pub(crate) fn has_socket(&self, fd: u32) -> bool {
        self.socket(fd).is_some_and(|socket| self.sockets.has(socket))
    }

    /// The descriptor of a socket.
    pub(crate) fn descriptor(&self, socket: usize) -> u32 {
        u32::try_from(socket).unwrap_or(u32::MAX).saturating_add(self.first_socket)
    }

    /// Says that the descriptor `fd` is no longer what it was at the start.
    pub(crate) fn moved(&mut self, fd: u32) {
        if let Some(view) = &mut self.view {
            view.moved(fd);
        }
        if let Some(moved) = self.stdio_moved.get_mut(fd as usize) {
            *moved = true;
        }
    }

    /// Where writes to stdout and stderr go.
    pub(crate) fn output(&self, fd: u32) -> Option<Output> {
        match fd {
            1 => Some(Output::Stdout(self.stdout.clone())),
            2 => Some(Output::Stderr(self.stderr.clone())),
            _ => None,
        }
    }

    /// Whether the descriptor `dir` is a mount that nothing can be written to.
    pub(crate) fn is_read_only(&self, dir: u32) -> bool {
        self.view.as_ref().is_some_and(|view| view.is_read_only(dir))
    }

    /// What is left of the room in the private `/tmp` or a mount. Nothing where that has no quota.
    pub(crate) fn quota(&mut self, room: Preopen) -> Option<&Quota> {
        let Self { quota_of_tmp, view, max_tmp, .. } = self;
        let view = view.as_ref()?;
        if room != Preopen::Tmp {
            return view.quota(room);
        }
        if quota_of_tmp.is_none() {
            *quota_of_tmp = Some(Quota::empty(view.tmp()?, *max_tmp));
        }
        quota_of_tmp.as_ref()
    }

    /// Says whether the script wants to come to its end, within its deadline, though its client leaves.
    pub(crate) fn ignore_abort(&self, ignore: bool) {
        self.stdout.outlive_reader(ignore);
    }

    /// The number that the descriptor `fd` has, or that a component's handle would have in a module if it is of a mount.
    pub(crate) fn mount_number(&self, fd: u32) -> u32 {
        if self.habits.is_component { self.handles.mount(fd) } else { fd }
    }

    /// Whether what is below the descriptor `dir` is this exchange's alone.
    pub(crate) fn is_private(&self, dir: u32) -> bool {
        self.view.as_ref().is_some_and(|view| view.is_private(self.mount_number(dir)))
    }

    /// Whether nobody takes what the script writes.
    pub(crate) fn client_left(&self) -> bool {
        self.stdout.is_unread()
    }
}

impl WasiView for HostState {
    fn ctx(&mut self) -> WasiCtxView<'_> {
        self.wasi().ctx()
    }
}

impl Drop for HostState {
    fn drop(&mut self) {
        // Files are closed before another may write them, or have their `/tmp`.
        self.wasi = None;
    }
}

/// Above the descriptors of files, as a rule, and below 1024, as `select` has it.
const FIRST_SOCKET: u32 = 512;

#[cfg(test)]
mod tests {
    use std::pin::Pin;
    use std::sync::mpsc::{Sender, channel};
    use std::task::{Context, Waker};

    use super::*;
    use crate::host::files::{By, Deadlock};
    use crate::observe::Meters;
    use crate::outbound::{Limits, Outbound};
    use crate::request::RequestId;
    use crate::stdio::pipe;

    const FILE: FileId = FileId(u64::MAX);

    /// What is open. Tells, when it is closed, whether the file is another exchange's by then.
    struct Open {
        next: Pin<Box<dyn Future<Output = Result<(), Deadlock>> + Send>>,
        is_anothers: Sender<bool>,
    }

    impl Drop for Open {
        fn drop(&mut self) {
            let turn = self.next.as_mut().poll(&mut Context::from_waker(Waker::noop()));
            self.is_anothers.send(turn.is_ready()).unwrap();
        }
    }

    #[tokio::test]
    async fn files_are_closed_before_another_may_write_them() {
        let turns = || Turns::new(RequestId::new("test"), Arc::default());
        let mut state = HostState::new(Given {
            view: None,
            turns: turns(),
            sockets: Sockets::new(
                Arc::new(Outbound::new(Vec::new(), Vec::new(), Limits::default())),
                RequestId::new("test"),
            ),
            descriptors: 0,
            habits: Arc::new(Habits::new(false, false)),
            arguments: Arc::new([]),
            environ: Environ::default(),
            stdin: Stdin::empty(),
            stdout: pipe(1).0,
            stderr: Stderr::new(RequestId::new("test"), None),
            may_ignore_abort: false,
            exchange: ExchangeInfo::new(RequestId::new("test"), "GET", "/", Arc::new(Meters::new("test"))),
            max_memory: 0,
            max_tmp: 0,
        });
        state.turns.take(FILE, By::Never).await.unwrap();
        let mut turns = turns();
        let mut next = Box::pin(async move { turns.take(FILE, By::Never).await });
        assert!(next.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_pending());
        let (is_anothers, told) = channel();
        state.ctx().table.push(Open { next, is_anothers }).unwrap();
        drop(state);
        assert_eq!(told.try_recv(), Ok(false));
    }
}
