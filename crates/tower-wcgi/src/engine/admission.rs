//! Admission: as many permits as the pool has slots, and a bounded queue before them. Tenants share both.
//!
//! Admission happens inside the response future, not in `poll_ready`. axum polls readiness inside its own response future,
//! so a service that is not ready queues there without bound.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;

use tokio::runtime::Handle;
use tokio::sync::oneshot;

use super::pot::Pot;
use crate::error::{Error, ErrorKind};

/// The permits and the queue. Clones are the same.
#[derive(Debug, Clone)]
pub(crate) struct Admission {
    state: Arc<Mutex<State>>,
    queue_wait: Duration,
}

/// Whose exchanges have one share. Clones are the same; it is gone with the last of them and of its permits.
#[derive(Debug, Clone)]
pub(crate) struct Tenant(Arc<Registered>);

/// The right to use one slot of the pool. Dropping it gives it back; the exchange does so after its instance is gone.
#[derive(Debug)]
pub(crate) struct Permit(Tenant);

#[derive(Debug)]
struct Registered {
    number: usize,
    name: Option<Arc<str>>,
    admission: Admission,
}

#[derive(Debug)]
struct State {
    permits: Pot,
    /// Places in the queue.
    places: Pot,
    /// By number; nothing where there is no tenant any more.
    lines: Vec<Option<Line>>,
    by_name: HashMap<Arc<str>, Weak<Registered>>,
    waiting: usize,
    /// Where fair queueing is, in its own time.
    now: f64,
    /// The next waiter's.
    id: u64,
}

/// Those of one tenant that wait, the first in front.
#[derive(Debug)]
struct Line {
    share: u32,
    /// When its next exchange is due: each moves it on by one part of its share.
    due: f64,
    waiters: VecDeque<Waiter>,
}

#[derive(Debug)]
struct Waiter {
    id: u64,
    tenant: Tenant,
    permit: oneshot::Sender<Permit>,
}

impl Admission {
    pub(crate) fn new(max_concurrency: usize, queue: usize, queue_wait: Duration) -> Self {
        let state = State {
            permits: Pot::new(max_concurrency),
            places: Pot::new(queue),
            lines: Vec::new(),
            by_name: HashMap::new(),
            waiting: 0,
            now: 0.0,
            id: 0,
        };
        Self { state: Arc::new(Mutex::new(state)), queue_wait }
    }

    /// A tenant with this share, and with at most `most` exchanges at once. A name that is there already is the same tenant, with
    /// these settings from here on.
    pub(crate) fn tenant(&self, name: Option<&Arc<str>>, share: u32, most: Option<usize>) -> Tenant {
        let mut state = self.lock();
        let there = name.and_then(|name| state.by_name.get(name)).and_then(Weak::upgrade);
        let registered = there.unwrap_or_else(|| {
            let number = state.lines.iter().position(Option::is_none).unwrap_or(state.lines.len());
            let registered = Arc::new(Registered { number, name: name.cloned(), admission: self.clone() });
            if let Some(name) = name {
                state.by_name.insert(Arc::clone(name), Arc::downgrade(&registered));
            }
            registered
        });
        state.set(registered.number, share.max(1), most.unwrap_or(usize::MAX));
        self.pass_on(state);
        Tenant(registered)
    }

    /// Waits for a permit in the queue. `timer` is the runtime whose clock measures the wait.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Overloaded`] if the queue is full or the wait is over.
    pub(crate) async fn acquire(&self, tenant: &Tenant, timer: &Handle) -> Result<Permit, Error> {
        let (place, permit) = {
            let mut state = self.lock();
            if state.begin(tenant) {
                return Ok(Permit(tenant.clone()));
            }
            state.wait(tenant).ok_or_else(|| {
                let message = format!("the queue is full: {} wait", state.waiting);
                Error::new(ErrorKind::Overloaded, message)
            })?
        };
        let wait = {
            let _clock = timer.enter();
            tokio::time::timeout(self.queue_wait, permit)
        };
        let result = match wait.await {
            Ok(Ok(permit)) => Ok(permit),
            Ok(Err(_closed)) => Err(Error::new(ErrorKind::Host, "the engine is shutting down")),
            Err(_elapsed) => Err(Error::new(
                ErrorKind::Overloaded,
                format!("no permit came free within {:?}, {} wait", self.queue_wait, self.waiting()),
            )),
        };
        drop(place);
        result
    }

    pub(crate) fn available(&self) -> usize {
        self.lock().permits.free()
    }

    pub(crate) fn waiting(&self) -> usize {
        self.lock().waiting
    }

