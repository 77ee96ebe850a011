//! An exchange: one run of one script in an instance of its own.
//!
//! In: a script, its environment, stdin, a permit. Out: stdout and, at its end, how it went. The only place that spawns;
//! what it spawns ends when its [`Exchange`] is dropped. Knows nothing of HTTP.

mod files;
mod hang;
#[cfg_attr(not(feature = "compiler"), expect(dead_code, reason = "nothing is initialised without a compiler"))]
pub(crate) mod initialisation;
mod linger;
mod listings;
mod locks;
mod look;
mod outcome;
mod quota;
mod relay;
mod seen;
mod slices;
mod turns;

use std::future::poll_fn;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, Waker, ready};
use std::time::{Duration, Instant};

use bytes::Bytes;
use tokio::runtime::Handle;
use tokio::task::{AbortHandle, block_in_place};
use wasmtime::{ResourceLimiter, Store};
use wasmtime_wasi::p1::WasiP1Ctx;
use wasmtime_wasi::p2::bindings::CommandPre;
use wasmtime_wasi::{WasiCtxBuilder, WasiCtxView, WasiView};

pub(crate) use files::{CheckedOut, Files};
pub(crate) use linger::Lingering;
pub(crate) use listings::{Listing, Listings};
pub(crate) use locks::{Kind, Locks, NoLock};
pub(crate) use look::{Found, Kind as FileKind, Look, file_id};
pub(crate) use outcome::log;
pub(crate) use quota::Quota;
pub(crate) use seen::Seen;
pub(crate) use turns::{By, Deadlock, FileId, Turns};

use crate::engine::{Engine, Permit};
use crate::error::{Error, ErrorKind};
use crate::gateway::Environ;
use crate::outbound::{MAX_SOCKETS, Outbound, Sockets};
use crate::request::RequestId;
use crate::runtime::{MAX_INSTANCES, MAX_MEMORIES, MAX_TABLE_ELEMENTS, MAX_TABLES, Ticking};
use crate::script::{Exit, Handles, Program, Script};
use crate::stdio::{Output, Reader, Stderr, Stdin, Writer, pipe};
use hang::{Kept, Watch, aside};
use outcome::At;
use relay::{Progress, Relay, Run};
use slices::{SLICE, Slices};

/// What one run needs.
pub(crate) struct Setup {
    pub(crate) script: Arc<Script>,
    pub(crate) files: Arc<Files>,
    pub(crate) arguments: Arc<[String]>,
    pub(crate) environ: Environ,
    pub(crate) stdin: Stdin,
    pub(crate) request_id: RequestId,
    /// When the request came.
    pub(crate) start: Instant,
    /// How long after that it must be over, response included.
    pub(crate) deadline: Option<Duration>,
    /// Linear memory, in bytes.
    pub(crate) max_memory: usize,
    /// Output held for a reader that is slower than the script, in bytes.
    pub(crate) response_buffer: usize,
    /// What all files of its `/tmp` may have together, in bytes.
    pub(crate) max_tmp: u64,
    /// Whether the script may say that it wants to come to its end though its client leaves.
    pub(crate) may_ignore_abort: bool,
    /// What the script may connect to.
    pub(crate) outbound: Arc<Outbound>,
}

/// A running exchange. Dropping it ends the script at once, unless it was [let go on](Self::let_go_on).
#[derive(Debug)]
pub(crate) struct Exchange {
    pub(crate) stdout: Reader,
    stdin: Stdin,
    stderr: Stderr,
    request_id: RequestId,
    task: Option<AbortHandle>,
    relay: Option<Relay>,
    /// Where a file call may never return.
    watch: Option<Watch>,
}

