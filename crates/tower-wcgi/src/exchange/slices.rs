//! Time slices: scripts that compute for long run in stints, and others hardly wait for them. A stint is the right to a batch of
//! slices.
//!
//! A script has a slice of some epoch ticks. Then another task that is ready gets the thread. To go on after its first slice it
//! needs a stint, of which the engine has one for each of its threads. With a stint it goes on for many slices, yielding after
//! each, until it waits for something. So a short request waits only for slices of scripts that have a stint, however many
//! compute for long. Nor do these scripts replace each other's data in the processor's caches every few milliseconds.

use std::future::poll_fn;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::Poll;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use wasmtime::UpdateDeadline;

/// How many epoch ticks a script computes before it yields the thread. That is mostly enough for a whole request to an
/// interpreter that has started before.
pub(super) const SLICE: u64 = 5;
/// The number of slices in a stint.
const STINT: u32 = 10;

/// The slices of one exchange.
#[derive(Debug, Clone)]
pub(super) struct Slices(Arc<SharedSlices>);

#[derive(Debug)]
struct SharedSlices {
    stints: Arc<Semaphore>,
    state: Mutex<SliceState>,
}

#[derive(Debug)]
struct SliceState {
    turn: Turn,
    /// Whether a slice has ended in the current poll.
    has_yielded: bool,
}

#[derive(Debug)]
enum Turn {
    /// It has so many slices before it needs a stint, the current one included.
    Fresh { slices: u32 },
    /// It has a stint, of which so many slices are left.
    Stint { slices: u32, _permit: OwnedSemaphorePermit },
    /// It waits for a stint.
    Waiting,
}

impl Slices {
    /// `stints` are those of all exchanges of an engine. A script that begins in place is stopped before it has had a slice.
    pub(super) fn new(stints: Arc<Semaphore>, in_place: bool) -> Self {
        let turn = Turn::Fresh { slices: if in_place { 2 } else { 1 } };
        Self(Arc::new(SharedSlices { stints, state: Mutex::new(SliceState { turn, has_yielded: false }) }))
    }

    /// Polls the script. If it waits for something, it gives its stint back, and begins with a new slice afterwards: the old slice
    /// is over by then.
    pub(super) fn poll<T>(&self, script: impl FnOnce() -> Poll<T>) -> Poll<T> {
        self.0.lock().has_yielded = false;
        let progress = script();
        let mut state = self.0.lock();
        if progress.is_pending() && !state.has_yielded && !matches!(state.turn, Turn::Waiting) {
            state.turn = Turn::Fresh { slices: 2 };
        }
        progress
    }

    /// The script's next step at the end of a slice.
    pub(super) fn next(&self) -> UpdateDeadline {
        let mut state = self.0.lock();
        state.has_yielded = true;
        if let Turn::Fresh { slices } | Turn::Stint { slices, .. } = &mut state.turn
            && *slices > 1
        {
            *slices -= 1;
            return UpdateDeadline::Yield(SLICE);
        }
        let over = std::mem::replace(&mut state.turn, Turn::Waiting);
        let shared = Arc::clone(&self.0);
        UpdateDeadline::YieldCustom(
            SLICE,
            Box::pin(async move {
                // Scripts that have begun meanwhile come first, even if a stint is free, and before the one that gets this stint.
                yield_now().await;
                drop(over);
                let permit = Arc::clone(&shared.stints).acquire_owned().await;
                let permit = permit.expect("stints are never closed");
                shared.lock().turn = Turn::Stint { slices: STINT, _permit: permit };
            }),
        )
    }
}

impl SharedSlices {
    fn lock(&self) -> MutexGuard<'_, SliceState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Yields to the end of the queue that all threads share. tokio's own yield waits until one thread has nothing else to do.
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

    type Stint = Pin<Box<dyn Future<Output = ()> + Send>>;

    /// The script is polled, computes to the end of a slice and yields: whether it may go on at once, or what it waits for.
    fn compute(slices: &Slices) -> Option<Stint> {
        let mut stint = None;
        let poll: Poll<()> = slices.poll(|| {
            stint = match slices.next() {
                UpdateDeadline::Yield(SLICE) => None,
                UpdateDeadline::YieldCustom(SLICE, stint) => Some(stint),
                _ => panic!("the script neither yields nor waits"),
            };
            Poll::Pending
        });
        assert!(poll.is_pending());
        stint
    }

    /// The script is polled and waits for something.
    fn wait(slices: &Slices) {
        assert!(slices.poll(|| Poll::<()>::Pending).is_pending());
    }

    /// The script is polled, and waits for its stint if it does not get it now.
    fn gets(slices: &Slices, stint: &mut Stint) -> bool {
        slices.poll(|| stint.as_mut().poll(&mut Context::from_waker(Waker::noop()))) == Poll::Ready(())
    }

    #[test]
    fn those_that_compute_for_long_work_in_stints() {
        let stints = Arc::new(Semaphore::new(1));
        let (first, second) = (Slices::new(Arc::clone(&stints), false), Slices::new(stints, false));
        let mut stint = compute(&first).unwrap();
        assert!(!gets(&first, &mut stint), "others come first");
        assert!(gets(&first, &mut stint));

        let mut waits = compute(&second).unwrap();
        for slice in 1..STINT {
            assert!(compute(&first).is_none(), "slice {slice}");
            assert!(!gets(&second, &mut waits), "slice {slice}");
        }
        let mut again = compute(&first).unwrap();
        assert!(!gets(&first, &mut again) && !gets(&second, &mut waits), "others come first");
        assert!(!gets(&first, &mut again), "the stint is the second's");
        assert!(gets(&second, &mut waits));
        assert!(!gets(&first, &mut again), "for as long as it lasts");
        drop((second, waits));
        assert!(gets(&first, &mut again));
    }

    #[test]
    fn whoever_waits_for_something_gives_its_stint_back() {
        let stints = Arc::new(Semaphore::new(1));
        let slices = Slices::new(Arc::clone(&stints), false);
        let mut stint = compute(&slices).unwrap();
        while !gets(&slices, &mut stint) {}
        assert!(compute(&slices).is_none());
        assert_eq!(stints.available_permits(), 0, "to yield is not to wait");
        wait(&slices);
        wait(&slices);
        assert_eq!(stints.available_permits(), 1);
        assert!(compute(&slices).is_none(), "it begins with a slice");
        assert!(compute(&slices).is_some());
    }

    #[test]
    fn one_that_waits_for_its_stint_has_all_of_it_afterwards() {
        let stints = Arc::new(Semaphore::new(0));
        let slices = Slices::new(Arc::clone(&stints), false);
        let mut stint = compute(&slices).unwrap();
        for _ in 0..3 {
            assert!(!gets(&slices, &mut stint));
        }
        stints.add_permits(1);
        assert!(gets(&slices, &mut stint));
        let whole = (1..=STINT).position(|_| compute(&slices).is_some());
        assert_eq!(whole, Some(STINT as usize - 1));
    }

    #[test]
    fn what_begins_in_place_has_a_slice_before_it_needs_a_stint() {
        let slices = Slices::new(Arc::new(Semaphore::new(1)), true);
        assert!(compute(&slices).is_none());
        assert!(compute(&slices).is_some());
    }
}
