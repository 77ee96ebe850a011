//! The request's body, from stdin.
//!
//! In: a reader and the number of its bytes. Out: chunks, each read when it is polled. It must not know their use.

use std::fmt;
use std::io::{self, Read};
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};

/// The body of a request: `CONTENT_LENGTH` bytes of stdin (RFC 3875 §4.2).
///
/// Nothing is read before a poll. A poll waits for the next bytes, and fails if stdin ends too early.
pub struct RequestBody {
    read: ReadChunk,
    remaining: u64,
}

/// [`Read::read`] alone: a `dyn Read` would bring all its other methods into the program.
type ReadChunk = Box<dyn FnMut(&mut [u8]) -> io::Result<usize> + Send>;

impl RequestBody {
    pub(crate) fn new(mut input: impl Read + Send + 'static, length: u64) -> Self {
        Self { read: Box::new(move |chunk| input.read(chunk)), remaining: length }
    }
}

impl Body for RequestBody {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<io::Result<Frame<Bytes>>>> {
        let this = self.get_mut();
        if this.remaining == 0 {
            return Poll::Ready(None);
        }
        let mut chunk = vec![0; usize::try_from(this.remaining).map_or(CHUNK_BYTES, |n| n.min(CHUNK_BYTES))];
        let result = loop {
            match (this.read)(&mut chunk) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Ok(0) => break Err(io::Error::new(io::ErrorKind::UnexpectedEof, "the request's body ended too early")),
                result => break result,
            }
        };
        Poll::Ready(Some(match result {
            Ok(read) => {
                chunk.truncate(read);
                this.remaining -= chunk.len() as u64;
                Ok(Frame::data(chunk.into()))
            }
            Err(error) => {
                this.remaining = 0;
                Err(error)
            }
        }))
    }

    fn is_end_stream(&self) -> bool {
        self.remaining == 0
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.remaining)
    }
}

impl fmt::Debug for RequestBody {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RequestBody").field("remaining", &self.remaining).finish_non_exhaustive()
    }
}

/// Large enough for few calls, and small in memory.
const CHUNK_BYTES: usize = 16 << 10;

#[cfg(test)]
mod tests {
    use http_body_util::BodyExt as _;

    use super::*;
    use crate::block_on::block_on;

    fn read(input: &'static [u8], length: u64) -> io::Result<Vec<u8>> {
        let body = RequestBody::new(input, length);
        block_on(body.collect()).unwrap().map(|collected| collected.to_bytes().to_vec())
    }

    #[test]
    fn reads_what_the_request_has_and_no_more() {
        assert_eq!(read(b"hello, rest", 5).unwrap(), b"hello");
        assert_eq!(read(b"rest", 0).unwrap(), b"");
        assert_eq!(read(&[7; 100_000], 90_000).unwrap(), [7; 90_000]);
    }

    #[test]
    fn an_early_end_is_an_error() {
        assert_eq!(read(b"hel", 5).unwrap_err().kind(), io::ErrorKind::UnexpectedEof);
    }

    #[test]
    fn reads_when_it_is_polled() {
        struct Once(bool);
        impl Read for Once {
            fn read(&mut self, chunk: &mut [u8]) -> io::Result<usize> {
                assert!(!std::mem::replace(&mut self.0, true), "read twice");
                chunk[0] = b'x';
                Ok(1)
            }
        }
        let mut body = RequestBody::new(Once(false), 9);
        let frame = block_on(body.frame()).unwrap().unwrap().unwrap();
        assert_eq!(frame.into_data().unwrap(), "x");
        assert_eq!(body.size_hint().exact(), Some(8));
    }
}
