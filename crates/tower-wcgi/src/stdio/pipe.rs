//! stdout: a bounded pipe from the guest to the reader of the response.
//!
//! In: the script's output. Out: chunks of [`Bytes`] and, at the end, how the exchange ended. A slow reader
//! blocks the guest, never the server. The pipe's capacity bounds its memory, whatever the response's size.
//!
//! It implements wasmtime's `OutputStream` itself. The adapter of wasmtime-wasi for an `AsyncWrite` has a worker task. The last
//! bytes of that task can be lost if the store is dropped right after `_start` returns.

use std::future::poll_fn;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};

use async_trait::async_trait;
use bytes::{Bytes, BytesMut};
use tokio::io::AsyncWrite;
use wasmtime_wasi::cli::{IsTerminal, StdoutStream};
use wasmtime_wasi::p2::{OutputStream, Pollable, StreamError, StreamResult};

use crate::error::Error;

/// A pipe that holds up to `capacity` bytes, the reader's first chunk included. It holds [`KEEPS_UP`] times as much for a reader
/// that has come back: each wait of the guest for room costs two changes of threads.
pub(crate) fn pipe(capacity: usize) -> (Writer, Reader) {
    let shared = Arc::new(SharedPipe(Mutex::new(PipeState {
        buffer: BytesMut::new(),
        window: Window::Unread,
        capacity,
        overflowed: false,
        closed: false,
        end: None,
        reader: ReaderState::Reading,
        outlives: false,
        reader_waker: None,
        writer_waker: None,
        drain_waker: None,
        discard_waker: None,
    })));
    (Writer(Arc::clone(&shared)), Reader(shared))
}

/// The guest's side.
#[derive(Debug, Clone)]
pub(crate) struct Writer(Arc<SharedPipe>);

impl Writer {
    /// Ends the stream. The first end counts: a script that closed its stdout has ended the stream, whatever happens later.
    /// Call it when the script is over. Before that, [`wake_reader`](Self::wake_reader) notices that the script closed its
    /// stdout.
    pub(crate) fn finish(&self, end: Result<(), Error>) {
        let waker = {
            let mut state = self.0.lock();
            state.end.get_or_insert(end);
            state.reader_waker.take()
        };
        wake(waker);
    }

    /// Replaces a clean end that the reader has not reached, when the rest of the output will never be read.
    pub(crate) fn fail(&self, error: Error) {
        let waker = {
            let mut state = self.0.lock();
            state.end = Some(Err(error));
            state.buffer.clear();
            state.reader_waker.take()
        };
        wake(waker);
    }

    /// Wakes the reader if there is something for it. Writing does not wake it. The task that polls the guest calls this each
    /// time the guest waits or yields. So a small response is one chunk and one wake.
    pub(crate) fn wake_reader(&self) {
        let waker = {
            let mut state = self.0.lock();
            if state.closed {
                state.end.get_or_insert(Ok(()));
            }
            if state.buffer.is_empty() && state.end.is_none() { None } else { state.reader_waker.take() }
        };
        wake(waker);
    }

    /// Whether a slow reader has left output: more was written than the pipe holds at once.
    pub(crate) fn is_backed_up(&self) -> bool {
        let state = self.0.lock();
        state.overflowed && !state.buffer.is_empty() && matches!(state.reader, ReaderState::Reading)
    }

    /// Whether the guest waits for the reader.
    pub(crate) fn is_waiting(&self) -> bool {
        self.0.lock().writer_waker.is_some()
    }

    /// The stdout of a component. In WASI 0.2 programs get it anew as often as they like, even for each line. Giving
    /// it back does not close it.
    pub(crate) fn never_closed(self) -> NeverClosed {
        NeverClosed(self)
    }

    /// Sets whether the guest wants to finish even if its reader leaves.
    pub(crate) fn outlive_reader(&self, outlives: bool) {
        self.0.lock().outlives = outlives;
    }

    /// Whether nobody reads the output.
    pub(crate) fn is_unread(&self) -> bool {
        !matches!(self.0.lock().reader, ReaderState::Reading)
    }

