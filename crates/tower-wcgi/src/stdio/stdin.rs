//! stdin: the request's body, polled by the guest's own reads.
//!
//! In: an http body. Out: what the guest reads. Nothing is read ahead but the frame the guest is in, so a guest that does
//! not read leaves the body where it is, and back-pressure reaches the client. A body that fails is a failed read, never a
//! clean end.

use std::future::poll_fn;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, ready};

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
pub(crate) struct Stdin(Arc<Mutex<State>>);

impl Stdin {
    /// Reads exactly `length` bytes from `body`: what `CONTENT_LENGTH` says is what there is (RFC 3875 §4.2).
    pub(crate) fn new(body: BoxBody, length: u64) -> Self {
        Self(Arc::new(Mutex::new(State {
            source: Source::Body(body),
            chunk: Bytes::new(),
            remaining: length,
            waiting: false,
        })))
    }

    pub(crate) fn empty() -> Self {
        Self(Arc::new(Mutex::new(State { source: Source::Ended, chunk: Bytes::new(), remaining: 0, waiting: false })))
    }

    /// Reads some bytes into `target`, waiting for the first; none at the end.
    ///
    /// # Errors
    ///
    /// When the request's body fails.
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

    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
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

struct State {
    source: Source,
    chunk: Bytes,
    /// Bytes of `CONTENT_LENGTH` that have not come yet.
    remaining: u64,
    waiting: bool,
}

enum Source {
    Body(BoxBody),
    Failed(BoxError),
    Ended,
}

impl State {
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
                Some(Err(error)) => self.source = Source::Failed(error),
                None => self.source = Source::Failed("the request's body ended before its Content-Length".into()),
            }
        }
        Poll::Ready(())
    }

    fn read(&mut self, size: usize) -> StreamResult<Bytes> {
        if !self.chunk.is_empty() {
            return Ok(self.chunk.split_to(size.min(self.chunk.len())));
        }
        match &self.source {
            Source::Body(_) if self.remaining > 0 => Ok(Bytes::new()),
            Source::Body(_) | Source::Ended => Err(StreamError::Closed),
            Source::Failed(error) => {
                tracing::debug!(error, "the request's body failed while the script read it");
                Err(StreamError::LastOperationFailed(wasmtime::Error::msg("the request's body failed")))
            }
        }
    }
}
