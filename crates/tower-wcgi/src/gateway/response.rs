//! Stage 8: what a script writes, up to the blank line, becomes a response's head (RFC 3875 §6).
//!
//! In come chunks as the script wrote them, out come a [`Head`] and the body's first bytes. This file finds where the
//! head ends; [`head`] reads it. It must not know wasm, tokio, or what becomes of the body.

use bytes::{Bytes, BytesMut};

use super::head::{self, Head};
use crate::error::{Error, ErrorKind};

/// Waits for the end of a head that comes in chunks.
///
/// Feed it until it says [`Progress::Head`] or fails; after that it is of no more use.
#[derive(Debug, Default)]
pub(crate) struct HeadParser {
    /// What came before, if that was not the whole head.
    seen: BytesMut,
    /// What of the current line came before.
    line: Line,
}

/// How far a [`HeadParser`] is.
#[derive(Debug)]
pub(crate) enum Progress {
    /// The head goes on in the next chunk.
    More,
    /// The head, and what of the body came in the same chunk.
    Head { head: Head, rest: Bytes },
}

impl HeadParser {
    pub(crate) fn new() -> Self {
        Self::default()
    }

    /// Takes the next chunk. Each byte is looked at once, however many chunks there are.
    ///
    /// # Errors
    ///
    /// `MalformedResponse` if the head is over the limits, or is no CGI response head.
    pub(crate) fn feed(&mut self, mut chunk: Bytes) -> Result<Progress, Error> {
        let allowed = MAX_HEAD_BYTES - self.seen.len();
        let Some(end) = self.line.find_blank(chunk.iter().take(allowed)) else {
            // A blank line that comes now would come too late, so it need not be waited for.
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

/// What of a line has been seen.
#[derive(Clone, Copy, Debug, Default)]
enum Line {
    #[default]
    Nothing,
    CarriageReturn,
    Text,
}

impl Line {
    /// How many bytes it takes to reach the end of an empty line. NL is `\n` or `\r\n` (RFC 3875 §6.1 leaves it to the
    /// system; scripts of all systems run here).
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

/// The longest head, blank line included: what the largest web servers take from a backend, and far above any real one.
const MAX_HEAD_BYTES: usize = 64 * 1024;
