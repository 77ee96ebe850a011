//! Metrics of what the library does not see: the server's own answers, reloads. They count nothing unless a recorder is installed.

use std::time::Instant;

use http::{Method, StatusCode};
use metrics::{counter, histogram};

/// Counts a request that no script has answered. It may have reached no site.
pub(crate) fn own_answer(site: &str, method: &Method, status: StatusCode, start: Instant) {
    // A method of a client's own making is no label.
    let is_known = |known: &Method| known == method;
    let known = [Method::GET, Method::HEAD, Method::POST, Method::PUT, Method::PATCH, Method::DELETE];
    let rest = [Method::OPTIONS, Method::TRACE, Method::CONNECT];
    let method = if known.iter().chain(&rest).any(is_known) { method.as_str() } else { "other" };
    let labels = [("site", site.to_owned()), ("method", method.to_owned()), ("status", status.as_str().to_owned())];
    counter!("wcgi_requests_total", &labels).increment(1);
    histogram!("wcgi_request_duration_seconds", "site" => site.to_owned()).record(start.elapsed());
}

/// Counts what the cache of a site has done.
pub(crate) fn cache(site: &str, result: &'static str) {
    counter!("wcgi_cache_total", "site" => site.to_owned(), "result" => result).increment(1);
}

/// Counts a TLS handshake that has come to nothing.
pub(crate) fn failed_handshake() {
    counter!("wcgi_tls_handshakes_failed_total").increment(1);
}

/// Counts a reload.
pub(crate) fn reload(ok: bool) {
    counter!("wcgi_reloads_total", "result" => if ok { "ok" } else { "failed" }).increment(1);
}
