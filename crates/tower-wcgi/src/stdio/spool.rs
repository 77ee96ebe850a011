//! Bodies without a length, read whole so that `CONTENT_LENGTH` can be true (RFC 3875 §4.1.2).
//!
//! In: a body of unknown length. Out: the same bytes with their number, from memory when small, else from an unnamed
//! temporary file. Never more than the limit.

use std::future::poll_fn;
use std::io::{Read, Seek, Write};
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::{Bytes, BytesMut};
use http_body::{Body, Frame};
use tokio::runtime::Handle;

use super::{BoxBody, BoxError};
use crate::error::{Error, ErrorKind};

/// Reads `body` to its end. `threads` is the runtime whose blocking threads write the file.
///
/// # Errors
///
/// [`ErrorKind::BodyTooLarge`] as soon as more than `limit` bytes came, [`ErrorKind::MalformedRequest`] when the body fails,
/// [`ErrorKind::Host`] when there is no room for it on disk.
pub(crate) async fn spool(mut body: BoxBody, limit: u64, threads: &Handle) -> Result<(BoxBody, u64), Error> {
    let mut memory = BytesMut::new();
    let mut file: Option<std::fs::File> = None;
    let mut length = 0_u64;
    while let Some(frame) = poll_fn(|cx| body.as_mut().poll_frame(cx)).await {
        let frame = frame
            .map_err(|error| Error::new(ErrorKind::MalformedRequest, "the request's body failed").with_source(error))?;
        let Ok(data) = frame.into_data() else { continue };
        length = length.saturating_add(data.len() as u64);
        if length > limit {
            return Err(Error::new(ErrorKind::BodyTooLarge, format!("the request's body is over {limit} bytes")));
        }
        memory.extend_from_slice(&data);
        if memory.len() > MEMORY_BYTES {
            let chunk = memory.split().freeze();
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
        None => Box::pin(Spooled { memory: tail, file: None, reading: None }),
        Some(mut file) => {
            let file = blocking(threads, move || {
                file.write_all(&tail)?;
                file.rewind()?;
                Ok(file)
            })
            .await?;
            Box::pin(Spooled { memory: Bytes::new(), file: Some(file), reading: None })
        }
    };
    Ok((body, length))
}

/// A body that has been read before.
struct Spooled {
    memory: Bytes,
    file: Option<std::fs::File>,
    reading: Option<tokio::task::JoinHandle<std::io::Result<(std::fs::File, Bytes)>>>,
}

impl Body for Spooled {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        if !self.memory.is_empty() {
            return Poll::Ready(Some(Ok(Frame::data(std::mem::take(&mut self.memory)))));
        }
        if let Some(file) = self.file.take() {
            // Polled by the guest's own read, which is on the engine's threads.
            self.reading = Some(tokio::task::spawn_blocking(move || read_chunk(file)));
        }
        let Some(reading) = &mut self.reading else { return Poll::Ready(None) };
        let result = std::task::ready!(Pin::new(reading).poll(cx));
        self.reading = None;
        match result {
            Ok(Ok((_, chunk))) if chunk.is_empty() => Poll::Ready(None),
            Ok(Ok((file, chunk))) => {
                self.file = Some(file);
                Poll::Ready(Some(Ok(Frame::data(chunk))))
            }
            Ok(Err(error)) => Poll::Ready(Some(Err(error.into()))),
            Err(error) => Poll::Ready(Some(Err(error.into()))),
        }
    }
}

fn read_chunk(mut file: std::fs::File) -> std::io::Result<(std::fs::File, Bytes)> {
    let mut chunk = Vec::with_capacity(MEMORY_BYTES);
    Read::by_ref(&mut file).take(MEMORY_BYTES as u64).read_to_end(&mut chunk)?;
    Ok((file, chunk.into()))
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

/// What is kept in memory, and the size of the pieces the file is written and read in.
const MEMORY_BYTES: usize = 64 << 10;
