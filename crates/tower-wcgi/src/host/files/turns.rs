//! Turns: while one exchange writes a file, no other writes it.
//!
//! WASI preview 1 has no locks, so scripts that would take one cannot. The host gives every file opened for writing to one
//! exchange at a time, until the exchange closes it or ends. Exchanges that have locks share a file. There is one table for the
//! process, because several services may mount a file. It must not know paths or WASI: an identity names a file.

use std::collections::{HashMap, VecDeque};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, LazyLock, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::oneshot;

use super::look::FileId;
use crate::request::RequestId;

/// Waiting would never end: whoever has the file waits, perhaps through others, for what this exchange has.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Deadlock;

/// The files that one exchange has to itself. They are given back when it is dropped.
#[derive(Debug)]
pub(crate) struct Turns {
    table: &'static Mutex<Table>,
    owner: Owner,
    held: Vec<Hold>,
    awaited: Option<FileId>,
    waiting: Arc<AtomicBool>,
    request_id: RequestId,
}

/// Why the exchange has a file.
#[derive(Debug)]
struct Hold {
    file: FileId,
    by: By,
}

/// What gives a file back before the exchange ends.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum By {
    /// Closing this descriptor.
    Descriptor(u32),
    /// Removing the lock directory of this name below this descriptor.
    Directory(u32, Box<[u8]>),
    /// Nothing.
    Never,
}

impl Turns {
    /// `waiting` is true while the exchange waits for its turn, and stays so if it ends there.
    pub(crate) fn new(request_id: RequestId, waiting: Arc<AtomicBool>) -> Self {
        static PROCESS: LazyLock<Mutex<Table>> = LazyLock::new(Mutex::default);
        Self::of(&PROCESS, request_id, waiting)
    }

    fn of(table: &'static Mutex<Table>, request_id: RequestId, waiting: Arc<AtomicBool>) -> Self {
        static OWNERS: AtomicU64 = AtomicU64::new(0);
        let owner = Owner(OWNERS.fetch_add(1, Ordering::Relaxed));
        Self { table, owner, held: Vec::new(), awaited: None, waiting, request_id }
    }

    /// Takes `file` when its turn comes, first come, first served. An exchange that has the file already has it at once.
    ///
    /// # Errors
    ///
    /// [`Deadlock`] when the turn could never come.
    pub(crate) async fn take(&mut self, file: FileId, by: By) -> Result<(), Deadlock> {
        self.ask(file, by, Alone(true)).await
    }

    /// The same, but together with all others that take it so: they have [locks](super::locks::Locks) to keep apart by.
    ///
    /// # Errors
    ///
    /// [`Deadlock`] when the turn could never come.
    pub(crate) async fn share(&mut self, file: FileId, by: By) -> Result<(), Deadlock> {
        self.ask(file, by, Alone(false)).await
    }

    async fn ask(&mut self, file: FileId, by: By, alone: Alone) -> Result<(), Deadlock> {
        if !self.has(file) {
            let turn = lock(self.table).ask(self.owner, file, alone)?;
            if let Some(turn) = turn {
                self.awaited = Some(file);
                self.waiting.store(true, Ordering::Relaxed);
                tracing::debug!(request_id = %self.request_id, "the script waits for its turn to write a file");
                let since = Instant::now();
                turn.await.expect("who waits in the table is told before it leaves it");
                self.waiting.store(false, Ordering::Relaxed);
                self.awaited = None;
                self.report(since.elapsed());
            }
        }
        self.held.push(Hold { file, by });
        Ok(())
    }

    /// Gives back what it has by `by`. False if there is nothing.
    pub(crate) fn give_back(&mut self, by: &By) -> bool {
        let Some(index) = self.held.iter().position(|hold| hold.by == *by) else { return false };
        let Hold { file, .. } = self.held.swap_remove(index);
        if !self.has(file) {
            lock(self.table).leave(self.owner, file);
        }
        true
    }

