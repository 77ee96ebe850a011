//! The reader of a script's output may drive the script itself while the script only writes.
//!
//! In: the run of a script that has waited once. Out: a task that runs it to its end on the engine's threads, and a way to
//! poll it elsewhere in between. Otherwise script and reader would wait for each other, which costs two changes of threads
//! for each piece of a long body.

use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::pin::{Pin, pin};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, TryLockError};
use std::task::{Context, Poll, Waker};
use std::time::{Duration, Instant};

use bytes::Bytes;
use tokio::runtime::Handle;
use tokio::task::{AbortHandle, unconstrained};

use crate::backoff::Backoff;
use crate::error::Error;
use crate::stdio::Reader;

/// The run of a script.
pub(super) type Run = Pin<Box<dyn Future<Output = ()> + Send>>;

/// The reader's side.
#[derive(Debug)]
pub(super) struct Relay {
    shared: Arc<SharedRun>,
    threads: Handle,
    /// After a piece that took long here, the next pieces are left to the task: this thread is not the engine's.
    backoff: Backoff,
}

impl Relay {
    /// Leaves a run to a task of `threads`.
    pub(super) fn start(progress: Progress, threads: &Handle) -> (AbortHandle, Self) {
        let shared = Arc::new(SharedRun(Mutex::new(RelayState { progress, task: None })));
        let task = threads.spawn(Task(Arc::clone(&shared))).abort_handle();
        (task, Self { shared, threads: threads.clone(), backoff: Backoff::new(MAX_PENALTY) })
    }

    /// The next piece of `stdout`. A script that waits for its reader is run here until it has written the piece. If that took long
    /// of late, it is woken instead.
    pub(super) fn poll_piece(
        &mut self,
        cx: &mut Context<'_>,
        stdout: &mut Reader,
    ) -> Poll<Option<Result<Bytes, Error>>> {
        let is_due = self.backoff.is_due();
        if stdout.come_back() && !(is_due && self.carry_on()) {
            stdout.wake_writer();
        }
        let piece = if self.backoff.is_due() { stdout.poll_take(cx) } else { stdout.poll_read(cx) };
        if piece.is_ready() && !is_due {
            self.backoff.take_chance();
        }
        piece
    }

    /// Polls the script here. False if that is not possible: another thread is polling it, or it is over. The event that it waits
    /// for wakes its task, which also reports its end and a panic.
    fn carry_on(&mut self) -> bool {
        let Some(mut state) = self.shared.try_lock() else { return false };
        let Some(task) = state.task.clone() else { return false };
        let Some(mut run) = state.take_run() else { return false };
        let begin = Instant::now();
        let _clock = self.threads.enter();
        // The script must not use up the reader's own budget.
        let poll = || pin!(unconstrained(run.as_mut())).poll(&mut Context::from_waker(&task));
        state.progress = match catch_unwind(AssertUnwindSafe(poll)) {
            Ok(Poll::Pending) => Progress::Running(run),
            Ok(Poll::Ready(())) => Progress::Over,
            Err(panic) => Progress::Panicked(run, panic),
        };
        if !matches!(state.progress, Progress::Running(_)) {
            task.wake();
        }
        self.backoff.tried(begin.elapsed() <= SHORT);
        true
    }
}

/// Runs the script to its end, or ends it when dropped.
struct Task(Arc<SharedRun>);

impl Future for Task {
    type Output = ();

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let mut state = self.0.lock();
        if state.task.as_ref().is_none_or(|task| !task.will_wake(cx.waker())) {
            state.task = Some(cx.waker().clone());
        }
        // Taken out, so that it is dropped by a panic, and knows.
        match std::mem::replace(&mut state.progress, Progress::Over) {
            Progress::Running(mut run) => {
                let progress = run.as_mut().poll(cx);
                if progress.is_pending() {
                    state.progress = Progress::Running(run);
                }
                progress
            }
            Progress::Over => Poll::Ready(()),
            Progress::Panicked(_run, panic) => resume_unwind(panic),
        }
    }
}

impl Drop for Task {
    fn drop(&mut self) {
        let progress = std::mem::replace(&mut self.0.lock().progress, Progress::Over);
        drop(progress);
    }
}

struct SharedRun(Mutex<RelayState>);

