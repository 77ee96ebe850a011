//! File systems that do not answer, as FUSE or NFS without the other side.
//!
//! A file call is made on the guest's thread. If a mount may hang, the runtime learns that the guest's thread may be
//! gone, so another thread takes its place. The reader has its own clock, because the exchange's task is stuck in its poll.

use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::{Duration, Instant};

use tokio::runtime::Handle;
use tokio::task::block_in_place;
use tokio::time::{Sleep, sleep_until};
use wasmtime::Store;

use crate::error::{Error, ErrorKind};
use crate::host::HostState;

/// A store that may hold the thread when it is dropped, because its files are closed then.
pub(super) struct Kept {
    store: Option<Store<HostState>>,
    may_hang: bool,
}

impl Kept {
    pub(super) fn new(store: Store<HostState>, may_hang: bool) -> Self {
        Self { store: Some(store), may_hang }
    }

    pub(super) fn store(&mut self) -> &mut Store<HostState> {
        self.store.as_mut().expect("taken only by drop")
    }
}

impl Drop for Kept {
    fn drop(&mut self) {
        if self.may_hang {
            block_in_place(|| drop(self.store.take()));
        }
    }
}

/// The reader's own look at the deadline.
#[derive(Debug)]
pub(super) struct Watch {
    start: Instant,
    deadline: Duration,
    threads: Handle,
    sleep: Option<Pin<Box<Sleep>>>,
}

impl Watch {
    pub(super) fn new(start: Instant, deadline: Duration, threads: Handle) -> Self {
        Self { start, deadline, threads, sleep: None }
    }

    /// Ready when the deadline has passed and the exchange itself has not reported it.
    pub(super) fn poll_late(&mut self, cx: &mut Context<'_>) -> Poll<Error> {
        let Self { start, deadline, threads, sleep } = self;
        let sleep = sleep.get_or_insert_with(|| {
            let _clock = threads.enter();
            Box::pin(sleep_until((*start + *deadline + PATIENCE).into()))
        });
        ready!(sleep.as_mut().poll(cx));
        let after = start.elapsed().as_secs_f64();
        let message = format!(
            "the deadline of {deadline:?} came, after {after:.3} s the script is in a call that does not return, perhaps of a \
             file system that hangs; its thread and its permit are lost until it does"
        );
        Poll::Ready(Error::new(ErrorKind::DeadlineExceeded, message))
    }
}

/// The time in which the exchange can still end by itself, and report its state.
const PATIENCE: Duration = Duration::from_millis(100);