    /// What was held by the descriptor `from` is held by `to` now.
    pub(crate) fn renumber(&mut self, from: u32, to: u32) {
        self.give_back(&By::Descriptor(to));
        if let Some(hold) = self.held.iter_mut().find(|hold| hold.by == By::Descriptor(from)) {
            hold.by = By::Descriptor(to);
        }
    }

    /// What it has by `by` is given back when the exchange ends.
    pub(crate) fn keep(&mut self, by: &By) {
        if let Some(hold) = self.held.iter_mut().find(|hold| hold.by == *by) {
            hold.by = By::Never;
        }
    }

    /// How many holds it has.
    pub(crate) fn held(&self) -> usize {
        self.held.len()
    }

    /// Whether it has `file` by a lock directory.
    pub(crate) fn has_directory(&self, file: FileId) -> bool {
        self.held.iter().any(|hold| hold.file == file && matches!(hold.by, By::Directory(..)))
    }

    fn has(&self, file: FileId) -> bool {
        self.held.iter().any(|hold| hold.file == file)
    }

    fn report(&self, waited: Duration) {
        let request_id = &self.request_id;
        if waited < NOTEWORTHY {
            tracing::debug!(%request_id, ?waited, "the script's turn to write a file came");
        } else {
            tracing::info!(%request_id, ?waited, "the script's turn to write a file came late");
        }
    }
}

impl Drop for Turns {
    fn drop(&mut self) {
        if self.awaited.is_none() && self.held.is_empty() {
            return;
        }
        let mut table = lock(self.table);
        for file in self.awaited.into_iter().chain(self.held.iter().map(|hold| hold.file)) {
            table.leave(self.owner, file);
        }
    }
}

/// Who has which file, and who waits for it.
#[derive(Debug, Default)]
struct Table {
    files: HashMap<FileId, Line>,
    /// The file each waiting exchange waits for; it is one, as a script does one thing at a time.
    awaited: HashMap<Owner, FileId>,
}

#[derive(Debug)]
struct Line {
    /// One, or some that share the file. There is always one.
    owners: Vec<Owner>,
    alone: Alone,
    waiting: VecDeque<Waiting>,
}

#[derive(Debug)]
struct Waiting {
    owner: Owner,
    alone: Alone,
    tell: oneshot::Sender<()>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
struct Owner(u64);

/// Whether nobody else may have the file.
#[derive(Debug, Clone, Copy)]
struct Alone(bool);

impl Table {
    /// Gives `file` to `owner`, or the place in line to wait at.
    fn ask(&mut self, owner: Owner, file: FileId, alone: Alone) -> Result<Option<oneshot::Receiver<()>>, Deadlock> {
        let Some(line) = self.files.get_mut(&file) else {
            self.files.insert(file, Line { owners: vec![owner], alone, waiting: VecDeque::new() });
            return Ok(None);
        };
        if !alone.0 && !line.alone.0 && line.waiting.is_empty() {
            line.owners.push(owner);
            return Ok(None);
        }
        if self.is_behind(file, owner) {
            return Err(Deadlock);
        }
        let (tell, turn) = oneshot::channel();
        if let Some(line) = self.files.get_mut(&file) {
            line.waiting.push_back(Waiting { owner, alone, tell });
        }
        self.awaited.insert(owner, file);
        Ok(Some(turn))
    }

    /// Whether somebody who has `file` waits, perhaps through others, for what `owner` has. Everybody in a line is behind
    /// those who have the file, whoever else is ahead of him.
    fn is_behind(&self, file: FileId, owner: Owner) -> bool {
        let mut seen = vec![file];
        let mut pending = vec![file];
        while let Some(line) = pending.pop().and_then(|file| self.files.get(&file)) {
            for awaited in line.owners.iter().filter_map(|ahead| self.awaited.get(ahead)) {
                if self.files.get(awaited).is_some_and(|next| next.owners.contains(&owner)) {
                    return true;
                }
                if !seen.contains(awaited) {
                    seen.push(*awaited);
                    pending.push(*awaited);
                }
            }
        }
        false
    }