impl std::fmt::Debug for SharedRun {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SharedRun").finish_non_exhaustive()
    }
}

impl SharedRun {
    fn lock(&self) -> MutexGuard<'_, RelayState> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn try_lock(&self) -> Option<MutexGuard<'_, RelayState>> {
        match self.0.try_lock() {
            Ok(state) => Some(state),
            Err(TryLockError::Poisoned(state)) => Some(state.into_inner()),
            Err(TryLockError::WouldBlock) => None,
        }
    }
}

struct RelayState {
    progress: Progress,
    task: Option<Waker>,
}

impl RelayState {
    /// Takes the run, if it runs. The caller then puts the next state in its place.
    fn take_run(&mut self) -> Option<Run> {
        match std::mem::replace(&mut self.progress, Progress::Over) {
            Progress::Running(run) => Some(run),
            other => {
                self.progress = other;
                None
            }
        }
    }
}

/// The state of a run.
pub(super) enum Progress {
    Running(Run),
    Over,
    /// It panicked while the reader polled it. The task will report that.
    Panicked(Run, Box<dyn Any + Send>),
}

/// How long the reader's thread may be held.
const SHORT: Duration = Duration::from_millis(1);
const MAX_PENALTY: u32 = 64;

#[cfg(test)]
mod tests {
    use std::future::{pending, poll_fn};
    use std::sync::mpsc::{Sender, channel};
    use std::thread;

    use super::*;

    /// Tells whether it was dropped by a panic.
    struct Ended(Sender<bool>);

    impl Drop for Ended {
        fn drop(&mut self) {
            let _ = self.0.send(thread::panicking());
        }
    }

    /// A run that calls `step` at each of its polls, and its relay once the task waits.
    async fn relay(mut step: impl FnMut(u32) -> Poll<()> + Send + 'static) -> (AbortHandle, Relay) {
        let mut polls = 0;
        let run = poll_fn(move |_| {
            polls += 1;
            step(polls)
        });
        let (task, relay) = Relay::start(Progress::Running(Box::pin(run)), &Handle::current());
        // On a runtime of one thread the task has its turn now.
        tokio::task::yield_now().await;
        (task, relay)
    }

    #[tokio::test]
    async fn the_reader_brings_a_run_to_its_end_and_the_task_ends_with_it() {
        let (task, mut relay) = relay(|polls| if polls < 3 { Poll::Pending } else { Poll::Ready(()) }).await;
        assert!(relay.carry_on() && !task.is_finished());
        assert!(relay.carry_on());
        assert!(!relay.carry_on(), "it is over");
        tokio::task::yield_now().await;
        assert!(task.is_finished());
    }

    #[tokio::test]
    async fn a_panic_is_the_tasks() {
        let (ended, was_panicking) = channel();
        let ended = Ended(ended);
        let (task, mut relay) = relay(move |polls| {
            let _ended = &ended;
            if polls == 2 { resume_unwind(Box::new("what a fault of the host does")) } else { Poll::Pending }
        })
        .await;
        assert!(relay.carry_on());
        assert!(was_panicking.try_recv().is_err());
        tokio::task::yield_now().await;
        assert!(task.is_finished());
        assert_eq!(was_panicking.try_recv(), Ok(true));
    }

    #[tokio::test]
    async fn a_task_that_is_ended_ends_the_run_though_its_reader_is_there() {
        let (ended, was_panicking) = channel();
        let run = async move {
            let _ended = Ended(ended);
            pending::<()>().await;
        };
        let (task, mut relay) = Relay::start(Progress::Running(Box::pin(run)), &Handle::current());
        tokio::task::yield_now().await;
        task.abort();
        tokio::task::yield_now().await;
        assert_eq!(was_panicking.try_recv(), Ok(false));
        assert!(!relay.carry_on());
    }

    #[tokio::test]
    async fn what_takes_long_is_left_to_the_task_for_a_while() {
        let (_task, mut relay) = relay(|polls| {
            let begin = Instant::now();
            while polls == 2 && begin.elapsed() <= SHORT {}
            Poll::Pending
        })
        .await;
        assert!(relay.backoff.is_due() && relay.carry_on());
        assert!(!relay.backoff.is_due());
        relay.backoff.take_chance();
        assert!(relay.backoff.is_due());
    }
}
