//! The admin address: whether the server lives, whether it is ready, its metrics, its status.
//!
//! It is for operators and their tools, and none of its requests has an access line.

mod metrics;
mod page;
mod status;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

use bytes::Bytes;
use http::header::{ACCEPT, ALLOW, CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE};
use http::{HeaderValue, Method, Request, Response, StatusCode};
use http_body_util::Full;
use hyper::body::Incoming;
use tower_wcgi::Engine;

pub(crate) use self::metrics::Metrics;
use self::status::Status;
use super::app::Served;
use crate::server::App;

/// What answers there. Clones are the same.
#[derive(Debug, Clone)]
pub(crate) struct Admin {
    pub(crate) served: Served,
    pub(crate) engine: Engine,
    pub(crate) metrics: Metrics,
    pub(crate) draining: Arc<AtomicBool>,
    pub(crate) start: Instant,
}

impl App for Admin {
    type Body = Full<Bytes>;

    async fn answer(&self, request: Request<Incoming>) -> Response<Full<Bytes>> {
        let method = request.method();
        if !matches!(request.uri().path(), "/" | "/healthz" | "/readyz" | "/metrics" | "/status") {
            return text(StatusCode::NOT_FOUND, "Not Found\n");
        }
        if method != Method::GET && method != Method::HEAD {
            let mut response = text(StatusCode::METHOD_NOT_ALLOWED, "Method Not Allowed\n");
            response.headers_mut().insert(ALLOW, HeaderValue::from_static("GET, HEAD"));
            return response;
        }
        match request.uri().path() {
            "/healthz" => text(StatusCode::OK, "ok\n"),
            // It answers from when all sites are open.
            "/readyz" if self.draining.load(Ordering::Relaxed) => text(StatusCode::SERVICE_UNAVAILABLE, "draining\n"),
            "/readyz" => text(StatusCode::OK, "ready\n"),
            "/metrics" => {
                response("text/plain; version=0.0.4; charset=utf-8", self.metrics.text(&self.served, &self.engine))
            }
            "/status" => self.status(&request),
            _ => response("text/html; charset=utf-8", page::links()),
        }
    }
}

impl Admin {
    fn status(&self, request: &Request<Incoming>) -> Response<Full<Bytes>> {
        let status = Status::of(&self.served, &self.engine, self.start);
        let accepted = request.headers().get_all(ACCEPT).iter().filter_map(|value| value.to_str().ok());
        let accepted: Vec<_> = accepted.flat_map(|value| value.split(',')).map(str::trim).collect();
        let place = |media: &str| accepted.iter().position(|item| item.starts_with(media));
        // Browsers name HTML, and whoever wants JSON names that; a tool that names neither reads JSON more easily.
        let html = match (place("text/html"), place("application/json")) {
            (Some(html), Some(json)) => html < json,
            (html, _) => html.is_some(),
        };
        if html {
            return response("text/html; charset=utf-8", page::status(&status));
        }
        response("application/json", status.json().to_string() + "\n")
    }
}

fn text(status: StatusCode, text: &'static str) -> Response<Full<Bytes>> {
    let mut response = response("text/plain; charset=utf-8", text);
    *response.status_mut() = status;
    response
}

fn response(content_type: &'static str, body: impl Into<Bytes>) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(body.into()));
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    // There is no script on these pages, so what a client has smuggled into one does not run.
    let policy = "default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'";
    headers.insert(CONTENT_SECURITY_POLICY, HeaderValue::from_static(policy));
    response
}