    /// `owner` has no more to do with `file`, whether it had it or waited for it.
    fn leave(&mut self, owner: Owner, file: FileId) {
        self.awaited.remove(&owner);
        let Some(line) = self.files.get_mut(&file) else { return };
        line.owners.retain(|had| *had != owner);
        line.waiting.retain(|waiting| waiting.owner != owner);
        // The first in line, and those behind who share it with him.
        while let Some(next) = line.waiting.front()
            && (line.owners.is_empty() || !(line.alone.0 || next.alone.0))
            && let Some(Waiting { owner, alone, tell }) = line.waiting.pop_front()
        {
            line.owners.push(owner);
            line.alone = alone;
            self.awaited.remove(&owner);
            // One that is gone is still to be dropped, and then leaves as an owner does.
            let _gone = tell.send(());
        }
        if line.owners.is_empty() {
            self.files.remove(&file);
        }
    }
}

fn lock(table: &Mutex<Table>) -> MutexGuard<'_, Table> {
    table.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Waiting this long is worth a line in the log.
const NOTEWORTHY: Duration = Duration::from_secs(1);

#[cfg(test)]
mod tests {
    use std::task::Poll;

    use super::*;

    const A: FileId = FileId(1);
    const B: FileId = FileId(2);

    fn table() -> &'static Mutex<Table> {
        Box::leak(Box::default())
    }

    fn exchange(table: &'static Mutex<Table>) -> Turns {
        Turns::of(table, RequestId::new("test"), Arc::default())
    }

    fn descriptor(turns: &mut Turns, file: FileId, fd: u32) -> impl Future<Output = Result<(), Deadlock>> + Send {
        turns.take(file, By::Descriptor(fd))
    }

    #[tokio::test]
    async fn a_file_goes_from_one_to_the_next_in_the_order_they_came() {
        let table = table();
        let (mut first, mut second, mut third) = (exchange(table), exchange(table), exchange(table));
        descriptor(&mut first, A, 4).await.unwrap();
        let mut later = polled(descriptor(&mut second, A, 4));
        let mut latest = polled(descriptor(&mut third, A, 4));
        assert!(later.pends() && latest.pends());
        first.give_back(&By::Descriptor(4));
        assert!(latest.pends());
        later.is_ready().unwrap();
        drop(later);
        drop(second);
        latest.is_ready().unwrap();
        drop(latest);
        drop(third);
        assert!(lock(table).files.is_empty() && lock(table).awaited.is_empty());
    }

    #[tokio::test]
    async fn one_that_has_a_file_opens_it_again_and_has_it_until_the_last_is_closed() {
        let table = table();
        let (mut first, mut second) = (exchange(table), exchange(table));
        descriptor(&mut first, A, 4).await.unwrap();
        descriptor(&mut first, A, 5).await.unwrap();
        assert!(first.give_back(&By::Descriptor(4)));
        assert!(!first.give_back(&By::Descriptor(4)));
        let mut later = polled(descriptor(&mut second, A, 4));
        assert!(later.pends());
        first.give_back(&By::Descriptor(5));
        later.is_ready().unwrap();
    }

    #[tokio::test]
    async fn a_descriptor_that_gets_another_number_keeps_its_file() {
        let table = table();
        let (mut first, mut second) = (exchange(table), exchange(table));
        descriptor(&mut first, A, 4).await.unwrap();
        descriptor(&mut first, B, 5).await.unwrap();
        first.renumber(4, 5);
        descriptor(&mut second, B, 4).await.unwrap();
        let mut later = polled(descriptor(&mut second, A, 5));
        assert!(later.pends());
        first.give_back(&By::Descriptor(5));
        later.is_ready().unwrap();
    }