    /// Waits until the reader takes no more.
    pub(crate) async fn discarding(&self) {
        poll_fn(|cx| {
            let mut state = self.0.lock();
            if matches!(state.reader, ReaderState::Discarding { .. }) {
                return Poll::Ready(());
            }
            register(&mut state.discard_waker, cx);
            Poll::Pending
        })
        .await;
    }

    /// Waits until the reader has taken everything.
    pub(crate) async fn drained(&self) {
        poll_fn(|cx| {
            let mut state = self.0.lock();
            if state.buffer.is_empty() || !matches!(state.reader, ReaderState::Reading) {
                return Poll::Ready(());
            }
            register(&mut state.drain_waker, cx);
            Poll::Pending
        })
        .await;
    }

    /// Writes all of `bytes`, waiting for room.
    ///
    /// # Errors
    ///
    /// `Closed` if the reader has left. A trap for a script that goes on writing without a reader.
    pub(crate) async fn write(&self, mut bytes: &[u8]) -> StreamResult<()> {
        tokio::task::coop::consume_budget().await;
        while !bytes.is_empty() {
            self.writable().await;
            let written = self.0.lock().write(bytes)?;
            bytes = bytes.get(written..).unwrap_or_default();
        }
        Ok(())
    }

    pub(super) async fn writable(&self) {
        poll_fn(|cx| {
            let mut state = self.0.lock();
            if state.room() > 0 {
                return Poll::Ready(());
            }
            state.overflowed = true;
            register(&mut state.writer_waker, cx);
            Poll::Pending
        })
        .await;
    }
}

/// The response's side. Dropping it makes every later write of the guest fail.
#[derive(Debug)]
pub(crate) struct Reader(Arc<SharedPipe>);

