//! The pool: memories and stacks that are lent, reset when they come back, and lent again.
//!
//! In: the size, and the image to begin with. Out: a [`Memory`] or a [`Stack`]. A slot that comes back goes to
//! the list of the thread that brought it. So the next one on that thread finds its pages in that core's cache. A slot of the
//! same image is preferred, because nothing has to be mapped for it.

use std::cell::Cell;
use std::io;
use std::ops::Range;
use std::ptr::NonNull;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError, Weak};
use std::thread::Thread;
use std::time::{Duration, Instant};

use crate::image::Image;
use crate::map::Region;
use crate::scan::Scanner;
use crate::slot::{Kind, Shape, Slot, Wanted};

/// Lends memories and stacks. Cheap to clone; clones are the same pool.
#[derive(Debug, Clone)]
pub struct Pool(Arc<Inner>);

/// What a pool holds at the moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct Usage {
    /// Memories and stacks that are ready to be lent.
    pub free: usize,
    /// How many bytes of pages those have kept.
    pub kept_bytes: usize,
}

impl Pool {
    /// A builder with every setting at its default.
    pub fn builder() -> PoolBuilder {
        PoolBuilder::default()
    }

    /// Whether the system has addresses for `count` memories of `shape` at once.
    #[must_use]
    pub fn has_room(shape: Shape, count: usize) -> bool {
        Slot::size(Kind::Memory(shape)).checked_mul(count).is_some_and(|size| Region::reserve(size).is_ok())
    }

    /// Whether only pages that were written are reset. Otherwise the kernel takes all pages of a memory back.
    #[must_use]
    pub fn scans(&self) -> bool {
        self.0.scanner.is_some()
    }

    /// A memory of `len` bytes that holds `image`, or else zeros. If the image is longer, the memory is as long as the image.
    ///
    /// Some more bytes than `len` may be accessible, so that growing by little takes no call. They hold zeros.
    ///
    /// # Errors
    ///
    /// The system's, when it has no room.
    pub fn memory(&self, shape: Shape, image: Option<&Arc<Image>>, len: usize) -> io::Result<Memory> {
        let len = len.max(image.map_or(0, |image| image.len()));
        if len > shape.reservation {
            return Err(io::ErrorKind::OutOfMemory.into());
        }
        let wanted = Wanted { kind: Kind::Memory(shape), image, allowed: at_first(len).min(shape.reservation) };
        Ok(Memory { lent: self.lend(&wanted)?, len })
    }

    /// A stack of `len` bytes, a multiple of a page, that holds zeros.
    ///
    /// # Errors
    ///
    /// The system's, when it has no room.
    pub fn stack(&self, len: usize) -> io::Result<Stack> {
        let wanted = Wanted { kind: Kind::Stack(len), image: None, allowed: len };
        Ok(Stack { lent: self.lend(&wanted)? })
    }

    /// What the pool holds at the moment.
    #[must_use]
    pub fn usage(&self) -> Usage {
        let free = self.0.free.iter().map(|list| locked(list).len()).sum();
        Usage { free, kept_bytes: self.0.kept.load(Ordering::Relaxed) }
    }

    /// Gives back slots that nobody has used for `idle`.
    pub fn trim(&self, idle: Duration) {
        self.0.trim(idle);
    }

    fn lend(&self, wanted: &Wanted<'_>) -> io::Result<Lent> {
        let mut slot = match self.0.take(wanted) {
            Some(slot) => slot,
            None => Slot::new(wanted.kind, wanted.allowed).or_else(|_| {
                // The missing memory may be in slots that nobody uses.
                self.0.trim(Duration::ZERO);
                Slot::new(wanted.kind, wanted.allowed)
            })?,
        };
        slot.prepare(wanted)?;
        Ok(Lent { slot: Some(slot), pool: Arc::clone(&self.0) })
    }
}

/// Settings of a [`Pool`].
#[derive(Debug, Clone)]
#[must_use]
pub struct PoolBuilder {
    slots: usize,
    keep: usize,
    keep_each: usize,
    idle: Duration,
    scan: bool,
}

impl Default for PoolBuilder {
    fn default() -> Self {
        Self { slots: 512, keep: 256 << 20, keep_each: 16 << 20, idle: Duration::from_secs(10), scan: true }
    }
}

impl PoolBuilder {
    /// How many memories and stacks are kept for later use, at most. Default: 512.
    pub fn slots(mut self, slots: usize) -> Self {
        self.slots = slots;
        self
    }

    /// How many bytes of pages all idle memories and stacks may keep together. Default: 256 MiB.
    pub fn keep(mut self, bytes: usize) -> Self {
        self.keep = bytes;
        self
    }