    #[tokio::test]
    async fn a_circle_is_refused_where_it_would_close() {
        let table = table();
        let (mut first, mut second) = (exchange(table), exchange(table));
        descriptor(&mut first, A, 4).await.unwrap();
        descriptor(&mut second, B, 4).await.unwrap();
        let mut later = polled(descriptor(&mut first, B, 5));
        assert!(later.pends());
        assert_eq!(descriptor(&mut second, A, 5).await, Err(Deadlock));
        drop(second);
        later.is_ready().unwrap();
    }

    #[tokio::test]
    async fn those_who_share_a_file_have_it_together_and_in_turn_with_those_who_do_not() {
        let table = table();
        let (mut first, mut second, mut third, mut fourth) =
            (exchange(table), exchange(table), exchange(table), exchange(table));
        first.share(A, By::Descriptor(4)).await.unwrap();
        second.share(A, By::Descriptor(4)).await.unwrap();
        let mut alone = polled(descriptor(&mut third, A, 4));
        assert!(alone.pends());
        let mut behind = polled(fourth.share(A, By::Descriptor(4)));
        assert!(behind.pends(), "or who wants it alone would never have it");
        drop(first);
        assert!(alone.pends());
        drop(second);
        alone.is_ready().unwrap();
        assert!(behind.pends());
        drop(alone);
        let mut fifth = exchange(table);
        let mut beside = polled(fifth.share(A, By::Descriptor(4)));
        assert!(beside.pends());
        drop(third);
        behind.is_ready().unwrap();
        beside.is_ready().unwrap();
        drop((behind, beside));
        drop((fourth, fifth));
        assert!(lock(table).files.is_empty() && lock(table).awaited.is_empty());
    }

    #[tokio::test]
    async fn a_circle_through_one_of_many_is_refused() {
        let table = table();
        let (mut first, mut second, mut third) = (exchange(table), exchange(table), exchange(table));
        first.share(A, By::Descriptor(4)).await.unwrap();
        second.share(A, By::Descriptor(4)).await.unwrap();
        descriptor(&mut third, B, 4).await.unwrap();
        let mut later = polled(descriptor(&mut second, B, 5));
        assert!(later.pends());
        assert_eq!(descriptor(&mut third, A, 5).await, Err(Deadlock));
        drop(third);
        later.is_ready().unwrap();
    }

    #[tokio::test]
    async fn one_that_is_ended_while_it_waits_leaves_the_line() {
        let table = table();
        let (mut first, mut second, mut third) = (exchange(table), exchange(table), exchange(table));
        descriptor(&mut first, A, 4).await.unwrap();
        let mut later = polled(descriptor(&mut second, A, 4));
        let mut latest = polled(descriptor(&mut third, A, 4));
        assert!(later.pends() && latest.pends());
        drop(later);
        drop(second);
        drop(first);
        latest.is_ready().unwrap();
    }

    #[tokio::test]
    async fn one_that_is_ended_with_its_turn_just_given_passes_it_on() {
        let table = table();
        let (mut first, mut second, mut third) = (exchange(table), exchange(table), exchange(table));
        descriptor(&mut first, A, 4).await.unwrap();
        let mut later = polled(descriptor(&mut second, A, 4));
        let mut latest = polled(descriptor(&mut third, A, 4));
        assert!(later.pends() && latest.pends());
        drop(first);
        drop(later);
        drop(second);
        latest.is_ready().unwrap();
    }

    /// A future polled by hand.
    struct Polled<F>(std::pin::Pin<Box<F>>);

    fn polled<F: Future>(future: F) -> Polled<F> {
        Polled(Box::pin(future))
    }

    impl<F: Future<Output = Result<(), Deadlock>>> Polled<F> {
        fn pends(&mut self) -> bool {
            self.poll().is_pending()
        }

        fn is_ready(&mut self) -> Result<(), Deadlock> {
            match self.poll() {
                Poll::Ready(result) => result,
                Poll::Pending => panic!("its turn has not come"),
            }
        }

        fn poll(&mut self) -> Poll<Result<(), Deadlock>> {
            self.0.as_mut().poll(&mut std::task::Context::from_waker(std::task::Waker::noop()))
        }
    }
}