impl Exchange {
    /// Begins the exchange. A script that was quick of late is run here until it waits, or is made to yield at the next epoch
    /// tick; only then the engine's threads take over, and if it then waits for its reader, that one may carry on with it.
    pub(crate) fn start(engine: &Engine, setup: Setup, permit: Permit) -> Self {
        let (writer, stdout) = pipe(setup.response_buffer);
        let (request_id, stdin) = (setup.request_id.clone(), setup.stdin.clone());
        let stderr = Stderr::new(request_id.clone());
        let watch = setup.deadline.filter(|_| setup.script.sees_files && setup.files.may_hang());
        let watch = watch.map(|deadline| Watch::new(setup.start, deadline, engine.threads().clone()));
        // Made here, as a task may be ended before it has begun.
        let departure = Departure { request_id: Some(request_id.clone()), stdout: writer.clone() };
        let script = Arc::clone(&setup.script);
        let in_place = script.begins_in_place();
        let run = Box::pin(run(engine.clone(), setup, permit, writer, stderr.clone(), departure, in_place));
        let (task, relay) = if in_place {
            let left = begin_in_place(run, engine.threads());
            script.began_in_place(left.is_none());
            left.unzip()
        } else if script.never_waits() {
            let (task, relay) = Relay::start(Progress::Running(run), engine.threads());
            (Some(task), Some(relay))
        } else {
            (Some(engine.threads().spawn(run).abort_handle()), None)
        };
        Self { stdout, stdin, stderr, request_id, task, relay, watch }
    }

    /// What the script has written of its head.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::MalformedRequest`] when the request's body broke off, and the script has read all that came of it.
    pub(crate) async fn read(&mut self) -> Option<Result<Bytes, Error>> {
        poll_fn(|cx| {
            // What it wrote before it read may be the head.
            if let Poll::Ready(piece) = self.stdout.poll_read(cx, true) {
                return Poll::Ready(piece);
            }
            if let Poll::Ready(late) = self.poll_late(cx) {
                return Poll::Ready(Some(Err(late)));
            }
            let cut = ready!(self.stdin.poll_cut(cx));
            Poll::Ready(Some(Err(Error::new(ErrorKind::MalformedRequest, cut.to_string()))))
        })
        .await
    }

    /// Says that the script's answer has begun: whatever becomes of the request's body, the script goes on.
    pub(crate) fn answer_begun(&self) {
        self.stdin.answer_begun();
    }