    /// Gives permits to those that wait, as far as there are any.
    fn pass_on(&self, mut state: MutexGuard<'_, State>) {
        let mut next = Vec::new();
        while let Some(waiter) = state.next() {
            next.push(waiter);
        }
        drop(state);
        for Waiter { tenant, permit, .. } in next {
            // From who has left meanwhile it comes back.
            drop(permit.send(Permit(tenant)));
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn set(&mut self, number: usize, share: u32, most: usize) {
        if self.lines.len() <= number {
            self.lines.resize_with(number + 1, || None);
        }
        let now = self.now;
        if let Some(line) = self.lines.get_mut(number) {
            line.get_or_insert_with(|| Line { share, due: now, waiters: VecDeque::new() }).share = share;
        }
        self.permits.set(number, share as usize, most);
        self.places.set(number, share as usize, usize::MAX);
    }

    /// Takes a permit. Whoever of this tenant waits already cannot have it, so nobody is overtaken.
    fn begin(&mut self, tenant: &Tenant) -> bool {
        let begins = self.permits.take(tenant.0.number);
        if begins && let Some(Some(line)) = self.lines.get_mut(tenant.0.number) {
            line.due = line.due.max(self.now) + 1.0 / f64::from(line.share);
        }
        begins
    }

    /// Takes a place at the end of the tenant's line.
    fn wait<'t>(&mut self, tenant: &'t Tenant) -> Option<(Place<'t>, oneshot::Receiver<Permit>)> {
        let number = tenant.0.number;
        if !self.places.take(number) {
            return None;
        }
        let (permit, receiver) = oneshot::channel();
        let id = self.id;
        self.id += 1;
        self.waiting += 1;
        if let Some(Some(line)) = self.lines.get_mut(number) {
            line.waiters.push_back(Waiter { id, tenant: tenant.clone(), permit });
        }
        Some((Place { id, tenant }, receiver))
    }

    /// The next that has a permit: of those tenants that may take one, the first of the one that is due first.
    fn next(&mut self) -> Option<Waiter> {
        if self.waiting == 0 {
            return None;
        }
        let lines = self.lines.iter().enumerate().filter_map(|(number, line)| Some((number, line.as_ref()?)));
        let waiting = lines.filter(|(_, line)| !line.waiters.is_empty());
        let may_begin = waiting.filter(|(number, _)| self.permits.may_take(*number));
        let (number, due) = may_begin.map(|(number, line)| (number, line.due)).min_by(|a, b| a.1.total_cmp(&b.1))?;
        let line = self.lines.get_mut(number)?.as_mut()?;
        let waiter = line.waiters.pop_front()?;
        self.permits.take(number);
        self.now = self.now.max(due);
        line.due = due.max(self.now) + 1.0 / f64::from(line.share);
        Some(waiter)
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        let Self(Tenant(tenant)) = self;
        let mut state = tenant.admission.lock();
        state.permits.give_back(tenant.number);
        tenant.admission.pass_on(state);
    }
}

impl Drop for Registered {
    fn drop(&mut self) {
        let mut state = self.admission.lock();
        if let Some(line) = state.lines.get_mut(self.number) {
            *line = None;
        }
        if let Some(name) = &self.name
            && state.by_name.get(name).is_some_and(|there| there.strong_count() == 0)
        {
            state.by_name.remove(name);
        }
        state.permits.remove(self.number);
        state.places.remove(self.number);
        self.admission.pass_on(state);
    }
}

/// A place in the queue.
struct Place<'t> {
    id: u64,
    tenant: &'t Tenant,
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        let Tenant(tenant) = self.tenant;
        let mut state = tenant.admission.lock();
        state.waiting -= 1;
        state.places.give_back(tenant.number);
        let line = state.lines.get_mut(tenant.number).and_then(Option::as_mut);
        let at = line.and_then(|line| Some((line.waiters.iter().position(|waiter| waiter.id == self.id)?, line)));
        // What it holds is dropped without the lock.
        let left = at.and_then(|(at, line)| line.waiters.remove(at));
        drop(state);
        drop(left);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn what_is_above_the_queue_is_refused_at_once_and_what_waits_too_long_later() {
        let admission = Admission::new(1, 1, Duration::from_secs(5));
        let (tenant, timer) = (admission.tenant(None, 1, None), Handle::current());
        let held = admission.acquire(&tenant, &timer).await.unwrap();
        let mut queued = Box::pin(admission.acquire(&tenant, &timer));
        assert!(is_pending(&mut queued).await);
        let refused = admission.acquire(&tenant, &timer).await.unwrap_err();
        assert_eq!(refused.kind(), ErrorKind::Overloaded);
        assert_eq!(refused.to_string(), "the queue is full: 1 wait");

        drop(held);
        let held = queued.await.unwrap();
        assert_eq!((admission.available(), admission.waiting()), (0, 0));

        let late = admission.acquire(&tenant, &timer).await.unwrap_err();
        assert_eq!(late.kind(), ErrorKind::Overloaded);
        drop(held);
        assert_eq!((admission.available(), admission.waiting()), (1, 0));
    }

