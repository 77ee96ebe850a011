//! An exchange: one run of one script in its own instance.
//!
//! In: a script, its environment, stdin, a permit. Out: stdout and, at its end, how it went. This is the only place that spawns,
//! and a spawned task ends when its [`Exchange`] is dropped. It must not know HTTP.

mod hang;
mod outcome;
mod relay;
mod slices;

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
use wasmtime::Store;
use wasmtime_wasi::p2::bindings::CommandPre;

use crate::engine::{Engine, Permit};
use crate::environ::Environ;
use crate::error::{Error, ErrorKind};
use crate::host::{Exit, Files, Given, HostState, Turns, block_in_place_async};
use crate::observe::{ExchangeInfo, ExchangeState};
use crate::outbound::{Outbound, Sockets};
use crate::request::RequestId;
use crate::runtime::Ticking;
use crate::script::{Program, Script};
use crate::stdio::{Reader, Stderr, Stdin, Writer, pipe};
use hang::{Kept, Watch};
use outcome::At;
use relay::{Progress, Relay, Run};
use slices::{SLICE, Slices};

/// All that one run needs.
pub(crate) struct Setup {
    pub(crate) script: Arc<Script>,
    pub(crate) files: Arc<Files>,
    pub(crate) arguments: Arc<[String]>,
    pub(crate) environ: Environ,
    pub(crate) stdin: Stdin,
    pub(crate) info: ExchangeInfo,
    /// When the request arrived.
    pub(crate) start: Instant,
    /// The time after that by which it must be over, response included.
    pub(crate) deadline: Option<Duration>,
    /// Linear memory, in bytes.
    pub(crate) max_memory: usize,
    /// Output held for a reader that is slower than the script, in bytes.
    pub(crate) response_buffer: usize,
    /// The most bytes of all files in its `/tmp` together.
    pub(crate) max_tmp: u64,
    /// Whether the script may ask to finish after its client has left.
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
    /// For a script whose file calls may never return.
    watch: Option<Watch>,
}

