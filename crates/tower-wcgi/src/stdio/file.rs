//! A part of a file, read in pieces on threads that may block.
//!
//! In: an open file and a range of its bytes. Out: exactly those bytes, one piece in memory at a time, or an error. It must
//! not know their use: it reads spooled request bodies and files that a script sends.

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::ops::Range;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use tokio::runtime::Handle;
use tokio::task::JoinHandle;

/// Reads a part of a file.
#[derive(Debug)]
pub(crate) struct FileReader {
    file: Arc<File>,
    part: Range<u64>,
    reading: Option<JoinHandle<io::Result<Bytes>>>,
    threads: Handle,
}

impl FileReader {
    /// The bytes `part` of `file`. `threads` is the runtime whose blocking threads read them. It must outlive this.
    pub(crate) fn new(file: File, part: Range<u64>, threads: Handle) -> Self {
        Self { file: Arc::new(file), part, reading: None, threads }
    }

    /// How many bytes are still to come.
    pub(crate) fn remaining(&self) -> u64 {
        self.part.end.saturating_sub(self.part.start)
    }

    /// The next piece, never an empty one.
    ///
    /// # Errors
    ///
    /// Fails with the system's error, or with `UnexpectedEof` if the file has become shorter than the part. No piece follows.
    pub(crate) fn poll_read(&mut self, cx: &mut Context<'_>) -> Poll<Option<io::Result<Bytes>>> {
        if self.part.is_empty() {
            return Poll::Ready(None);
        }
        let reading = self.reading.get_or_insert_with(|| {
            let (file, at) = (Arc::clone(&self.file), self.part.start);
            let wanted = usize::try_from(self.part.end - at).unwrap_or(usize::MAX).min(PIECE_BYTES);
            self.threads.spawn_blocking(move || read_piece(&file, at, wanted))
        });
        let piece = ready!(Pin::new(reading).poll(cx)).unwrap_or_else(|error| Err(io::Error::other(error)));
        self.reading = None;
        match &piece {
            Ok(bytes) => self.part.start += bytes.len() as u64,
            Err(_) => self.part.start = self.part.end,
        }
        Poll::Ready(Some(piece))
    }
}

fn read_piece(mut file: &File, at: u64, wanted: usize) -> io::Result<Bytes> {
    let mut piece = Vec::with_capacity(wanted);
    file.seek(SeekFrom::Start(at))?;
    file.take(wanted as u64).read_to_end(&mut piece)?;
    if piece.is_empty() {
        return Err(io::Error::new(io::ErrorKind::UnexpectedEof, format!("the file ends at byte {at}, too early")));
    }
    Ok(piece.into())
}

/// Large enough that waking a thread costs little, and small enough to hold one for each connection.
pub(super) const PIECE_BYTES: usize = 64 << 10;

#[cfg(test)]
mod tests {
    use std::future::poll_fn;
    use std::io::Write;

    use super::*;

    fn file(content: &[u8]) -> File {
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(content).unwrap();
        file
    }

    async fn next(reader: &mut FileReader) -> Option<io::Result<Bytes>> {
        poll_fn(|cx| reader.poll_read(cx)).await
    }

    #[tokio::test]
    async fn gives_the_part_in_pieces() {
        let content: Vec<u8> = (0..200_000_u32).map(|n| n.to_le_bytes()[0]).collect();
        for (start, end) in [(0, 0), (0, 1), (0, 65_536), (5, 65_542), (10, 200_000), (199_999, 200_000)] {
            let mut reader = FileReader::new(file(&content), start as u64..end as u64, Handle::current());
            let mut read = Vec::new();
            while let Some(piece) = next(&mut reader).await {
                let piece = piece.unwrap();
                assert!(!piece.is_empty() && piece.len() <= PIECE_BYTES);
                read.extend_from_slice(&piece);
                assert_eq!(reader.remaining(), (end - start - read.len()) as u64);
            }
            assert!(read == content[start..end], "{start}..{end}");
        }
    }

    #[tokio::test]
    async fn a_file_that_shrinks_is_an_error_and_then_the_end() {
        let file = file(&[b'x'; 100_000]);
        let mut reader = FileReader::new(file.try_clone().unwrap(), 0..100_000, Handle::current());
        assert_eq!(next(&mut reader).await.unwrap().unwrap().len(), PIECE_BYTES);
        file.set_len(70_000).unwrap();
        assert_eq!(next(&mut reader).await.unwrap().unwrap().len(), 70_000 - PIECE_BYTES);
        let error = next(&mut reader).await.unwrap().unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::UnexpectedEof);
        assert!(next(&mut reader).await.is_none());
    }
}