    /// How many bytes of pages each of them may keep. Default: 16 MiB.
    pub fn keep_each(mut self, bytes: usize) -> Self {
        self.keep_each = bytes;
        self
    }

    /// How long an idle one is kept. Default: 10 seconds.
    pub fn idle(mut self, time: Duration) -> Self {
        self.idle = time;
        self
    }

    /// Whether `PAGEMAP_SCAN` finds the written pages, where the kernel has it. Default: yes.
    pub fn scan(mut self, scan: bool) -> Self {
        self.scan = scan;
        self
    }

    /// The pool.
    #[must_use]
    pub fn build(self) -> Pool {
        let lists = std::thread::available_parallelism().map_or(1, usize::from) * 2;
        let pool = Arc::new(Inner {
            scanner: if self.scan { Scanner::new() } else { None },
            free: (0..lists).map(|_| Mutex::default()).collect(),
            count: AtomicUsize::new(0),
            kept: AtomicUsize::new(0),
            janitor: OnceLock::new(),
            janitor_waits: AtomicBool::new(false),
            settings: self,
        });
        pool.start_janitor();
        Pool(pool)
    }
}

/// A memory that is lent. Dropped, it is reset and goes back.
#[derive(Debug)]
pub struct Memory {
    lent: Lent,
    len: usize,
}

impl Memory {
    /// The address at which the memory begins. It is valid until `self` is dropped; do not use it later.
    #[must_use]
    pub fn as_ptr(&self) -> NonNull<u8> {
        self.lent.slot().start()
    }

    /// How long it is, in bytes.
    #[must_use]
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether it has no bytes.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// The size to which it can grow in place.
    #[must_use]
    pub fn capacity(&self) -> usize {
        self.lent.slot().kind.capacity()
    }

    /// Makes it `len` bytes long. New bytes hold zeros.
    ///
    /// # Errors
    ///
    /// Fails with the system's error, or if it cannot be that long. The memory stays as it is then.
    pub fn grow_to(&mut self, len: usize) -> io::Result<()> {
        if len > self.capacity() {
            return Err(io::ErrorKind::OutOfMemory.into());
        }
        let slot = self.lent.slot_mut();
        if len > slot.allowed {
            let allowed = len.saturating_add(AHEAD_GROWN).min(slot.kind.capacity());
            slot.allow(allowed)?;
        }
        self.len = self.len.max(len);
        Ok(())
    }
}

/// A stack that is lent. Dropped, it is reset and goes back.
#[derive(Debug)]
pub struct Stack {
    lent: Lent,
}

impl Stack {
    /// The address at which the stack ends. It is valid for as long as that of [`Memory::as_ptr`].
    #[must_use]
    pub fn top(&self) -> *mut u8 {
        let slot = self.lent.slot();
        slot.start().as_ptr().wrapping_add(slot.kind.capacity())
    }

    /// Its addresses.
    #[must_use]
    pub fn addresses(&self) -> Range<usize> {
        let start = self.lent.slot().start().as_ptr().addr();
        start..start + self.lent.slot().kind.capacity()
    }

    /// The inaccessible part below it.
    #[must_use]
    pub fn guard(&self) -> Range<*mut u8> {
        let start = self.lent.slot().start().as_ptr();
        start.wrapping_sub(self.lent.slot().kind.guard())..start
    }
}

#[derive(Debug)]
struct Inner {
    settings: PoolBuilder,
    scanner: Option<Scanner>,
    /// The newest is last. A thread has one list of its own, mostly.
    free: Vec<Mutex<Vec<Slot>>>,
    /// Of those in the lists.
    count: AtomicUsize,
    /// Bytes of pages of those in the lists.
    kept: AtomicUsize,
    janitor: OnceLock<Thread>,
    janitor_waits: AtomicBool,
}

impl Inner {
    /// The slot that fits best: first of this thread and the same image, then of the same image. If there are as many slots as
    /// allowed, any slot.
    fn take(&self, wanted: &Wanted<'_>) -> Option<Slot> {
        let image = wanted.image.map(|image| image.id());
        let fits = |slot: &Slot| slot.kind == wanted.kind && slot.image_id() == image;
        let same_kind = |slot: &Slot| slot.kind == wanted.kind;
        let slot = self.find(fits, false).or_else(|| {
            (self.count.load(Ordering::Relaxed) >= self.settings.slots).then(|| self.find(same_kind, true)).flatten()
        })?;
        self.count.fetch_sub(1, Ordering::Relaxed);
        self.kept.fetch_sub(slot.kept, Ordering::Relaxed);
        Some(slot)
    }

    fn find(&self, fits: impl Fn(&Slot) -> bool, oldest: bool) -> Option<Slot> {
        let own = own_list();
        (0..self.free.len()).find_map(|n| {
            let mut list = locked(self.free.get((own + n) % self.free.len())?);
            let at = if oldest { list.iter().position(&fits) } else { list.iter().rposition(&fits) };
            at.map(|at| list.remove(at))
        })
    }

