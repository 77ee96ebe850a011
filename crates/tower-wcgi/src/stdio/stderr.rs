//! stderr: the guest's messages go into `tracing`, line by line.
//!
//! Three bounds: the length of a line, the bytes logged per exchange, and the tail kept for the log line of a failure.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use bytes::Bytes;
use tokio::io::AsyncWrite;
use wasmtime_wasi::cli::{IsTerminal, StdoutStream};
use wasmtime_wasi::p2::{OutputStream, Pollable, StreamResult};

use crate::escape;
use crate::observe::ExchangeInfo;
use crate::request::RequestId;

/// The log of one guest's stderr.
#[derive(Debug, Clone)]
pub(crate) struct Stderr(Arc<Mutex<StderrState>>);

impl Stderr {
    /// Lines have this id in the log, and are counted for `exchange`.
    pub(crate) fn new(request_id: RequestId, exchange: Option<ExchangeInfo>) -> Self {
        Self(Arc::new(Mutex::new(StderrState {
            request_id,
            exchange,
            line: Vec::new(),
            line_cut: false,
            tail: VecDeque::new(),
            budget: LOGGED_BYTES,
        })))
    }

    /// Takes the guest's output.
    pub(crate) async fn write(&self, bytes: &[u8]) {
        for part in bytes.chunks(WRITE_AT_ONCE) {
            tokio::task::coop::consume_budget().await;
            self.lock().write(part);
        }
    }

    /// Logs a last line that has no end.
    pub(crate) fn finish(&self) {
        let mut state = self.lock();
        if !state.line.is_empty() {
            state.end_line();
        }
    }

    /// The last of everything written.
    pub(crate) fn tail(&self) -> String {
        let state = self.lock();
        let (front, back) = state.tail.as_slices();
        String::from_utf8_lossy(&[front, back].concat()).into_owned()
    }

    fn lock(&self) -> MutexGuard<'_, StderrState> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl IsTerminal for Stderr {
    fn is_terminal(&self) -> bool {
        false
    }
}

impl StdoutStream for Stderr {
    fn async_stream(&self) -> Box<dyn AsyncWrite + Send + Sync> {
        // Only WASI 0.3 asks for this one, and nothing here links that.
        Box::new(tokio::io::sink())
    }

    fn p2_stream(&self) -> Box<dyn OutputStream> {
        Box::new(self.clone())
    }
}

#[async_trait]
impl Pollable for Stderr {
    async fn ready(&mut self) {}
}

#[async_trait]
impl OutputStream for Stderr {
    fn write(&mut self, bytes: Bytes) -> StreamResult<()> {
        self.lock().write(&bytes);
        Ok(())
    }

    fn flush(&mut self) -> StreamResult<()> {
        Ok(())
    }

    fn check_write(&mut self) -> StreamResult<usize> {
        Ok(WRITE_AT_ONCE)
    }
}

#[derive(Debug)]
struct StderrState {
    request_id: RequestId,
    exchange: Option<ExchangeInfo>,
    line: Vec<u8>,
    line_cut: bool,
    tail: VecDeque<u8>,
    /// Bytes that may still be logged.
    budget: usize,
}

impl StderrState {
    fn write(&mut self, bytes: &[u8]) {
        let kept = bytes.get(bytes.len().saturating_sub(TAIL_BYTES)..).unwrap_or(bytes);
        let excess = (self.tail.len() + kept.len()).saturating_sub(TAIL_BYTES);
        self.tail.drain(..excess);
        self.tail.extend(kept);
        if self.budget == 0 {
            return;
        }
        for piece in bytes.split_inclusive(|byte| *byte == b'\n') {
            let (text, ends) = match piece.split_last() {
                Some((b'\n', text)) => (text, true),
                _ => (piece, false),
            };
            let room = LINE_BYTES.saturating_sub(self.line.len());
            self.line_cut |= text.len() > room;
            self.line.extend_from_slice(text.get(..room).unwrap_or(text));
            if ends {
                self.end_line();
            }
        }
    }

    fn end_line(&mut self) {
        if self.budget == 0 {
            return;
        }
        let line = String::from_utf8_lossy(&self.line);
        let line = line.trim_end_matches('\r');
        let cut = if self.line_cut { " …" } else { "" };
        let line = escape::Line(line).to_string();
        if let Some(exchange) = &self.exchange {
            exchange.meters().stderr_line();
        }
        let site = self.request_id.site();
        tracing::info!(target: "wcgi::stderr", request_id = %self.request_id, site, "{line}{cut}");
        self.budget = self.budget.saturating_sub(line.len().max(1));
        if self.budget == 0 {
            tracing::warn!(
                target: "wcgi::stderr",
                request_id = %self.request_id,
                site,
                "the script wrote over {LOGGED_BYTES} bytes to stderr, the rest is not logged"
            );
        }
        self.line.clear();
        self.line_cut = false;
    }
}

const LINE_BYTES: usize = 8 << 10;
const LOGGED_BYTES: usize = 1 << 20;
const TAIL_BYTES: usize = 2 << 10;
const WRITE_AT_ONCE: usize = 64 << 10;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_is_bounded_whatever_the_script_writes() {
        let stderr = Stderr::new(RequestId::generate(), None);
        for _ in 0..10_000 {
            stderr.lock().write(&[b'x'; 4096]);
        }
        let state = stderr.lock();
        assert!(state.line.len() <= LINE_BYTES && state.tail.len() <= TAIL_BYTES);
        assert!(state.line.capacity() <= 2 * LINE_BYTES && state.tail.capacity() <= 4 * TAIL_BYTES);
    }

    #[test]
    fn the_tail_is_the_end_of_what_was_written() {
        let stderr = Stderr::new(RequestId::generate(), None);
        stderr.lock().write("first\nlast, cut \u{20ac}".as_bytes());
        assert_eq!(stderr.tail(), "first\nlast, cut \u{20ac}");
        stderr.lock().write(&[b'.'; TAIL_BYTES - 3]);
        stderr.lock().write(b"end");
        let tail = stderr.tail();
        assert_eq!(tail.len(), TAIL_BYTES);
        assert!(tail.ends_with("..end"), "{tail}");
    }
}
