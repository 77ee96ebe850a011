//! Time slices: scripts that compute for long work in stints, and others hardly wait for them.
//!
//! A script has a slice of some epoch ticks, then whoever else is ready gets the thread. To go on after its first slice it needs a
//! stint, of which the engine has one for each of its threads. With it, it goes on for many slices, yielding after each, until it waits for something. So a
//! request that is soon over waits for a slice of those that have a stint, however many compute for long; and what these have
//! in the processor's caches is not swept out by each other every few milliseconds.

use std::future::poll_fn;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::Poll;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use wasmtime::UpdateDeadline;

/// How many epoch ticks a script computes before it lets others have the thread: as a rule, enough for a whole request to an
/// interpreter that has started before.
pub(super) const SLICE: u64 = 5;
/// How many slices a stint is.
const STINT: u32 = 10;

/// The slices of one exchange.
#[derive(Debug, Clone)]
pub(crate) struct Slices(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    stints: Arc<Semaphore>,
    stint: Mutex<Option<OwnedSemaphorePermit>>,
    /// Slices until it needs a stint, or another one.
    left: AtomicU32,
    yields: AtomicBool,
}

impl Slices {
    /// `stints` are those of all exchanges of an engine. What begins in place is stopped before it has had a slice.
    pub(super) fn new(stints: Arc<Semaphore>, in_place: bool) -> Self {
        let left = AtomicU32::new(if in_place { 2 } else { 1 });
        Self(Arc::new(Shared { stints, stint: Mutex::new(None), left, yields: AtomicBool::new(false) }))
    }

    /// What the script does when a slice is over.
    pub(super) fn next(&self) -> UpdateDeadline {
        self.0.yields.store(true, Ordering::Relaxed);
        // Only the exchange itself changes it, from whatever thread runs it.
        let left = self.0.left.load(Ordering::Relaxed);
        if left > 1 {
            self.0.left.store(left - 1, Ordering::Relaxed);
            return UpdateDeadline::Yield(SLICE);
        }
        let over = self.0.take();
        let shared = Arc::clone(&self.0);
        UpdateDeadline::YieldCustom(
            SLICE,
            Box::pin(async move {
                // Those that have begun meanwhile come first, even if a stint is free, and before whoever gets this one.
                yield_now().await;
                drop(over);
                let stint = Arc::clone(&shared.stints).acquire_owned().await;
                *shared.stint.lock().unwrap_or_else(PoisonError::into_inner) = stint.ok();
                shared.left.store(STINT, Ordering::Relaxed);
            }),
        )
    }

    /// The script has let others have the thread. If it waits for something, it does not keep its stint, and begins with a slice
    /// afterwards: the one it was in is over by then.
    pub(super) fn pending(&self) {
        if !self.0.yields.swap(false, Ordering::Relaxed) {
            self.0.left.store(2, Ordering::Relaxed);
            drop(self.0.take());
        }
    }
}

impl Shared {
    fn take(&self) -> Option<OwnedSemaphorePermit> {
        self.stint.lock().unwrap_or_else(PoisonError::into_inner).take()
    }
}

/// Goes to the end of the queue that any of the threads takes from. tokio's own waits for one thread to have nothing else to do.
async fn yield_now() {
    let mut yielded = false;
    poll_fn(|cx| {
        if std::mem::replace(&mut yielded, true) {
            return Poll::Ready(());
        }
        cx.waker().wake_by_ref();
        Poll::Pending
    })
    .await;
}

#[cfg(test)]
mod tests {
    use std::pin::Pin;
    use std::task::{Context, Waker};

    use super::*;

    /// The end of a slice; whether the script may go on at once, or what it waits for.
    fn next(slices: &Slices) -> Option<Pin<Box<dyn Future<Output = ()> + Send>>> {
        match slices.next() {
            UpdateDeadline::Yield(SLICE) => None,
            UpdateDeadline::YieldCustom(SLICE, stint) => Some(stint),
            _ => panic!("the script neither yields nor waits"),
        }
    }

    fn is_ready(stint: &mut Pin<Box<dyn Future<Output = ()> + Send>>) -> bool {
        stint.as_mut().poll(&mut Context::from_waker(Waker::noop())) == Poll::Ready(())
    }

    #[tokio::test]
    async fn those_that_compute_for_long_work_in_stints() {
        let stints = Arc::new(Semaphore::new(1));
        let (first, second) = (Slices::new(Arc::clone(&stints), false), Slices::new(stints, false));
        let mut stint = next(&first).unwrap();
        assert!(!is_ready(&mut stint), "others come first");
        stint.await;
        first.pending();

        let mut waits = next(&second).unwrap();
        for slice in 1..STINT {
            assert!(next(&first).is_none(), "slice {slice}");
            first.pending();
            assert!(!is_ready(&mut waits), "slice {slice}");
            second.pending();
        }
        let mut again = next(&first).unwrap();
        assert!(!is_ready(&mut again) && !is_ready(&mut waits), "others come first");
        assert!(!is_ready(&mut again), "the stint is the second's");
        waits.await;
        assert!(!is_ready(&mut again), "for as long as it lasts");
        drop(second);
        again.await;
    }

    #[tokio::test]
    async fn whoever_waits_for_something_gives_its_stint_back() {
        let stints = Arc::new(Semaphore::new(1));
        let slices = Slices::new(Arc::clone(&stints), false);
        next(&slices).unwrap().await;
        slices.pending();
        assert_eq!(stints.available_permits(), 0);
        slices.pending();
        assert_eq!(stints.available_permits(), 1);
        assert!(next(&slices).is_none(), "it begins with a slice");
        assert!(next(&slices).is_some());
    }

    #[tokio::test]
    async fn what_begins_in_place_has_a_slice_before_it_needs_a_stint() {
        let slices = Slices::new(Arc::new(Semaphore::new(1)), true);
        assert!(next(&slices).is_none());
        assert!(next(&slices).is_some());
    }
}
