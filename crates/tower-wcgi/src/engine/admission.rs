//! Admission: as many permits as the pool has slots, and a bounded queue before them.
//!
//! Admission happens inside the response future, not in `poll_ready`. axum polls readiness inside its own response future,
//! so a service that is not ready queues there without bound.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use tokio::runtime::Handle;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::error::{Error, ErrorKind};

#[derive(Debug)]
pub(crate) struct Admission {
    permits: Arc<Semaphore>,
    waiting: AtomicUsize,
    queue: usize,
    queue_wait: Duration,
}

/// The right to use one slot of the pool. Dropping it gives it back; the exchange does so after its instance is gone.
#[derive(Debug)]
pub(crate) struct Permit(#[expect(dead_code, reason = "held for its drop")] OwnedSemaphorePermit);

impl Admission {
    pub(crate) fn new(max_concurrency: usize, queue: usize, queue_wait: Duration) -> Self {
        Self { permits: Arc::new(Semaphore::new(max_concurrency)), waiting: AtomicUsize::new(0), queue, queue_wait }
    }

    /// Waits for a permit in the queue. `timer` is the runtime whose clock measures the wait.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Overloaded`] if the queue is full or the wait is over.
    pub(crate) async fn acquire(&self, timer: &Handle) -> Result<Permit, Error> {
        if let Ok(permit) = Arc::clone(&self.permits).try_acquire_owned() {
            return Ok(Permit(permit));
        }
        let _place = Place::take(&self.waiting, self.queue)?;
        let wait = {
            let _clock = timer.enter();
            tokio::time::timeout(self.queue_wait, Arc::clone(&self.permits).acquire_owned())
        };
        match wait.await {
            Ok(Ok(permit)) => Ok(Permit(permit)),
            Ok(Err(_closed)) => Err(Error::new(ErrorKind::Host, "the engine is shutting down")),
            Err(_elapsed) => Err(Error::new(
                ErrorKind::Overloaded,
                format!("no permit came free within {:?}, {} wait", self.queue_wait, self.waiting()),
            )),
        }
    }

    pub(crate) fn available(&self) -> usize {
        self.permits.available_permits()
    }

    pub(crate) fn waiting(&self) -> usize {
        self.waiting.load(Ordering::Relaxed)
    }
}

/// A place in the queue.
struct Place<'a>(&'a AtomicUsize);

impl<'a> Place<'a> {
    fn take(waiting: &'a AtomicUsize, bound: usize) -> Result<Self, Error> {
        if waiting.fetch_add(1, Ordering::Relaxed) < bound {
            Ok(Self(waiting))
        } else {
            waiting.fetch_sub(1, Ordering::Relaxed);
            Err(Error::new(ErrorKind::Overloaded, format!("the queue is full: {bound} wait")))
        }
    }
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn what_is_above_the_queue_is_refused_at_once_and_what_waits_too_long_later() {
        let admission = Admission::new(1, 1, Duration::from_secs(5));
        let timer = Handle::current();
        let held = admission.acquire(&timer).await.unwrap();
        let mut queued = Box::pin(admission.acquire(&timer));
        assert!(futures_pending(&mut queued).await);
        let refused = admission.acquire(&timer).await.unwrap_err();
        assert_eq!(refused.kind(), ErrorKind::Overloaded);
        assert_eq!(refused.to_string(), "the queue is full: 1 wait");

        drop(held);
        let held = queued.await.unwrap();
        assert_eq!((admission.available(), admission.waiting()), (0, 0));

        let late = admission.acquire(&timer).await.unwrap_err();
        assert_eq!(late.kind(), ErrorKind::Overloaded);
        drop(held);
        assert_eq!((admission.available(), admission.waiting()), (1, 0));
    }

    #[tokio::test(start_paused = true)]
    async fn a_waiter_that_leaves_frees_its_place() {
        let admission = Admission::new(1, 1, Duration::from_secs(5));
        let timer = Handle::current();
        let _held = admission.acquire(&timer).await.unwrap();
        let mut queued = Box::pin(admission.acquire(&timer));
        assert!(futures_pending(&mut queued).await);
        assert_eq!(admission.waiting(), 1);
        drop(queued);
        assert_eq!(admission.waiting(), 0);
    }

    /// Polls once.
    async fn futures_pending<F: Future + Unpin>(future: &mut F) -> bool {
        std::future::poll_fn(|cx| std::task::Poll::Ready(std::pin::Pin::new(&mut *future).poll(cx).is_pending())).await
    }
}
