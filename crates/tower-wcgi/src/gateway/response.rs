//! Stage 8: a script's output, up to the blank line, becomes a response's head (RFC 3875 §6).
//!
//! In: chunks as the script wrote them. Out: a [`Head`] and the body's first bytes. This file finds the end of the
//! head, and [`head`] reads it. It must not know wasm, tokio, or what becomes of the body.

use bytes::{Bytes, BytesMut};

use super::head::{self, Head};
use crate::error::{Error, ErrorKind};

/// Waits for the end of a head that comes in chunks.
///
/// Feed it until it gives [`Progress::Head`] or fails. Do not use it after that.
#[derive(Debug, Default)]
pub(crate) struct HeadParser {
    /// Earlier chunks, if they were not the whole head.
    seen: BytesMut,
    /// The part of the current line in earlier chunks.
    line: Line,
}

/// The progress of a [`HeadParser`].
#[derive(Debug)]
pub(crate) enum Progress {
    /// The head goes on in the next chunk.
    More,
    /// The head, and the part of the body in the same chunk.
    Head { head: Head, rest: Bytes },
}

impl HeadParser {
    pub(crate) fn new() -> Self {
        Self::default()
    }

    /// Takes the next chunk. Each byte is read once, whatever the number of chunks.
    ///
    /// # Errors
    ///
    /// `MalformedResponse` if the head is over the limits, or is no CGI response head.
    pub(crate) fn feed(&mut self, mut chunk: Bytes) -> Result<Progress, Error> {
        let allowed = MAX_HEAD_BYTES - self.seen.len();
        let Some(end) = self.line.find_blank(chunk.iter().take(allowed)) else {
            // A blank line would come too late now, so waiting for it is useless.
            if chunk.len() >= allowed {
                self.seen.extend_from_slice(chunk.get(..allowed).unwrap_or(&chunk));
                let error = Error::new(ErrorKind::MalformedResponse, "the response head is over 64 KiB");
                return Err(error.quoting(head::first_line(&self.seen)));
            }
            self.seen.extend_from_slice(&chunk);
            return Ok(Progress::More);
        };
        let last = chunk.split_to(end);
        let head = if self.seen.is_empty() {
            last
        } else {
            self.seen.extend_from_slice(&last);
            self.seen.split().freeze()
        };
        Ok(Progress::Head { head: head::parse(&head)?, rest: chunk })
    }

    /// The script ended before its head did.
    pub(crate) fn end(self) -> Error {
        if self.seen.is_empty() {
            Error::new(ErrorKind::NoResponse, "the script ended without a response")
        } else {
            Error::new(ErrorKind::MalformedResponse, "the script ended within its response head")
                .quoting(head::first_line(&self.seen))
                .with_hint("a head ends with an empty line")
        }
    }
}

/// The part of a line that has been read.
#[derive(Clone, Copy, Debug, Default)]
enum Line {
    #[default]
    Nothing,
    CarriageReturn,
    Text,
}

impl Line {
    /// How many bytes it takes to reach the end of an empty line. NL is `\n` or `\r\n`: RFC 3875 §6.1 leaves it to the
    /// system, and scripts of all systems run here.
    fn find_blank<'a>(&mut self, bytes: impl Iterator<Item = &'a u8>) -> Option<usize> {
        for (at, byte) in bytes.enumerate() {
            *self = match (*self, byte) {
                (Self::Nothing | Self::CarriageReturn, b'\n') => return Some(at + 1),
                (Self::Text, b'\n') => Self::Nothing,
                (Self::Nothing, b'\r') => Self::CarriageReturn,
                _ => Self::Text,
            };
        }
        None
    }
}

/// The longest head, blank line included. The largest web servers take as much from a backend. Real heads are far shorter.
const MAX_HEAD_BYTES: usize = 64 * 1024;
