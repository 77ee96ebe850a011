//! What becomes of a request's body that nobody read to its end.
//!
//! A server may close a connection on which the client still sends. The client's kernel then drops the unread response
//! (RFC 9112 §9.6). So the rest is read and thrown away for a while, within bounds, while the response goes out.

use std::future::poll_fn;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use tokio::runtime::Handle;

use super::{BoxBody, BoxError};

/// A body that is read to its end, or to the bounds, after it was dropped.
pub(crate) struct Lingering {
    body: Option<BoxBody>,
    /// The client sends, or is about to.
    coming: bool,
    threads: Handle,
}

impl Lingering {
    /// `awaited` says that the client sends nothing before it is told to, which the server does at the first read
    /// (RFC 9110 §10.1.1). Then nothing has to be thrown away unless something was read.
    pub(crate) fn new(body: BoxBody, awaited: bool, threads: Handle) -> Self {
        Self { body: Some(body), coming: !awaited, threads }
    }
}

impl Body for Lingering {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        self.coming = true;
        let Some(body) = &mut self.body else { return Poll::Ready(None) };
        let frame = ready!(body.as_mut().poll_frame(cx));
        if !matches!(frame, Some(Ok(_))) {
            self.body = None;
        }
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        self.body.as_ref().is_none_or(|body| body.is_end_stream())
    }

    fn size_hint(&self) -> SizeHint {
        self.body.as_ref().map_or_else(|| SizeHint::with_exact(0), |body| body.size_hint())
    }
}

impl Drop for Lingering {
    fn drop(&mut self) {
        if let Some(body) = self.body.take().filter(|body| self.coming && !body.is_end_stream()) {
            self.threads.spawn(async { tokio::time::timeout(LINGER, discard(body)).await });
        }
    }
}

/// A client that has left ends it at once: its body fails.
async fn discard(mut body: BoxBody) {
    let mut budget = LINGER_BYTES;
    while let Ok(Some(Ok(frame))) = tokio::time::timeout(SILENCE, poll_fn(|cx| body.as_mut().poll_frame(cx))).await {
        budget = budget.saturating_sub(frame.data_ref().map_or(0, Bytes::len));
        if budget == 0 {
            break;
        }
    }
}

/// As long as nginx lingers, in all and without a byte.
const LINGER: Duration = Duration::from_secs(30);
const SILENCE: Duration = Duration::from_secs(5);
const LINGER_BYTES: usize = 64 << 20;
