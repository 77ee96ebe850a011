//! The service: one request in, one response out.

mod answer;
mod any_body;
mod asked;
mod respond;

use std::convert::Infallible;
use std::sync::Arc;
use std::task::{Context, Poll};

use http::{Request, Response};
use http_body::Body;
use tower_service::Service;

use crate::body::ResponseBody;
use crate::connection::ConnectionInfo;
use crate::engine::Engine;
use crate::future::{ResponseFuture, TryResponseFuture};
use crate::release::Release;
use crate::request::RequestId;
use crate::stdio::BoxError;
use respond::respond;

/// Answers HTTP requests with a CGI program compiled to WebAssembly, one fresh isolated instance per request.
///
/// It is a leaf [`Service`] for any request body, and cheap to clone: clones are the same service. Mount it in an axum router with
/// `nest_service` or `route_service`, or give it to hyper directly. Any tower layer can go around it.
///
/// Unlike most services it never fails. A failure becomes a response with the status of the error's
/// [kind](crate::ErrorKind::status), and the reason goes to the log. [`try_call`](Self::try_call) gives the error instead.
///
/// A failure after the response's head is an error of the [`ResponseBody`]. The server then aborts the connection, so that a cut
/// response never looks like a whole one.
///
/// # Backpressure
///
/// The service is always ready. A request takes a permit of the [`Engine`] inside its future, and waits for it in a bounded
/// queue. If the queue is full, or after too long a wait, the request is answered 503. A permit in `poll_ready` would not
/// work with axum: it polls readiness inside its own response future, and would queue without bound.
#[derive(Clone, Debug)]
pub struct WcgiService(Arc<Release>);

impl WcgiService {
    /// The engine the service's scripts run on.
    #[must_use]
    pub fn engine(&self) -> &Engine {
        &self.0.engine
    }

    /// The connection of a request as the service sees it, so that a log can show the same clients as the scripts see.
    #[must_use]
    pub fn connection_info(&self, parts: &http::request::Parts) -> ConnectionInfo {
        self.0.connection_info.of(parts)
    }

    /// Answers `request`, or gives the error.
    ///
    /// The future resolves as soon as the response's head is complete. The body streams the rest of the script's output.
    ///
    /// # Errors
    ///
    /// The future's output: every [`ErrorKind`](crate::ErrorKind) of the request, the script and overload, and [`ErrorKind::Host`](crate::ErrorKind::Host).
    pub fn try_call<B>(&self, request: Request<B>) -> TryResponseFuture
    where
        B: Body + Send + 'static,
        B::Data: Send,
        B::Error: Into<BoxError>,
    {
        let id = RequestId::of(request.extensions(), request.headers());
        let request = any_body::boxed(request, self.0.engine.threads());
        TryResponseFuture::new(respond(Arc::clone(&self.0), id, request))
    }

    pub(crate) fn new(release: Release) -> Self {
        Self(Arc::new(release))
    }
}

impl<B> Service<Request<B>> for WcgiService
where
    B: Body + Send + 'static,
    B::Data: Send,
    B::Error: Into<BoxError>,
{
    type Response = Response<ResponseBody>;
    type Error = Infallible;
    type Future = ResponseFuture;

    fn poll_ready(&mut self, _cx: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<B>) -> ResponseFuture {
        let id = RequestId::of(request.extensions(), request.headers());
        let release = Arc::clone(&self.0);
        let request = any_body::boxed(request, release.engine.threads());
        ResponseFuture::new(async move {
            match respond(release, id.clone(), request).await {
                Ok(response) => response,
                Err(error) => answer::error(&id, &error),
            }
        })
    }
}
