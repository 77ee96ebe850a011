//! The service: one request in, one response out.

mod answer;
mod any_body;
mod asked;
mod dev_page;
mod respond;

use std::convert::Infallible;
use std::sync::{Arc, PoisonError, RwLock};
use std::task::{Context, Poll};

use http::{Request, Response};
use http_body::Body;
use tower_service::Service;

use crate::body::ResponseBody;
use crate::connection::ConnectionInfo;
use crate::engine::Engine;
use crate::future::{ResponseFuture, TryResponseFuture};
use crate::observe::{ExchangeInfo, Observed};
use crate::release::Release;
use crate::request::RequestId;
use crate::stdio::BoxError;
use dev_page::Form;
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
pub struct WcgiService {
    engine: Engine,
    /// What requests that come now are answered with. A reload changes it.
    current: Arc<RwLock<Arc<Release>>>,
}

impl WcgiService {
    /// The engine the service's scripts run on.
    #[must_use]
    pub fn engine(&self) -> &Engine {
        &self.engine
    }

    /// The connection of a request as the service sees it, so that a log can show the same clients as the scripts see.
    #[must_use]
    pub fn connection_info(&self, parts: &http::request::Parts) -> ConnectionInfo {
        self.release().connection_info.of(parts)
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
        let release = self.release();
        let observed = observe(&release, &request);
        let request = any_body::boxed(request, release.engine.threads());
        TryResponseFuture::new(async move {
            let result = respond(release, observed.info(), request).await;
            answer::observed(result, observed)
        })
    }

    pub(crate) fn new(release: Release) -> Self {
        Self { engine: release.engine.clone(), current: Arc::new(RwLock::new(Arc::new(release))) }
    }

    pub(crate) fn release(&self) -> Arc<Release> {
        Arc::clone(&self.current.read().unwrap_or_else(PoisonError::into_inner))
    }

    pub(crate) fn swap(&self, release: Release) {
        *self.current.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(release);
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
        let release = self.release();
        let observed = observe(&release, &request);
        let dev_page = release.dev.then(|| Form::asked_for(request.headers()));
        let request = any_body::boxed(request, release.engine.threads());
        ResponseFuture::new(async move {
            let result = respond(release, observed.info(), request).await;
            let id = observed.info().request_id().clone();
            answer::observed(result, observed).unwrap_or_else(|error| answer::error(&id, &error, dev_page))
        })
    }
}

fn observe<B>(release: &Release, request: &Request<B>) -> Observed {
    let id = RequestId::of(request.extensions(), request.headers()).of_site(release.name.as_ref());
    let (method, path) = (request.method().as_str(), request.uri().path());
    release.engine.observe(ExchangeInfo::new(id, method, path, Arc::clone(&release.meters)))
}