    /// Resets `slot` and keeps it, if there is room and the reset succeeded.
    fn put_back(&self, mut slot: Slot) {
        if self.count.load(Ordering::Relaxed) >= self.settings.slots {
            return;
        }
        let room = self.settings.keep.saturating_sub(self.kept.load(Ordering::Relaxed));
        let keep = room.min(slot.kind.most_kept().unwrap_or(self.settings.keep_each));
        if let Err(error) = slot.reset(self.scanner.as_ref(), keep) {
            tracing::warn!(%error, "the memory of an instance cannot be reset, and is unmapped");
            return;
        }
        slot.since = Instant::now();
        // In the same order as the janitor does before it rests, or each could miss the other.
        self.count.fetch_add(1, Ordering::SeqCst);
        self.kept.fetch_add(slot.kept, Ordering::Relaxed);
        if let Some(list) = self.free.get(own_list() % self.free.len()) {
            locked(list).push(slot);
        }
        self.wake_janitor();
    }

    fn trim(&self, idle: Duration) {
        let now = Instant::now();
        for list in &self.free {
            // Unmapped after the lock is open again.
            let gone: Vec<Slot> =
                locked(list).extract_if(.., |slot| now.saturating_duration_since(slot.since) >= idle).collect();
            self.count.fetch_sub(gone.len(), Ordering::Relaxed);
            self.kept.fetch_sub(gone.iter().map(|slot| slot.kept).sum(), Ordering::Relaxed);
        }
    }

    /// Starts the thread that gives back unused slots.
    fn start_janitor(self: &Arc<Self>) {
        let (pool, idle) = (Arc::downgrade(self), self.settings.idle);
        let thread = std::thread::Builder::new().name("wcgi-memory".into()).spawn(move || tidy(&pool, idle));
        match thread {
            Ok(thread) => _ = self.janitor.set(thread.thread().clone()),
            Err(error) => tracing::warn!(%error, "no thread gives back what instances have used"),
        }
    }

    fn wake_janitor(&self) {
        if self.janitor_waits.swap(false, Ordering::SeqCst)
            && let Some(janitor) = self.janitor.get()
        {
            janitor.unpark();
        }
    }
}

impl Drop for Inner {
    fn drop(&mut self) {
        if let Some(janitor) = self.janitor.get() {
            janitor.unpark();
        }
    }
}

/// The janitor's work until its pool is gone. It looks twice in the time that a slot may stay unused, and rests if there
/// is none.
fn tidy(pool: &Weak<Inner>, idle: Duration) {
    loop {
        match pool.upgrade() {
            Some(pool) => {
                pool.trim(idle);
                pool.janitor_waits.store(true, Ordering::SeqCst);
                // A slot that is put back after this line wakes it.
                let is_empty = pool.count.load(Ordering::SeqCst) == 0;
                drop(pool);
                if is_empty {
                    std::thread::park();
                }
            }
            None => return,
        }
        std::thread::park_timeout((idle / 2).max(Duration::from_millis(10)));
    }
}

/// A slot and where it goes afterwards.
#[derive(Debug)]
struct Lent {
    slot: Option<Slot>,
    pool: Arc<Inner>,
}

impl Lent {
    fn slot(&self) -> &Slot {
        self.slot.as_ref().expect("taken only by drop")
    }

    fn slot_mut(&mut self) -> &mut Slot {
        self.slot.as_mut().expect("taken only by drop")
    }
}

impl Drop for Lent {
    fn drop(&mut self) {
        if let Some(slot) = self.slot.take() {
            self.pool.put_back(slot);
        }
    }
}

/// How much of a memory of `len` bytes is accessible at first: as much again beyond `len`, at least [`AHEAD_LEAST`] and at most
/// [`AHEAD_MOST`]. Before their first output, programs in C take 128 KiB, and php-cgi 4 MiB. A memory without bytes gets none.
/// What is accessible must be looked through afterwards, at some nanoseconds a page.
fn at_first(len: usize) -> usize {
    if len == 0 { 0 } else { len.saturating_add(len.clamp(AHEAD_LEAST, AHEAD_MOST)) }
}

/// The list of this thread.
fn own_list() -> usize {
    static NEXT: AtomicUsize = AtomicUsize::new(0);
    thread_local! {
        static OWN: Cell<usize> = Cell::new(NEXT.fetch_add(1, Ordering::Relaxed));
    }
    OWN.get()
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

const AHEAD_LEAST: usize = 256 << 10;
const AHEAD_MOST: usize = 16 << 20;
/// The same when it has grown beyond that.
const AHEAD_GROWN: usize = 1 << 20;
