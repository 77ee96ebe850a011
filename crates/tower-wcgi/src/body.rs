//! The response's body: the rest of the script's output, then how the script ended. Or the file that the script sends.

use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};

use crate::engine::Engine;
use crate::error::{Error, ErrorKind};
use crate::exchange::Exchange;
use crate::observe::{self, Observed};
use crate::request::RequestId;
use crate::stdio::FileReader;

/// The body of a response.
///
/// It owns the running script: dropping it before its end ends the script. An error means that the script failed after its
/// head. Servers then abort the connection, so that the client does not take a part for the whole.
#[derive(Debug)]
pub struct ResponseBody {
    content: Content,
    /// Until the body is over.
    observed: Option<Box<Observed>>,
}

#[derive(Debug)]
enum Content {
    /// These bytes and no more.
    Whole(Bytes),
    Script(Box<Streaming>),
    File(Box<Sending>),
}

#[derive(Debug)]
struct Sending {
    request_id: RequestId,
    file: FileReader,
    /// The engine, whose threads read.
    _engine: Engine,
}

#[derive(Debug)]
struct Streaming {
    request_id: RequestId,
    exchange: Exchange,
    /// The bytes that came with the head.
    first: Bytes,
    /// The bytes still to come, if the script said how long its body is.
    remaining: Option<u64>,
    /// Why the body is about to fail.
    failure: Option<Error>,
}

impl ResponseBody {
    fn of(content: Content) -> Self {
        Self { content, observed: None }
    }

    /// Has `observed` told how the body ends, and that it is over when it is.
    pub(crate) fn observe(&mut self, observed: Observed) {
        self.observed = Some(Box::new(observed));
    }

    pub(crate) fn empty() -> Self {
        Self::of(Content::Whole(Bytes::new()))
    }

    pub(crate) fn text(text: &'static str) -> Self {
        Self::of(Content::Whole(Bytes::from_static(text.as_bytes())))
    }

    pub(crate) fn file(request_id: RequestId, file: FileReader, engine: Engine) -> Self {
        Self::of(Content::File(Box::new(Sending { request_id, file, _engine: engine })))
    }

    pub(crate) fn script(request_id: RequestId, exchange: Exchange, first: Bytes, content_length: Option<u64>) -> Self {
        if content_length == Some(0) {
            if !first.is_empty() {
                log_excess(&request_id);
            }
            exchange.let_go_on();
            return Self::empty();
        }
        Self::of(Content::Script(Box::new(Streaming {
            request_id,
            exchange,
            first,
            remaining: content_length,
            failure: None,
        })))
    }
}

/// An empty body, as layers make that answer in place of the service.
impl Default for ResponseBody {
    fn default() -> Self {
        Self::empty()
    }
}

/// A body of these bytes, for a layer's own answer.
impl From<Bytes> for ResponseBody {
    fn from(bytes: Bytes) -> Self {
        Self::of(Content::Whole(bytes))
    }
}

/// A body of this text, for a layer's own answer.
impl From<String> for ResponseBody {
    fn from(text: String) -> Self {
        Bytes::from(text).into()
    }
}

/// A body of this text, for a layer's own answer.
impl From<&'static str> for ResponseBody {
    fn from(text: &'static str) -> Self {
        Self::text(text)
    }
}

impl Body for ResponseBody {
    type Data = Bytes;
    type Error = Error;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Error>>> {
        let polled = self.poll_content(cx);
        match &polled {
            Poll::Ready(Some(Err(error))) => {
                if let Some(observed) = self.observed.take() {
                    observed.failed(error.kind());
                }
            }
            Poll::Ready(None) => self.observed = None,
            Poll::Ready(Some(Ok(_))) | Poll::Pending => {}
        }
        polled
    }

    fn is_end_stream(&self) -> bool {
        match &self.content {
            Content::Whole(bytes) => bytes.is_empty(),
            Content::Script(streaming) => streaming.known_length() == Some(0) && streaming.remaining.is_none(),
            Content::File(sending) => sending.file.remaining() == 0,
        }
    }

    fn size_hint(&self) -> SizeHint {
        match &self.content {
            Content::Whole(bytes) => SizeHint::with_exact(bytes.len() as u64),
            Content::Script(streaming) => match streaming.remaining.or_else(|| streaming.known_length()) {
                Some(length) => SizeHint::with_exact(length),
                None => SizeHint::default(),
            },
            Content::File(sending) => SizeHint::with_exact(sending.file.remaining()),
        }
    }
}

impl ResponseBody {
    fn poll_content(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Error>>> {
        let streaming = match &mut self.content {
            Content::Whole(bytes) if bytes.is_empty() => return Poll::Ready(None),
            Content::Whole(bytes) => return Poll::Ready(Some(Ok(Frame::data(std::mem::take(bytes))))),
            Content::Script(streaming) => streaming,
            Content::File(sending) => {
                return sending.poll_piece(cx).map(|piece| piece.map(|piece| piece.map(Frame::data)));
            }
        };
        let mut chunk = match ready!(streaming.poll_chunk(cx)) {
            Some(Ok(chunk)) => chunk,
            end => {
                self.content = Content::Whole(Bytes::new());
                return Poll::Ready(end.map(|result| result.map(Frame::data)));
            }
        };
        if let Some(remaining) = &mut streaming.remaining {
            let wanted = usize::try_from(*remaining).unwrap_or(usize::MAX);
            let excess = chunk.len() > wanted;
            chunk.truncate(wanted);
            *remaining -= chunk.len() as u64;
            if *remaining == 0 {
                if excess {
                    log_excess(&streaming.request_id);
                }
                // The client has all it was promised. The script may have more work than its output.
                if let Content::Script(streaming) = std::mem::replace(&mut self.content, Content::Whole(Bytes::new())) {
                    streaming.exchange.let_go_on();
                }
            }
        }
        Poll::Ready(Some(Ok(Frame::data(chunk))))
    }
}

impl Streaming {
    fn poll_chunk(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Bytes, Error>>> {
        if !self.first.is_empty() {
            return Poll::Ready(Some(Ok(std::mem::take(&mut self.first))));
        }
        if let Some(error) = self.failure.take() {
            return Poll::Ready(Some(Err(error)));
        }
        let failure = match ready!(self.exchange.poll_read(cx)) {
            Some(Err(error)) => error,
            None if self.remaining.is_some() => self.exchange.logged(Error::new(
                ErrorKind::MalformedResponse,
                "the script's output ended before its Content-Length",
            )),
            chunk => return Poll::Ready(chunk),
        };
        // A server that gets an error drops what it has not sent. Waiting once makes it send that first.
        self.failure = Some(failure);
        cx.waker().wake_by_ref();
        Poll::Pending
    }

    /// The length of the rest, if the script has ended well already.
    fn known_length(&self) -> Option<u64> {
        if self.failure.is_some() {
            return None;
        }
        Some(self.first.len() as u64 + self.exchange.stdout.remaining()?)
    }
}

impl Sending {
    fn poll_piece(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Bytes, Error>>> {
        let piece = ready!(self.file.poll_read(cx));
        Poll::Ready(piece.map(|piece| {
            piece.map_err(|source| {
                let error = Error::new(ErrorKind::Host, "cannot read the file that is sent").with_source(source);
                observe::log(&error, &self.request_id, "");
                error
            })
        }))
    }
}

fn log_excess(request_id: &RequestId) {
    tracing::warn!(%request_id, "the script wrote more than its Content-Length, the rest was cut");
}