    #[tokio::test(start_paused = true)]
    async fn a_waiter_that_leaves_frees_its_place() {
        let admission = Admission::new(1, 1, Duration::from_secs(5));
        let (tenant, timer) = (admission.tenant(None, 1, None), Handle::current());
        let held = admission.acquire(&tenant, &timer).await.unwrap();
        let mut queued = Box::pin(admission.acquire(&tenant, &timer));
        assert!(is_pending(&mut queued).await);
        assert_eq!(admission.waiting(), 1);
        drop(queued);
        assert_eq!(admission.waiting(), 0);
        // Its permit comes back though it was on the way.
        let mut queued = Box::pin(admission.acquire(&tenant, &timer));
        assert!(is_pending(&mut queued).await);
        drop(held);
        drop(queued);
        assert_eq!((admission.available(), admission.waiting()), (1, 0));
    }

    #[tokio::test(start_paused = true)]
    async fn those_that_wait_are_served_by_share() {
        let admission = Admission::new(1, 64, Duration::from_secs(5));
        let timer = Handle::current();
        let [small, large] = [1, 3].map(|share| admission.tenant(None, share, None));
        let mut held = admission.acquire(&small, &timer).await.unwrap();
        let mut waiting = Vec::new();
        for _ in 0..12 {
            for (name, tenant) in [("small", &small), ("large", &large)] {
                let mut acquire = Box::pin(admission.acquire(tenant, &timer));
                assert!(is_pending(&mut acquire).await);
                waiting.push((name, acquire));
            }
        }
        let mut served = Vec::new();
        for _ in 0..12 {
            drop(held);
            let mut at = 0;
            held = loop {
                let (name, acquire) = &mut waiting[at];
                let name = *name;
                if let Some(permit) = poll_once(acquire).await {
                    served.push(name);
                    drop(waiting.remove(at));
                    break permit.unwrap();
                }
                at += 1;
            };
        }
        let large = served.iter().filter(|name| **name == "large").count();
        assert!((8..=10).contains(&large), "three for each one: {served:?}");
    }

    #[tokio::test(start_paused = true)]
    async fn a_flood_leaves_others_their_permits_and_their_places() {
        let admission = Admission::new(8, 8, Duration::from_secs(5));
        let timer = Handle::current();
        let [flood, other] = [(); 2].map(|()| admission.tenant(None, 1, None));
        let mut held = Vec::new();
        let mut waiting = Vec::new();
        for _ in 0..64 {
            let mut acquire = Box::pin(admission.acquire(&flood, &timer));
            match poll_once(&mut acquire).await {
                Some(Ok(permit)) => held.push(permit),
                Some(Err(error)) => assert_eq!(error.kind(), ErrorKind::Overloaded),
                None => waiting.push(acquire),
            }
        }
        assert_eq!((held.len(), waiting.len()), (6, 6));
        let mut others = Vec::new();
        for _ in 0..2 {
            others.push(admission.acquire(&other, &timer).await.unwrap());
        }
        let mut queued = Box::pin(admission.acquire(&other, &timer));
        assert!(is_pending(&mut queued).await);
        others.pop();
        drop(queued.await.unwrap());
    }

    #[tokio::test(start_paused = true)]
    async fn a_name_is_one_tenant_until_it_is_gone() {
        let admission = Admission::new(8, 8, Duration::from_secs(5));
        let (name, timer) = (Arc::from("blog"), Handle::current());
        let old = admission.tenant(Some(&name), 1, Some(1));
        let held = admission.acquire(&old, &timer).await.unwrap();
        let new = admission.tenant(Some(&name), 1, Some(1));
        drop(old);
        let mut queued = Box::pin(admission.acquire(&new, &timer));
        assert!(is_pending(&mut queued).await, "the old one's exchange counts");
        drop(held);
        drop(queued.await.unwrap());
        drop(new);
        assert!(admission.lock().by_name.is_empty());
        assert_eq!(admission.available(), 8);
    }

    async fn poll_once<F: Future + Unpin>(future: &mut F) -> Option<F::Output> {
        std::future::poll_fn(|cx| match std::pin::Pin::new(&mut *future).poll(cx) {
            std::task::Poll::Ready(output) => std::task::Poll::Ready(Some(output)),
            std::task::Poll::Pending => std::task::Poll::Ready(None),
        })
        .await
    }

    async fn is_pending<F: Future + Unpin>(future: &mut F) -> bool {
        poll_once(future).await.is_none()
    }
}