impl Exchange {
    /// Begins the exchange. A script that was quick of late runs here until it waits, or yields at the next epoch
    /// tick. Only then the engine's threads take over. If the script then waits for its reader, the reader may drive it.
    pub(crate) fn start(engine: &Engine, setup: Setup, permit: Permit) -> Self {
        let (writer, stdout) = pipe(setup.response_buffer);
        let (request_id, stdin) = (setup.info.request_id().clone(), setup.stdin.clone());
        let stderr = Stderr::new(request_id.clone(), Some(setup.info.clone()));
        let watch = setup.deadline.filter(|_| setup.script.sees_files && setup.files.may_hang());
        let watch = watch.map(|deadline| Watch::new(setup.start, deadline, engine.threads().clone()));
        // Made here, because a task may be ended before it has begun.
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

    /// The next part of the script's head.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::MalformedRequest`] if the request's body broke off, and the script has read all that came of it.
    pub(crate) async fn read(&mut self) -> Option<Result<Bytes, Error>> {
        poll_fn(|cx| {
            // The output before that read may be the head.
            if let Poll::Ready(piece) = self.stdout.poll_read(cx) {
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

    /// Notes that the script's answer has begun. From here on the script goes on, whatever becomes of the request's body.
    pub(crate) fn answer_begun(&self) {
        self.stdin.answer_begun();
    }

    /// The script's output, as from [`Reader::poll_read`]. A script that only waited for its reader may be run
    /// here until it has written more.
    pub(crate) fn poll_read(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Bytes, Error>>> {
        let Some(relay) = &mut self.relay else {
            return match self.stdout.poll_read(cx) {
                Poll::Pending => self.poll_late(cx).map(|late| Some(Err(late))),
                piece => piece,
            };
        };
        relay.poll_piece(cx, &mut self.stdout)
    }

    /// Ready when the deadline has passed and the task is stuck, with the logged error.
    fn poll_late(&mut self, cx: &mut Context<'_>) -> Poll<Error> {
        let Some(watch) = &mut self.watch else { return Poll::Pending };
        watch.poll_late(cx).map(|late| outcome::logged(late, &self.request_id, &self.stderr))
    }

    /// Logs `error`, which the script's output has caused, with the end of stderr. Does nothing if it is logged already.
    pub(crate) fn logged(&self, error: Error) -> Error {
        outcome::logged(error, &self.request_id, &self.stderr)
    }

    /// Lets the script finish although nobody reads the rest of its output: the client has all it wanted. The script's remaining
    /// work, such as saving a session, must not be cut off.
    pub(crate) fn let_go_on(mut self) {
        self.stdout.discard();
        self.task = None;
    }
}

impl Drop for Exchange {
    fn drop(&mut self) {
        let Some(task) = self.task.take() else { return };
        if self.stdout.has_ended_well() {
            // A script that closed its stdout has no more output, but may have more work.
            self.stdout.discard();
        } else if self.stdout.is_outlived() {
            let site = self.request_id.site();
            tracing::info!(request_id = %self.request_id, site, "the client left, the script goes on as it asked to");
            // Nobody is left who could prevent it.
            self.stdin.answer_begun();
            self.stdout.discard();
        } else {
            task.abort();
        }
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
            // Nobody waits for a script without a reader, so nobody would end it.
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
        tracing::warn!(%request_id, site = request_id.site(), "{cut}, after the script had begun its answer");
    }
    // Nobody needs the rest of the request's body now.
    drop(stdin);
    // The instance is gone, so a client that sees the response's end finds the permit free.
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

/// Polls `run` once, and leaves it to `threads` if it is not over then. A panic is left to them too, because the caller
/// has done nothing wrong.
fn begin_in_place(mut run: Run, threads: &Handle) -> Option<(AbortHandle, Relay)> {
    // Its timers belong to the engine. The next poll brings a waker.
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
    let Setup { script, files, arguments, environ, stdin, info, max_memory, max_tmp, may_ignore_abort, .. } = setup;
    let sockets = Sockets::new(setup.outbound, info.request_id().clone());
    let descriptors = files.descriptors();
    let may_hang = script.sees_files && files.may_hang();
    let view = match script.sees_files {
        true if may_hang => Some(block_in_place_async(files.check_out(engine.threads())).await?),
        true => Some(files.check_out(engine.threads()).await?),
        false => None,
    };
    let waits_to_read = stdin.clone();
    let slices = Slices::new(Arc::clone(engine.stints()), in_place);
    let state = HostState::new(Given {
        view,
        turns: Turns::new(info.request_id().clone(), Arc::clone(queues)),
        sockets,
        descriptors,
        habits: Arc::clone(&script.habits),
        arguments,
        environ,
        stdin,
        stdout: stdout.clone(),
        stderr: stderr.clone(),
        may_ignore_abort,
        exchange: info.clone(),
        max_memory,
        max_tmp,
    });
    let mut kept = Kept::new(Store::new(engine.wasmtime(), state), may_hang);
    let store = kept.store();
    store.limiter(|state| &mut state.memory);
    // The first tick may come at once.
    store.set_epoch_deadline(1 + if in_place { IN_PLACE } else { SLICE });
    let of_epoch = slices.clone();
    store.epoch_deadline_callback(move |_store| Ok(of_epoch.next()));

    let _ticking = Ticking::start();
    let result = {
        let mut call = pin!(call(&script.program, store, &info));
        // Output reaches the reader whenever the script waits or yields, not at each of its writes.
        poll_fn(|cx| {
            let since = Instant::now();
            info.is_at(ExchangeState::Computing);
            let mut poll = || call.as_mut().poll(cx);
            let progress = slices.poll(|| if may_hang { block_in_place(poll) } else { poll() });
            info.computed(since.elapsed());
            if progress.is_pending() {
                info.is_at(match () {
                    () if stdout.is_waiting() => ExchangeState::Writing,
                    () if waits_to_read.is_waiting() => ExchangeState::Reading,
                    () if queues.load(Ordering::Relaxed) => ExchangeState::File,
                    () => ExchangeState::Computing,
                });
                stdout.wake_reader();
            }
            progress
        })
        .await
    };
    if result.as_ref().map_or_else(|error| error.is::<Exit>(), |()| true) {
        store.data_mut().sockets.end_well();
    }
    outcome::judge(result, store.data().memory.is_exceeded(), info.request_id())
}

async fn call(program: &Program, store: &mut Store<HostState>, info: &ExchangeInfo) -> wasmtime::Result<()> {
    let since = Instant::now();
    match program {
        Program::Module { instance_pre, beginning, start } => {
            let instance = beginning.instantiate(instance_pre, store).await?;
            info.has_instance(since);
            store.data_mut().memory.has(beginning.memory_len());
            let start = instance.get_module_export(&mut *store, start).and_then(wasmtime::Extern::into_func);
            start.expect("checked when the script was loaded").typed::<(), ()>(&*store)?.call_async(store, ()).await
        }
        // In a box, so that modules do not carry its size.
        Program::Component(command) => Box::pin(run_command(command, store, since, info)).await,
    }
}

async fn run_command(
    command: &CommandPre<HostState>,
    store: &mut Store<HostState>,
    since: Instant,
    info: &ExchangeInfo,
) -> wasmtime::Result<()> {
    let command = command.instantiate_async(&mut *store).await?;
    info.has_instance(since);
    command.wasi_cli_run().call_run(store).await?.map_err(|()| Exit(1).into())
}

/// Runs if the task ends before it has taken the id: the client has left, or the task has panicked. After a panic nothing else
/// would tell the reader.
struct Departure {
    request_id: Option<RequestId>,
    stdout: Writer,
}

impl Drop for Departure {
    fn drop(&mut self) {
        if let Some(request_id) = &self.request_id {
            let site = request_id.site();
            if std::thread::panicking() {
                tracing::error!(%request_id, site, "the exchange panicked");
            } else {
                tracing::info!(%request_id, site, "the client left before the script's end, the script was ended");
            }
            self.stdout.finish(Err(Error::new(ErrorKind::Host, "the exchange broke off").into_logged()));
        }
    }
}

/// How many epoch ticks a script that begins on a thread that is not the engine's computes there.
const IN_PLACE: u64 = 1;
/// How long a script without a deadline may go on without a reader.
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