    /// What the script has written, as [`Reader::poll_read`] says. A script that only waited for somebody to read may be run
    /// here until it has written more.
    pub(crate) fn poll_read(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Bytes, Error>>> {
        let Some(relay) = &mut self.relay else {
            return match self.stdout.poll_read(cx, true) {
                Poll::Pending => self.poll_late(cx).map(|late| Some(Err(late))),
                piece => piece,
            };
        };
        if self.stdout.is_waited_for() && !(relay.is_willing() && relay.carry_on()) {
            self.stdout.wake_writer();
        }
        let piece = self.stdout.poll_read(cx, !relay.is_willing());
        if piece.is_ready() {
            relay.count();
        }
        piece
    }

    /// Ready when the deadline has passed and the task is stuck, with what is logged then.
    fn poll_late(&mut self, cx: &mut Context<'_>) -> Poll<Error> {
        let Some(watch) = &mut self.watch else { return Poll::Pending };
        watch.poll_late(cx).map(|late| outcome::logged(late, &self.request_id, &self.stderr))
    }

    /// Logs `error`, which the exchange's output is to blame for, with the last that the script said, unless it is logged.
    pub(crate) fn logged(&self, error: Error) -> Error {
        outcome::logged(error, &self.request_id, &self.stderr)
    }

    /// Nobody reads the rest of the output, but the script may come to its end, as it would with a client that has all it
    /// wanted: what it still does, like saving a session, must not be cut off.
    pub(crate) fn let_go_on(mut self) {
        self.stdout.discard();
        self.task = None;
    }
}

impl Drop for Exchange {
    fn drop(&mut self) {
        let Some(task) = self.task.take() else { return };
        if self.stdout.has_ended_well() {
            // A script that closed its stdout has said all it will, and may have more to do.
            self.stdout.discard();
        } else if self.stdout.is_outlived() {
            tracing::info!(request_id = %self.request_id, "the client left, the script goes on as it asked to");
            // Nobody is left to say otherwise.
            self.stdin.answer_begun();
            self.stdout.discard();
        } else {
            task.abort();
        }
    }
}

/// What the store holds. Dropped in this order: files are closed before another may write them.
pub(crate) struct State {
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
    /// Descriptors, or handles of a component, of what is open below its `/tmp`.
    pub(crate) in_tmp: Vec<u32>,
    /// Made when something is first written there.
    quota: Option<Quota>,
    max_tmp: u64,
    pub(crate) view: Option<CheckedOut>,
    pub(crate) script: Arc<Script>,
    pub(crate) arguments: Arc<[String]>,
    pub(crate) environ: Environ,
    pub(crate) may_ignore_abort: bool,
    pub(crate) stdin: Stdin,
    stdout: Writer,
    stderr: Stderr,
    /// Which of stdin, stdout and stderr the script has closed or put something else in the place of.
    stdio_moved: [bool; 3],
    memory: MemoryLimit,
    slices: Slices,
}

impl State {
    /// wasmtime-wasi's context, made when something first asks for it.
    pub(crate) fn wasi(&mut self) -> &mut WasiP1Ctx {
        let Self { wasi, view, script, stdin, stdout, stderr, .. } = self;
        wasi.get_or_insert_with(|| {
            let mut builder = WasiCtxBuilder::new();
            builder.stdin(stdin.clone()).stdout(stdout.clone()).stderr(stderr.clone());
            if script.is_component() {
                builder.stdout(stdout.clone().never_closed());
            }
            let mut wasi = builder.build_p1();
            if script.is_component() {
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

    /// What is left of the room in its `/tmp`. Nothing where it has none of its own.
    pub(crate) fn quota(&mut self) -> Option<&Quota> {
        let Self { quota, view, max_tmp, .. } = self;
        if quota.is_none() {
            *quota = Some(Quota::new(view.as_ref()?.tmp()?, *max_tmp));
        }
        quota.as_ref()
    }

    /// Says whether the script wants to come to its end, within its deadline, though its client leaves.
    pub(crate) fn ignore_abort(&self, ignore: bool) {
        self.stdout.outlive_reader(ignore);
    }

    /// Whether nobody takes what the script writes.
    pub(crate) fn client_left(&self) -> bool {
        self.stdout.is_unread()
    }

    /// Whether what is below the descriptor `dir` is this exchange's alone.
    pub(crate) fn is_private(&self, dir: u32) -> bool {
        self.view.as_ref().is_some_and(|view| view.is_private(dir))
    }
}

impl WasiView for State {
    fn ctx(&mut self) -> WasiCtxView<'_> {
        self.wasi().ctx()
    }
}

/// `in_place` says that the script begins on a thread that is not the engine's.
async fn run(
    engine: Engine,
    setup: Setup,
    permit: Permit,
    stdout: Writer,
    stderr: Stderr,
    mut departure: Departure,
    in_place: bool,
) {
    let (start, limit, stdin) = (setup.start, setup.deadline, setup.stdin.clone());
    let deadline = limit.map(|limit| tokio::time::Instant::from_std(start + limit));
    let queues = Arc::new(AtomicBool::new(false));
    let result = {
        let guest = pin!(guest(&engine, setup, &stdout, &stderr, &queues, in_place));
        match deadline {
            Some(deadline) => tokio::time::timeout_at(deadline, guest).await.ok(),
            // Nobody waits for a script that was let go on, so nobody would end it.
            None => tokio::select! {
                result = guest => Some(result),
                () = async { stdout.discarding().await; tokio::time::sleep(GRACE).await } => None,
            },
        }
    };
    let request_id = departure.request_id.take().expect("taken only here");
    let late = |at| outcome::logged(outcome::late(limit.unwrap_or(GRACE), start.elapsed(), at), &request_id, &stderr);
    stderr.finish();
    let result = match result {
        Some(result) => result.map_err(|error| outcome::logged(error, &request_id, &stderr)),
        None if stdout.is_waiting() => Err(late(At::Writing)),
        None if stdin.is_waiting() => Err(late(At::Reading)),
        None if queues.load(Ordering::Relaxed) => Err(late(At::Queueing)),
        None => Err(late(At::Running)),
    };
    if let Some(cut) = stdin.cut() {
        tracing::warn!(%request_id, "{cut}, after the script had begun its answer");
    }
    // What is left of the request's body is nobody's now.
    drop(stdin);
    // The instance is gone, so whoever sees the response's end finds the permit free.
    drop(permit);
    stdout.finish(result);
    // A slow reader may still hold the rest of the output, within the deadline.
    if let Some(deadline) = deadline
        && stdout.is_backed_up()
        && tokio::time::timeout_at(deadline, stdout.drained()).await.is_err()
    {
        stdout.fail(late(At::Writing));
    }
}

/// Polls `run` once, and leaves it to `threads` if it is not over then. A panic is left to them too: whoever asked for the
/// exchange has done nothing wrong.
fn begin_in_place(mut run: Run, threads: &Handle) -> Option<(AbortHandle, Relay)> {
    // Its timers belong to the engine. Whoever polls it next brings a waker.
    let _clock = threads.enter();
    let poll = || run.as_mut().poll(&mut Context::from_waker(Waker::noop()));
    match catch_unwind(AssertUnwindSafe(poll)) {
        Ok(Poll::Ready(())) => None,
        Ok(Poll::Pending) => Some(Relay::start(Progress::Running(run), threads)),
        Err(panic) => Some(Relay::start(Progress::Panicked(run, panic), threads)),
    }
}

/// Runs the script to its end. Its instance is gone when this returns or is dropped.
async fn guest(
    engine: &Engine,
    setup: Setup,
    stdout: &Writer,
    stderr: &Stderr,
    queues: &Arc<AtomicBool>,
    in_place: bool,
) -> Result<(), Error> {
    let Setup { script, files, arguments, environ, stdin, request_id, max_memory, max_tmp, may_ignore_abort, .. } =
        setup;
    let sockets = Sockets::new(setup.outbound, request_id.clone());
    let first_socket = files.descriptors().max(FIRST_SOCKET);
    let may_hang = script.sees_files && files.may_hang();
    let view = match script.sees_files {
        true if may_hang => Some(aside(files.check_out(engine.threads())).await?),
        true => Some(files.check_out(engine.threads()).await?),
        false => None,
    };
    let slices = Slices::new(Arc::clone(engine.stints()), in_place);
    let state = State {
        wasi: None,
        sockets,
        first_socket,
        locks: Locks::default(),
        turns: Turns::new(request_id.clone(), Arc::clone(queues)),
        listings: Listings::default(),
        open_files: 0,
        databases: Vec::new(),
        handles: Handles::default(),
        in_tmp: Vec::new(),
        quota: None,
        max_tmp,
        view,
        script: Arc::clone(&script),
        arguments,
        environ,
        may_ignore_abort,
        stdin,
        stdout: stdout.clone(),
        stderr: stderr.clone(),
        stdio_moved: [false; 3],
        memory: MemoryLimit::new(max_memory),
        slices: slices.clone(),
    };
    let mut kept = Kept::new(Store::new(engine.wasmtime(), state), may_hang);
    let store = kept.store();
    store.limiter(|state| &mut state.memory);
    // The first tick may come at once.
    store.set_epoch_deadline(1 + if in_place { IN_PLACE } else { SLICE });
    store.epoch_deadline_callback(|store| Ok(store.data().slices.next()));

    let _ticking = Ticking::start();
    let result = {
        let mut call = pin!(call(&script.program, store));
        // Output reaches the reader whenever the script waits or yields, not at each of its writes.
        poll_fn(|cx| {
            let mut poll = || call.as_mut().poll(cx);
            let progress = if may_hang { block_in_place(poll) } else { poll() };
            if progress.is_pending() {
                slices.pending();
                stdout.wake_reader();
            }
            progress
        })
        .await
    };
    let exceeded = store.data().memory.exceeded;
    if result.as_ref().map_or_else(|error| error.is::<Exit>(), |()| true) {
        store.data_mut().sockets.end_well();
    }
    outcome::judge(result, exceeded, &request_id)
}

async fn call(program: &Program, store: &mut Store<State>) -> wasmtime::Result<()> {
    match program {
        Program::Module { instance_pre, beginning, start } => {
            let instance = beginning.instantiate(instance_pre, store).await?;
            store.data_mut().memory.has(beginning.memory_len());
            let start = instance.get_module_export(&mut *store, start).and_then(wasmtime::Extern::into_func);
            start.expect("checked when the script was loaded").typed::<(), ()>(&*store)?.call_async(store, ()).await
        }
        // In a box, so that modules do not carry its size.
        Program::Component(command) => Box::pin(run_command(command, store)).await,
    }
}

async fn run_command(command: &CommandPre<State>, store: &mut Store<State>) -> wasmtime::Result<()> {
    let command = command.instantiate_async(&mut *store).await?;
    command.wasi_cli_run().call_run(store).await?.map_err(|()| Exit(1).into())
}

/// What happens if the task ends before it has taken the id: the client has left, or the task has panicked, and then nobody
/// else would tell whoever still reads.
struct Departure {
    request_id: Option<RequestId>,
    stdout: Writer,
}

impl Drop for Departure {
    fn drop(&mut self) {
        if let Some(request_id) = &self.request_id {
            if std::thread::panicking() {
                tracing::error!(%request_id, "the exchange panicked");
            } else {
                tracing::info!(%request_id, "the client left before the script's end, the script was ended");
            }
            self.stdout.finish(Err(Error::new(ErrorKind::Host, "the exchange broke off").into_logged()));
        }
    }
}

/// Of all memories together.
struct MemoryLimit {
    max_memory: usize,
    used: usize,
    exceeded: bool,
}

impl MemoryLimit {
    fn new(max_memory: usize) -> Self {
        Self { max_memory, used: 0, exceeded: false }
    }

    /// The first memory begins with so many bytes, where a module may ask for less.
    fn has(&mut self, bytes: usize) {
        self.used = self.used.max(bytes);
    }
}

impl ResourceLimiter for MemoryLimit {
    fn memory_growing(&mut self, current: usize, desired: usize, maximum: Option<usize>) -> wasmtime::Result<bool> {
        let used = self.used.saturating_add(desired.saturating_sub(current));
        let fits = used <= self.max_memory;
        // Above its own limit a memory does not grow whatever is said here.
        if fits && maximum.is_none_or(|maximum| desired <= maximum) {
            self.used = used;
        }
        self.exceeded |= !fits;
        Ok(fits)
    }

    fn table_growing(&mut self, _current: usize, desired: usize, _maximum: Option<usize>) -> wasmtime::Result<bool> {
        Ok(desired <= MAX_TABLE_ELEMENTS)
    }

    fn instances(&self) -> usize {
        MAX_INSTANCES
    }

    fn memories(&self) -> usize {
        MAX_MEMORIES
    }

    fn tables(&self) -> usize {
        MAX_TABLES
    }
}

/// Above the descriptors of files, as a rule, and below 1024, as `select` has it.
const FIRST_SOCKET: u32 = 512;
/// How many epoch ticks a script that begins on a thread that is not the engine's computes there.
const IN_PLACE: u64 = 1;
/// How long a script without a deadline may go on when nobody reads.
const GRACE: Duration = Duration::from_secs(30);

#[cfg(test)]
mod tests {
    use std::panic::resume_unwind;

    use super::*;

    #[tokio::test]
    async fn a_panic_in_place_breaks_off_the_exchange_and_not_its_caller() {
        let (writer, mut stdout) = pipe(8);
        let departure = Departure { request_id: Some(RequestId::generate()), stdout: writer };
        let run = Box::pin(async move {
            let _departure = departure;
            resume_unwind(Box::new("what a fault of the host does"));
        });
        let task = begin_in_place(run, &Handle::current());
        assert!(task.is_some());
        assert_eq!(stdout.read().await.unwrap().unwrap_err().kind(), ErrorKind::Host);
    }
}
