//! How a run ended: which of wasmtime's errors is whose fault, and the log line it makes.

use std::error::Error as _;

use crate::error::{Error, ErrorKind};
use crate::request::RequestId;
use crate::script::Exit;
use crate::stdio::Stderr;

/// What the end of `_start` means. A script that exits, whatever its status, has said what it wanted to say: php-cgi exits
/// with 255 after a valid error page. Whether that was a response is for the reader of its output to find out.
pub(super) fn judge(result: wasmtime::Result<()>, memory_exceeded: bool) -> Result<(), Error> {
    let Err(error) = result else { return Ok(()) };
    match error.downcast_ref::<Exit>() {
        Some(Exit(0)) => Ok(()),
        Some(Exit(status)) => {
            tracing::debug!(status, "the script exited with a non-zero status");
            Ok(())
        }
        // A script that is denied memory mostly traps at once, in its allocator.
        None if memory_exceeded => {
            Err(Error::new(ErrorKind::MemoryLimit, "the script needed more memory than its limit").with_source(error))
        }
        None => Err(Error::new(ErrorKind::Trap, "the script trapped").with_source(error)),
    }
}

pub(super) fn late() -> Error {
    Error::new(ErrorKind::DeadlineExceeded, "the exchange was not over at its deadline")
}

/// One line for an exchange that failed, with the wasm backtrace and the last the script said.
pub(super) fn log(request_id: &RequestId, error: Option<&Error>, stderr: &Stderr) {
    let tail = stderr.finish();
    let Some(error) = error else { return };
    // wasmtime's Debug form has the backtrace.
    let detail = error.source().map(|source| format!("{source:?}")).unwrap_or_default();
    let reason = error.kind().as_str();
    if error.is_host() {
        tracing::error!(%request_id, reason, detail, stderr = tail, "{error}");
    } else {
        tracing::warn!(%request_id, reason, detail, stderr = tail, "{error}");
    }
}