impl Reader {
    /// The available output; `None` at a clean end. The first chunk is half of what the pipe holds, because the client may read no
    /// more than that, unless there is no more.
    pub(crate) fn poll_read(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Bytes, Error>>> {
        self.poll(cx, true)
    }

    /// The same, but a guest that waits for room stays waiting. The caller uses [`come_back`](Self::come_back) before
    /// the next read.
    pub(crate) fn poll_take(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Bytes, Error>>> {
        self.poll(cx, false)
    }

    fn poll(&mut self, cx: &mut Context<'_>, wakes: bool) -> Poll<Option<Result<Bytes, Error>>> {
        let mut state = self.0.lock();
        let had_room = state.room() > 0;
        state.come_back();
        if !state.buffer.is_empty() {
            let is_all = matches!(state.window, Window::KeepsUp) || state.end.is_some();
            let len = if is_all { state.buffer.len() } else { state.buffer.len().min(state.capacity.div_ceil(2)) };
            let chunk = state.buffer.split_to(len).freeze();
            if matches!(state.window, Window::Unread) {
                state.window = Window::GivenFirst(len);
            }
            let waker = if wakes { state.writer_waker.take() } else { None };
            let drained = if state.buffer.is_empty() { state.drain_waker.take() } else { None };
            drop(state);
            wake(waker);
            wake(drained);
            return Poll::Ready(Some(Ok(chunk)));
        }
        match &mut state.end {
            Some(Ok(())) => Poll::Ready(None),
            Some(end) => Poll::Ready(std::mem::replace(end, Ok(())).err().map(Err)),
            None => {
                register(&mut state.reader_waker, cx);
                let waker = if had_room { None } else { state.writer_waker.take() };
                drop(state);
                wake(waker);
                Poll::Pending
            }
        }
    }

    #[cfg(test)]
    pub(crate) async fn read(&mut self) -> Option<Result<Bytes, Error>> {
        poll_fn(|cx| self.poll_read(cx)).await
    }

    /// Notes that the reader is back for more. True if the guest waits for that: it has waited for room, and there is some now.
    pub(crate) fn come_back(&mut self) -> bool {
        let mut state = self.0.lock();
        state.come_back();
        state.buffer.is_empty() && state.writer_waker.is_some()
    }

    /// Wakes the guest if it waits for room.
    pub(crate) fn wake_writer(&mut self) {
        let waker = self.0.lock().writer_waker.take();
        wake(waker);
    }

    /// What is left to read, if the stream has ended cleanly already.
    pub(crate) fn remaining(&self) -> Option<u64> {
        let state = self.0.lock();
        matches!(state.end, Some(Ok(()))).then_some(state.buffer.len() as u64)
    }

    /// Whether all output has arrived, without a failure.
    pub(crate) fn has_ended_well(&self) -> bool {
        matches!(self.0.lock().end, Some(Ok(())))
    }

    /// Whether the guest wants to finish without a reader.
    pub(crate) fn is_outlived(&self) -> bool {
        self.0.lock().outlives
    }

    /// From here on the guest's output is dropped, and the guest may go on to its end. A script that writes far too much is
    /// ended: it may have no end.
    pub(crate) fn discard(&mut self) {
        let wakers = {
            let mut state = self.0.lock();
            state.reader = ReaderState::Discarding { budget: DISCARDED_BYTES };
            state.buffer = BytesMut::new();
            [state.writer_waker.take(), state.drain_waker.take(), state.discard_waker.take()]
        };
        wakers.into_iter().for_each(wake);
    }
}

impl Drop for Reader {
    fn drop(&mut self) {
        let wakers = {
            let mut state = self.0.lock();
            if matches!(state.reader, ReaderState::Reading) {
                state.reader = ReaderState::Gone;
            }
            state.buffer = BytesMut::new();
            [state.writer_waker.take(), state.drain_waker.take()]
        };
        wakers.into_iter().for_each(wake);
    }
}

impl IsTerminal for Writer {
    fn is_terminal(&self) -> bool {
        false
    }
}

impl StdoutStream for Writer {
    fn async_stream(&self) -> Box<dyn AsyncWrite + Send + Sync> {
        // Only WASI 0.3 asks for this one, and nothing here links that.
        Box::new(tokio::io::sink())
    }

    fn p2_stream(&self) -> Box<dyn OutputStream> {
        Box::new(Stdout { writer: self.clone(), closes: true })
    }
}

/// The guest's side, where it cannot be closed.
#[derive(Debug, Clone)]
pub(crate) struct NeverClosed(Writer);

impl IsTerminal for NeverClosed {
    fn is_terminal(&self) -> bool {
        false
    }
}

impl StdoutStream for NeverClosed {
    fn async_stream(&self) -> Box<dyn AsyncWrite + Send + Sync> {
        self.0.async_stream()
    }

    fn p2_stream(&self) -> Box<dyn OutputStream> {
        Box::new(Stdout { writer: self.0.clone(), closes: false })
    }
}

/// The stream in the guest's table.
struct Stdout {
    writer: Writer,
    /// Whether dropping it means that no more output will come.
    closes: bool,
}

impl Drop for Stdout {
    /// Either the guest closes its stdout, or its store is dropped after a failure that is about to be reported.
    fn drop(&mut self) {
        if self.closes {
            self.writer.0.lock().closed = true;
        }
    }
}

#[async_trait]
impl Pollable for Stdout {
    async fn ready(&mut self) {
        self.writer.writable().await;
    }
}

#[async_trait]
impl OutputStream for Stdout {
    fn write(&mut self, bytes: Bytes) -> StreamResult<()> {
        // `check_write` has limited the size.
        self.writer.0.lock().write(&bytes).map(drop)
    }

    fn flush(&mut self) -> StreamResult<()> {
        Ok(())
    }

    fn check_write(&mut self) -> StreamResult<usize> {
        let state = self.writer.0.lock();
        match state.reader {
            ReaderState::Gone => Err(StreamError::Closed),
            _ => Ok(state.room()),
        }
    }

    /// The default implementation waits for room once more after the last byte.
    async fn blocking_write_and_flush(&mut self, bytes: Bytes) -> StreamResult<()> {
        self.writer.write(&bytes).await
    }
}

#[derive(Debug)]
struct SharedPipe(Mutex<PipeState>);

impl SharedPipe {
    fn lock(&self) -> MutexGuard<'_, PipeState> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[derive(Debug)]
struct PipeState {
    buffer: BytesMut,
    window: Window,
    capacity: usize,
    /// The guest has waited for room at least once.
    overflowed: bool,
    /// The guest's stream is gone.
    closed: bool,
    end: Option<Result<(), Error>>,
    reader: ReaderState,
    outlives: bool,
    reader_waker: Option<Waker>,
    /// Of the guest, which waits for room.
    writer_waker: Option<Waker>,
    /// Of the task that waits until everything is read.
    drain_waker: Option<Waker>,
    discard_waker: Option<Waker>,
}

/// How the reader keeps up. That decides how much output may wait for it.
#[derive(Debug, Clone, Copy)]
enum Window {
    /// It has read nothing yet.
    Unread,
    /// It was given so many bytes. They count until it reads again: the client may not have them.
    GivenFirst(usize),
    /// It has come back for more.
    KeepsUp,
}

#[derive(Debug)]
enum ReaderState {
    Reading,
    Discarding { budget: usize },
    Gone,
}

impl PipeState {
    /// Writes as much of `bytes` as there is room for, and gives the number of bytes.
    fn write(&mut self, bytes: &[u8]) -> StreamResult<usize> {
        let part = bytes.get(..self.room()).unwrap_or(bytes);
        match &mut self.reader {
            ReaderState::Gone => return Err(StreamError::Closed),
            ReaderState::Discarding { budget } => {
                *budget = budget.saturating_sub(part.len());
                if *budget == 0 {
                    return Err(StreamError::trap("the script went on writing what nobody reads"));
                }
            }
            ReaderState::Reading => self.buffer.extend_from_slice(part),
        }
        Ok(part.len())
    }

    /// The reader reads. What it was given first is with the client by then.
    fn come_back(&mut self) {
        if let Window::GivenFirst(_) = self.window {
            self.window = Window::KeepsUp;
        }
    }

    /// How many bytes a write may have now. Never zero if the reader takes no more, so that the writer notices.
    fn room(&self) -> usize {
        match self.reader {
            ReaderState::Reading => {
                let (capacity, with_reader) = match self.window {
                    Window::Unread => (self.capacity, 0),
                    Window::GivenFirst(len) => (self.capacity, len),
                    Window::KeepsUp => (self.capacity.saturating_mul(KEEPS_UP), 0),
                };
                capacity.saturating_sub(self.buffer.len() + with_reader)
            }
            ReaderState::Discarding { .. } | ReaderState::Gone => self.capacity,
        }
    }
}

const KEEPS_UP: usize = 4;
/// More than any page; less than a thread writes in a second.
const DISCARDED_BYTES: usize = 64 << 20;

fn register(slot: &mut Option<Waker>, cx: &Context<'_>) {
    match slot {
        Some(waker) => waker.clone_from(cx.waker()),
        None => *slot = Some(cx.waker().clone()),
    }
}

/// Outside the lock: a waker may run anything.
fn wake(waker: Option<Waker>) {
    if let Some(waker) = waker {
        waker.wake();
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicBool, Ordering};
    use std::task::Wake;

    use super::*;
    use crate::error::ErrorKind;

    #[tokio::test]
    async fn bytes_arrive_in_order_then_the_end() {
        let (writer, mut reader) = pipe(8);
        let mut stdout = writer.p2_stream();
        stdout.blocking_write_and_flush(Bytes::from_static(b"abc")).await.unwrap();
        stdout.blocking_write_and_flush(Bytes::from_static(b"de")).await.unwrap();
        assert_eq!(reader.remaining(), None);
        drop(stdout);
        assert_eq!(reader.remaining(), None);
        writer.wake_reader();
        assert_eq!(reader.remaining(), Some(5));
        assert_eq!(reader.read().await.unwrap().unwrap(), "abcde");
        assert!(reader.read().await.is_none());
    }

    #[tokio::test]
    async fn a_full_pipe_blocks_the_writer_until_the_reader_takes_some() {
        let (writer, mut reader) = pipe(4);
        let task = tokio::spawn(async move {
            let mut stdout = writer.p2_stream();
            let mut write = stdout.blocking_write_and_flush(Bytes::from_static(b"0123456789"));
            poll_fn(|cx| {
                let progress = write.as_mut().poll(cx);
                writer.wake_reader();
                progress
            })
            .await
            .unwrap();
            writer.finish(Ok(()));
        });
        let mut all = Vec::new();
        while let Some(chunk) = reader.read().await {
            let chunk = chunk.unwrap();
            assert!(chunk.len() <= 4 * KEEPS_UP);
            all.extend_from_slice(&chunk);
        }
        assert_eq!(all, b"0123456789");
        task.await.unwrap();
    }

    #[tokio::test]
    async fn what_the_reader_has_first_counts_until_it_comes_back() {
        let (writer, mut reader) = pipe(4);
        let mut write = Box::pin(writer.write(b"0123456789"));
        let mut cx = Context::from_waker(Waker::noop());
        assert!(write.as_mut().poll(&mut cx).is_pending());
        assert_eq!(reader.read().await.unwrap().unwrap(), "01");
        assert!(write.as_mut().poll(&mut cx).is_pending());
        assert_eq!(reader.read().await.unwrap().unwrap(), "23");
        assert!(write.as_mut().poll(&mut cx).is_ready());
        assert_eq!(reader.read().await.unwrap().unwrap(), "456789");
        // Coming back empty-handed makes room too, and says so.
        let (writer, mut reader) = pipe(1);
        let mut write = Box::pin(writer.write(b"ab"));
        assert!(write.as_mut().poll(&mut cx).is_pending());
        assert_eq!(reader.read().await.unwrap().unwrap(), "a");
        assert!(write.as_mut().poll(&mut cx).is_pending());
        assert!(reader.poll_read(&mut cx).is_pending());
        assert!(write.as_mut().poll(&mut cx).is_ready());
    }

    #[tokio::test]
    async fn who_waits_until_all_is_read_is_woken_by_the_last_read_and_not_as_the_guest() {
        let (writer, mut reader) = pipe(4);
        writer.write(b"abcd").await.unwrap();
        let mut drained = Box::pin(writer.drained());
        let woken = Arc::new(Woken::default());
        let waker = Waker::from(Arc::clone(&woken));
        assert!(drained.as_mut().poll(&mut Context::from_waker(&waker)).is_pending());
        assert!(!writer.is_waiting() && !reader.come_back(), "the guest does not wait");
        assert_eq!(reader.read().await.unwrap().unwrap(), "ab");
        assert!(!woken.0.load(Ordering::Relaxed));
        assert_eq!(reader.read().await.unwrap().unwrap(), "cd");
        assert!(woken.0.load(Ordering::Relaxed));
        drained.await;
    }

    /// Whether it was woken.
    #[derive(Default)]
    struct Woken(AtomicBool);

    impl Wake for Woken {
        fn wake(self: Arc<Self>) {
            self.0.store(true, Ordering::Relaxed);
        }
    }

    #[tokio::test]
    async fn what_was_written_before_a_failure_is_read_before_the_failure() {
        let (writer, mut reader) = pipe(8);
        let mut stdout = writer.p2_stream();
        stdout.blocking_write_and_flush(Bytes::from_static(b"x")).await.unwrap();
        drop(stdout);
        writer.finish(Err(Error::new(ErrorKind::Trap, "unreachable")));
        assert_eq!(reader.read().await.unwrap().unwrap(), "x");
        assert_eq!(reader.read().await.unwrap().unwrap_err().kind(), ErrorKind::Trap);
        assert!(reader.read().await.is_none());
    }

    #[tokio::test]
    async fn a_reader_that_left_closes_the_pipe_and_one_that_discards_does_not() {
        let (writer, reader) = pipe(4);
        let mut stdout = writer.p2_stream();
        drop(reader);
        let left = stdout.blocking_write_and_flush(Bytes::from_static(b"x")).await;
        assert!(matches!(left, Err(StreamError::Closed)));

        let (writer, mut reader) = pipe(4);
        let mut stdout = writer.p2_stream();
        reader.discard();
        stdout.blocking_write_and_flush(Bytes::from_static(b"much more than four bytes")).await.unwrap();
        drop(reader);
        stdout.blocking_write_and_flush(Bytes::from_static(b"x")).await.unwrap();
        writer.drained().await;
    }
}
