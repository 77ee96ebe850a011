//! The line that a failed request has in the log.
//!
//! In: an error, and the last that the script said. Out: one event of `tracing`. Knows nothing of wasm.

use crate::error::{Error, ErrorKind};
use crate::escape;
use crate::request::RequestId;

/// The one line that a failed request has in the log: whose fault, why, the wasm backtrace, the last the script said.
pub(crate) fn log(error: &Error, request_id: &RequestId, stderr: &str) {
    // The first source of a trap is the backtrace, the next says what it was.
    let detail = error.causes().map(ToString::to_string).collect::<Vec<_>>().join("\n");
    let detail = escape::Lines(&detail).to_string();
    let stderr = escape::Lines(stderr).to_string();
    let message = error.to_string();
    let message = escape::Line(&message);
    let hint = error.hint().map(|hint| escape::Line(hint).to_string());
    let reason = error.kind().as_str();
    let site = request_id.site();
    if error.is_host() {
        tracing::error!(%request_id, site, reason, detail, hint, stderr, "{message}");
    } else if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::MethodNotAllowed) {
        // What strangers ask for is no news, and an access log has it.
        tracing::debug!(%request_id, site, reason, detail, hint, stderr, "{message}");
    } else {
        tracing::warn!(%request_id, site, reason, detail, hint, stderr, "{message}");
    }
}
