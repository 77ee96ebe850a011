//! How a run ended: whose fault each of wasmtime's errors is, and its log line.

use std::time::Duration;

use crate::error::{Error, ErrorKind};
use crate::host::Exit;
use crate::observe;
use crate::request::RequestId;
use crate::stdio::Stderr;

/// The meaning of the end of `_start`. A script that exits, whatever its status, has finished its output: php-cgi exits
/// with 255 after a valid error page. The reader of the output finds out whether it was a response.
pub(super) fn judge(result: wasmtime::Result<()>, memory_exceeded: bool, request_id: &RequestId) -> Result<(), Error> {
    let Err(error) = result else { return Ok(()) };
    match error.downcast_ref::<Exit>() {
        Some(Exit(0)) => Ok(()),
        Some(Exit(status)) => {
            tracing::debug!(%request_id, status, "the script exited with a non-zero status");
            Ok(())
        }
        // A script that is denied memory mostly traps at once, in its allocator.
        None if memory_exceeded => {
            Err(Error::new(ErrorKind::MemoryLimit, "the script needed more memory than its limit").with_source(error))
        }
        None if is_out_of_memory(&error) => {
            Err(Error::new(ErrorKind::Host, "the host has no memory left for an instance").with_source(error))
        }
        None => Err(Error::new(ErrorKind::Trap, "the script trapped").with_source(error)),
    }
}

/// Whether the cause is a call that the operating system refused for lack of memory.
fn is_out_of_memory(error: &wasmtime::Error) -> bool {
    error.chain().any(|cause| {
        #[cfg(unix)]
        if cause.downcast_ref() == Some(&rustix::io::Errno::NOMEM) {
            return true;
        }
        cause.downcast_ref::<std::io::Error>().is_some_and(|error| error.kind() == std::io::ErrorKind::OutOfMemory)
    })
}

/// What an exchange was doing at its deadline.
#[derive(Debug, Clone, Copy)]
pub(super) enum At {
    Running,
    Reading,
    Writing,
    Queueing,
}

pub(super) fn late(limit: Duration, after: Duration, at: At) -> Error {
    let at = match at {
        At::Running => "the script was running or asleep",
        At::Reading => "the script waited for the request's body",
        At::Writing => "the script waited for the client to read",
        At::Queueing => "the script waited for its turn to write a file",
    };
    let message = format!("the deadline of {limit:?} came, after {:.3} s {at}", after.as_secs_f64());
    Error::new(ErrorKind::DeadlineExceeded, message)
}

/// Logs an exchange that failed, with the last the script said, unless it is logged already; then it is not logged again.
pub(super) fn logged(error: Error, request_id: &RequestId, stderr: &Stderr) -> Error {
    if error.is_logged() {
        return error;
    }
    let tail = stderr.tail();
    observe::log(&error, request_id, &tail);
    error.with_stderr(tail).into_logged()
}
