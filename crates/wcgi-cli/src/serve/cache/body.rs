//! The body of a site's response: a service's own, or one that is being stored while its client reads it.

use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};

use bytes::Bytes;
use http_body::{Frame, SizeHint};
use tower_wcgi::{Error, ResponseBody};

/// What a client reads.
#[derive(Debug)]
pub(crate) enum Body {
    Own(ResponseBody),
    Shared(Reader),
}

impl From<ResponseBody> for Body {
    fn from(body: ResponseBody) -> Self {
        Self::Own(body)
    }
}

impl http_body::Body for Body {
    type Data = Bytes;
    type Error = Error;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Error>>> {
        let reader = match &mut *self {
            Self::Own(body) => return Pin::new(body).poll_frame(cx),
            Self::Shared(reader) => reader,
        };
        let mut state = reader.buffer.lock();
        if let Some(piece) = state.pieces.get(reader.read).cloned() {
            reader.read += 1;
            return Poll::Ready(Some(Ok(Frame::data(piece))));
        }
        match std::mem::replace(&mut state.end, End::Whole) {
            End::Open => {
                state.end = End::Open;
                state.reader = Some(cx.waker().clone());
                Poll::Pending
            }
            End::Whole => Poll::Ready(None),
            End::Failed(error) => Poll::Ready(Some(Err(error))),
            End::Rest(body) => {
                drop(state);
                *self = Self::Own(body);
                self.poll_frame(cx)
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        match self {
            Self::Own(body) => body.is_end_stream(),
            Self::Shared(reader) => {
                let state = reader.buffer.lock();
                matches!(state.end, End::Whole) && state.pieces.len() == reader.read
            }
        }
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Self::Own(body) => body.size_hint(),
            Self::Shared(reader) => reader.length.map_or_else(SizeHint::default, SizeHint::with_exact),
        }
    }
}

/// Reads a [`Buffer`].
#[derive(Debug)]
pub(crate) struct Reader {
    buffer: Arc<Buffer>,
    read: usize,
    /// What is left, if the response says how long it is. It is asked for before the first read.
    length: Option<u64>,
}

/// A body that is being stored. It is written at the script's pace, and has one reader.
#[derive(Debug, Default)]
pub(super) struct Buffer(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    pieces: Vec<Bytes>,
    end: End,
    reader: Option<Waker>,
}

#[derive(Debug, Default)]
enum End {
    #[default]
    Open,
    Whole,
    Failed(Error),
    /// It was too large. The reader takes the rest from the script.
    Rest(ResponseBody),
}

impl Buffer {
    pub(super) fn reader(self: &Arc<Self>, length: Option<u64>) -> Reader {
        Reader { buffer: Arc::clone(self), read: 0, length }
    }

    pub(super) fn push(&self, piece: Bytes) {
        self.change(|state| state.pieces.push(piece));
    }

    pub(super) fn fail(&self, error: Error) {
        self.change(|state| state.end = End::Failed(error));
    }

    pub(super) fn hand_over(&self, rest: ResponseBody) {
        self.change(|state| state.end = End::Rest(rest));
    }

    /// Ends it, and gives all of it.
    pub(super) fn finish(&self) -> Bytes {
        self.change(|state| state.end = End::Whole);
        match &*self.lock().pieces {
            [] => Bytes::new(),
            [piece] => piece.clone(),
            pieces => pieces.concat().into(),
        }
    }

    fn change(&self, change: impl FnOnce(&mut State)) {
        let mut state = self.lock();
        change(&mut state);
        let reader = state.reader.take();
        drop(state);
        if let Some(reader) = reader {
            reader.wake();
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
