//! stdin: the request's body, polled by the guest's own reads.
//!
//! In: an http body. Out: the bytes that the guest reads. Only the guest's current frame is read ahead. So a guest that does
//! not read leaves the body where it is, and back-pressure reaches the client. A body that breaks off is never a clean end.
//! A read of it waits until the exchange is ended, or fails if the answer has begun.

use std::future::poll_fn;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker, ready};

use async_trait::async_trait;
use bytes::Bytes;
use http_body::Body;
use tokio::io::AsyncRead;
use wasmtime_wasi::cli::{IsTerminal, StdinStream};
use wasmtime_wasi::p2::{InputStream, Pollable, StreamError, StreamResult};

pub(crate) type BoxError = Box<dyn std::error::Error + Send + Sync>;
pub(crate) type BoxBody = Pin<Box<dyn Body<Data = Bytes, Error = BoxError> + Send>>;

/// What the guest reads from.
#[derive(Clone)]
pub(crate) struct Stdin(Arc<Mutex<StdinState>>);

impl Stdin {
    /// Reads exactly `length` bytes from `body`, as many as `CONTENT_LENGTH` says (RFC 3875 §4.2).
    pub(crate) fn new(body: BoxBody, length: u64) -> Self {
        Self::of(Source::Body(body), length)
    }

    pub(crate) fn empty() -> Self {
        Self::of(Source::Ended, 0)
    }

    fn of(source: Source, length: u64) -> Self {
        let (chunk, remaining) = (Bytes::new(), length);
        let state =
            StdinState { source, chunk, length, remaining, waiting: false, begun: false, reader: None, watcher: None };
        Self(Arc::new(Mutex::new(state)))
    }

    /// Reads some bytes into `target`, waiting for the first; none at the end.
    ///
    /// # Errors
    ///
    /// Fails if the request's body fails.
    pub(crate) async fn read(&self, target: &mut [u8]) -> StreamResult<usize> {
        self.clone().ready().await;
        match self.lock().read(target.len()) {
            Ok(bytes) => {
                let (target, _) = target.split_at_mut(bytes.len());
                target.copy_from_slice(&bytes);
                Ok(bytes.len())
            }
            Err(StreamError::Closed) => Ok(0),
            Err(error) => Err(error),
        }
    }

    /// Whether the guest waits for the client to send.
    pub(crate) fn is_waiting(&self) -> bool {
        self.lock().waiting
    }

    /// Ready when the request's body has broken off and a read of it waits for a decision.
    pub(crate) fn poll_cut(&self, cx: &mut Context<'_>) -> Poll<Cut> {
        let mut state = self.lock();
        match state.cut() {
            Some(cut) => Poll::Ready(cut),
            None => {
                state.watcher = Some(cx.waker().clone());
                Poll::Pending
            }
        }
    }

    /// How the body broke off, if it did.
    pub(crate) fn cut(&self) -> Option<Cut> {
        self.lock().cut()
    }

    /// Notes that the script's answer has begun. From here on a read of a body that breaks off fails.
    pub(crate) fn answer_begun(&self) {
        let mut state = self.lock();
        state.begun = true;
        if let Some(reader) = state.reader.take() {
            reader.wake();
        }
    }

    fn lock(&self) -> MutexGuard<'_, StdinState> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// How much of a request's body arrived before it broke off, in bytes.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Cut {
    pub(crate) came: u64,
    pub(crate) length: u64,
}

impl std::fmt::Display for Cut {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "the request's body broke off: {} of {} bytes came", self.came, self.length)
    }
}

impl std::fmt::Debug for Stdin {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Stdin").finish_non_exhaustive()
    }
}

impl IsTerminal for Stdin {
    fn is_terminal(&self) -> bool {
        false
    }
}

impl StdinStream for Stdin {
    fn async_stream(&self) -> Box<dyn AsyncRead + Send + Sync> {
        // Only WASI 0.3 asks for this one, and nothing here links that.
        Box::new(tokio::io::empty())
    }

    fn p2_stream(&self) -> Box<dyn InputStream> {
        Box::new(self.clone())
    }
}

#[async_trait]
impl Pollable for Stdin {
    async fn ready(&mut self) {
        poll_fn(|cx| {
            let mut state = self.lock();
            let filled = state.poll_fill(cx);
            state.waiting = filled.is_pending();
            filled
        })
        .await;
    }
}

#[async_trait]
impl InputStream for Stdin {
    fn read(&mut self, size: usize) -> StreamResult<Bytes> {
        self.lock().read(size)
    }
}

struct StdinState {
    source: Source,
    chunk: Bytes,
    /// `CONTENT_LENGTH`, and how much of it has not arrived yet.
    length: u64,
    remaining: u64,
    waiting: bool,
    /// Whether the script's answer has begun.
    begun: bool,
    /// A read that waits for that.
    reader: Option<Waker>,
    /// The task that waits for the body to break off.
    watcher: Option<Waker>,
}

enum Source {
    Body(BoxBody),
    BrokenOff,
    Ended,
}

impl StdinState {
    /// Ready when a read would give bytes, the end or an error.
    fn poll_fill(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        while self.chunk.is_empty() {
            let Source::Body(body) = &mut self.source else { break };
            if self.remaining == 0 {
                self.source = Source::Ended;
                break;
            }
            match ready!(body.as_mut().poll_frame(cx)) {
                Some(Ok(frame)) => {
                    // Trailers have no place in CGI.
                    if let Ok(mut data) = frame.into_data() {
                        let wanted = usize::try_from(self.remaining).unwrap_or(usize::MAX).min(data.len());
                        data.truncate(wanted);
                        self.remaining -= wanted as u64;
                        self.chunk = data;
                    }
                }
                Some(Err(error)) => self.break_off(&*error),
                None => self.break_off("it ended before its Content-Length"),
            }
        }
        if self.is_undecided() {
            self.reader = Some(cx.waker().clone());
            return Poll::Pending;
        }
        Poll::Ready(())
    }

    fn break_off(&mut self, reason: impl std::fmt::Display) {
        tracing::debug!(%reason, "the request's body broke off");
        self.source = Source::BrokenOff;
        if let Some(watcher) = self.watcher.take() {
            watcher.wake();
        }
    }

    /// Whether the script is at the end of a body that has broken off, and may still be ended for that.
    fn is_undecided(&self) -> bool {
        matches!(self.source, Source::BrokenOff) && self.chunk.is_empty() && !self.begun
    }

    fn cut(&self) -> Option<Cut> {
        let is_broken = matches!(self.source, Source::BrokenOff) && self.chunk.is_empty();
        is_broken.then_some(Cut { came: self.length - self.remaining, length: self.length })
    }

    fn read(&mut self, size: usize) -> StreamResult<Bytes> {
        if !self.chunk.is_empty() {
            return Ok(self.chunk.split_to(size.min(self.chunk.len())));
        }
        match &self.source {
            Source::Body(_) if self.remaining > 0 => Ok(Bytes::new()),
            Source::Body(_) | Source::Ended => Err(StreamError::Closed),
            // As if nothing had arrived yet.
            Source::BrokenOff if !self.begun => Ok(Bytes::new()),
            Source::BrokenOff => {
                Err(StreamError::LastOperationFailed(wasmtime::Error::msg("the request's body broke off")))
            }
        }
    }
}
