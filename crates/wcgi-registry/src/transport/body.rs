//! Bodies: a file on its way to a registry, an answer with a limit, and a clock that runs while neither moves.

use std::fs::File;
use std::io::{self, Read};
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use reqwest::Response;

use super::limits::SILENCE;
use crate::digest::BUFFER;
use crate::error::{Error, ErrorKind};

/// The content of a file, of a length that is known.
#[derive(Debug)]
pub(super) struct Upload {
    file: File,
    left: u64,
    progress: Progress,
}

/// Counts what goes out.
#[derive(Debug, Clone, Default)]
pub(super) struct Progress(Arc<AtomicU64>);

impl Upload {
    pub(super) fn new(file: File, length: u64, progress: Progress) -> Self {
        Self { file, left: length, progress }
    }
}

impl Body for Upload {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<io::Result<Frame<Bytes>>>> {
        if self.left == 0 {
            return Poll::Ready(None);
        }
        let mut piece = vec![0; BUFFER.min(usize::try_from(self.left).unwrap_or(BUFFER))];
        let read = match self.file.read(&mut piece) {
            Ok(0) => return Poll::Ready(Some(Err(io::Error::from(io::ErrorKind::UnexpectedEof)))),
            Ok(read) => read,
            Err(error) => return Poll::Ready(Some(Err(error))),
        };
        piece.truncate(read);
        self.left = self.left.saturating_sub(read as u64);
        self.progress.0.fetch_add(read as u64, Ordering::Relaxed);
        Poll::Ready(Some(Ok(Frame::data(Bytes::from(piece)))))
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.left)
    }
}

/// Waits for `future` for as long as something goes out.
pub(super) async fn unless_silent<T>(progress: &Progress, future: impl Future<Output = T>) -> Result<T, Silent> {
    let mut future = pin!(future);
    loop {
        let before = progress.0.load(Ordering::Relaxed);
        match tokio::time::timeout(SILENCE, &mut future).await {
            Ok(output) => return Ok(output),
            Err(_) if progress.0.load(Ordering::Relaxed) != before => {}
            Err(_) => return Err(Silent),
        }
    }
}

/// Nothing came and nothing went for too long.
#[derive(Debug)]
pub(super) struct Silent;

impl Silent {
    pub(super) fn error(self, host: &str) -> Error {
        let Self = self;
        Error::new(ErrorKind::Unreachable, format!("{host} has been silent for {}", seconds(SILENCE)))
    }
}

/// Hands the body to `take` piece by piece.
pub(super) async fn pieces(
    host: &str,
    mut response: Response,
    mut take: impl FnMut(&[u8]) -> Result<(), Error>,
) -> Result<(), Error> {
    loop {
        let piece = tokio::time::timeout(SILENCE, response.chunk()).await;
        let piece = piece.map_err(|_| Silent.error(host))?.map_err(|error| {
            Error::new(ErrorKind::Unreachable, format!("the answer of {host} breaks off"))
                .with_source(error.without_url())
        })?;
        match piece {
            Some(piece) => take(&piece)?,
            None => return Ok(()),
        }
    }
}

/// The whole body, if it has no more than `limit` bytes.
pub(super) async fn whole(host: &str, response: Response, limit: u64) -> Result<Vec<u8>, Error> {
    let mut whole = Vec::new();
    pieces(host, response, |piece| {
        if (whole.len() + piece.len()) as u64 > limit {
            let message = format!("{host} answers with more than {limit} bytes where so much is not allowed");
            return Err(Error::new(ErrorKind::Limit, message));
        }
        whole.extend_from_slice(piece);
        Ok(())
    })
    .await?;
    Ok(whole)
}

/// The beginning of a body that says why something went wrong.
pub(super) async fn beginning(host: &str, response: Response, limit: u64) -> Vec<u8> {
    whole(host, response, limit).await.unwrap_or_default()
}

fn seconds(duration: Duration) -> String {
    format!("{} s", duration.as_secs())
}
