//! Drives one future to its end on this thread.
//!
//! In: a future. Out: its result, or an error if it can never go on. It must not know what the future does.

use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, Wake, Waker};
use std::thread::{self, Thread};

/// The future waits, and there is no other thread that could wake it.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Stalled;

/// Polls until the future is ready. While it waits, this thread sleeps. On a system without threads, a wait
/// would never end unless the future has been woken, so that is an error.
pub(crate) fn block_on<F: Future>(future: F) -> Result<F::Output, Stalled> {
    let has_threads = !cfg!(target_family = "wasm") || cfg!(target_feature = "atomics");
    drive(future, has_threads.then(thread::current))
}

fn drive<F: Future>(future: F, sleeper: Option<Thread>) -> Result<F::Output, Stalled> {
    let mut future = pin!(future);
    let signal = Arc::new(Signal { woken: AtomicBool::new(false), sleeper });
    let waker = Waker::from(Arc::clone(&signal));
    let mut context = Context::from_waker(&waker);
    loop {
        if let Poll::Ready(output) = future.as_mut().poll(&mut context) {
            return Ok(output);
        }
        while !signal.woken.swap(false, Ordering::Acquire) {
            if signal.sleeper.is_none() {
                return Err(Stalled);
            }
            thread::park();
        }
    }
}

/// Whether the future was woken.
struct Signal {
    woken: AtomicBool,
    /// The thread that polls, if it can sleep meanwhile.
    sleeper: Option<Thread>,
}

impl Wake for Signal {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        self.woken.store(true, Ordering::Release);
        if let Some(sleeper) = &self.sleeper {
            sleeper.unpark();
        }
    }
}

#[cfg(test)]
mod tests {
    use std::future::{pending, poll_fn, ready};
    use std::sync::mpsc;

    use super::*;

    /// Pending once; `wake` is given the waker.
    async fn once(wake: impl FnOnce(Waker)) -> u32 {
        let mut wake = Some(wake);
        poll_fn(|context| match wake.take() {
            Some(wake) => {
                wake(context.waker().clone());
                Poll::Pending
            }
            None => Poll::Ready(7),
        })
        .await
    }

    #[test]
    fn what_is_ready_or_wakes_itself_needs_no_threads() {
        assert_eq!(drive(ready(7), None), Ok(7));
        assert_eq!(drive(once(|waker| waker.wake()), None), Ok(7));
    }

    #[test]
    fn what_nobody_can_wake_is_an_error() {
        assert_eq!(drive(pending::<()>(), None), Err(Stalled));
    }

    #[test]
    fn another_thread_wakes() {
        let (send, receive) = mpsc::channel::<Waker>();
        let other = thread::spawn(move || receive.recv().unwrap().wake());
        assert_eq!(block_on(once(|waker| send.send(waker).unwrap())), Ok(7));
        other.join().unwrap();
    }
}
