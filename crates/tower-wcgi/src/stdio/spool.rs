//! Bodies without a length, read whole so that `CONTENT_LENGTH` can be true (RFC 3875 §4.1.2).
//!
//! In: a body of unknown length. Out: the same bytes with their number, from memory if they are few, else from an unnamed
//! temporary file. Never more than the limit.

use std::future::poll_fn;
use std::io::Write;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll, ready};

use bytes::{Bytes, BytesMut};
use http_body::{Body, Frame};
use http_body_util::LengthLimitError;
use tokio::runtime::Handle;

use super::file::{FileReader, PIECE_BYTES};
use super::{BoxBody, BoxError};
use crate::error::{Error, ErrorKind};

/// Reads `body` to its end. `threads` is the runtime whose blocking threads write the file.
///
/// # Errors
///
/// - [`ErrorKind::BodyTooLarge`] as soon as more than `limit` bytes have arrived.
/// - [`ErrorKind::MalformedRequest`] if the body fails.
/// - [`ErrorKind::Overloaded`] if the bodies on disk leave no `room` for it.
/// - [`ErrorKind::Host`] if the disk has no room.
pub(crate) async fn spool(
    mut body: BoxBody,
    limit: u64,
    threads: &Handle,
    room: &Arc<SpoolRoom>,
) -> Result<(BoxBody, u64), Error> {
    let mut memory = BytesMut::new();
    let mut taken = Taken { room: Arc::clone(room), bytes: 0 };
    let mut file: Option<std::fs::File> = None;
    let mut length = 0_u64;
    while let Some(frame) = poll_fn(|cx| body.as_mut().poll_frame(cx)).await {
        let frame = frame.map_err(|error| failed(error, length))?;
        let Ok(data) = frame.into_data() else { continue };
        length = length.saturating_add(data.len() as u64);
        if length > limit {
            return Err(Error::new(ErrorKind::BodyTooLarge, format!("the request's body is over {limit} bytes")));
        }
        memory.extend_from_slice(&data);
        if memory.len() > PIECE_BYTES {
            let chunk = memory.split().freeze();
            taken.take(chunk.len() as u64)?;
            file = Some(
                blocking(threads, move || {
                    let mut file = match file {
                        Some(file) => file,
                        None => tempfile::tempfile()?,
                    };
                    file.write_all(&chunk)?;
                    Ok(file)
                })
                .await?,
            );
        }
    }
    let tail = memory.freeze();
    let body: BoxBody = match file {
        None => Box::pin(Spooled { memory: tail, file: None, _taken: taken }),
        Some(mut file) => {
            taken.take(tail.len() as u64)?;
            let file = blocking(threads, move || {
                file.write_all(&tail)?;
                Ok(file)
            })
            .await?;
            let file = Some(FileReader::new(file, 0..length, threads.clone()));
            Box::pin(Spooled { memory: Bytes::new(), file, _taken: taken })
        }
    };
    Ok((body, length))
}

/// A layer around the service may have a smaller limit, and report that as the body's error.
fn failed(source: BoxError, length: u64) -> Error {
    let mut causes =
        std::iter::successors(Some(&*source as &(dyn std::error::Error + 'static)), |error| error.source());
    if causes.any(|error| error.is::<LengthLimitError>()) {
        return Error::new(ErrorKind::BodyTooLarge, "the request's body is over the limit of a layer")
            .with_source(source);
    }
    let message = format!("the request's body broke off after {length} bytes");
    Error::new(ErrorKind::MalformedRequest, message).with_source(source)
}

/// The room of all bodies on disk together.
#[derive(Debug)]
pub(crate) struct SpoolRoom {
    limit: u64,
    used: AtomicU64,
}

impl SpoolRoom {
    pub(crate) fn new(limit: u64) -> Self {
        Self { limit, used: AtomicU64::new(0) }
    }
}

/// One body's share of that room.
struct Taken {
    room: Arc<SpoolRoom>,
    bytes: u64,
}

impl Taken {
    fn take(&mut self, bytes: u64) -> Result<(), Error> {
        let SpoolRoom { limit, used } = &*self.room;
        let more = |used: u64| used.checked_add(bytes).filter(|used| used <= limit);
        if used.fetch_update(Ordering::Relaxed, Ordering::Relaxed, more).is_err() {
            let message = format!("the request bodies on disk have reached their limit of {limit} bytes together");
            return Err(Error::new(ErrorKind::Overloaded, message));
        }
        self.bytes += bytes;
        Ok(())
    }
}

impl Drop for Taken {
    fn drop(&mut self) {
        self.room.used.fetch_sub(self.bytes, Ordering::Relaxed);
    }
}

/// A body that has been read before.
struct Spooled {
    memory: Bytes,
    file: Option<FileReader>,
    /// Given back when the file is gone.
    _taken: Taken,
}

impl Body for Spooled {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        if !self.memory.is_empty() {
            return Poll::Ready(Some(Ok(Frame::data(std::mem::take(&mut self.memory)))));
        }
        let Some(file) = &mut self.file else { return Poll::Ready(None) };
        let piece = ready!(file.poll_read(cx));
        Poll::Ready(piece.map(|piece| piece.map(Frame::data).map_err(Into::into)))
    }
}

async fn blocking<T: Send + 'static>(
    threads: &Handle,
    work: impl FnOnce() -> std::io::Result<T> + Send + 'static,
) -> Result<T, Error> {
    let failed = |source: BoxError| {
        Error::new(ErrorKind::Host, "cannot keep the request's body in a temporary file").with_source(source)
    };
    match threads.spawn_blocking(work).await {
        Ok(Ok(done)) => Ok(done),
        Ok(Err(error)) => Err(failed(error.into())),
        Err(error) => Err(failed(error.into())),
    }
}
