//! The futures of [`WcgiService`](crate::WcgiService): opaque, boxed, and cancelled by being dropped.

use std::convert::Infallible;
use std::fmt;
use std::pin::Pin;
use std::task::{Context, Poll};

use http::Response;

use crate::body::ResponseBody;
use crate::error::Error;

/// Resolves to the response as soon as its head is complete. Dropping it ends the script.
pub struct ResponseFuture(Pin<Box<dyn Future<Output = Response<ResponseBody>> + Send>>);

/// Like [`ResponseFuture`], but resolves to the [`Error`](crate::Error) of a failure. From
/// [`WcgiService::try_call`](crate::WcgiService::try_call).
pub struct TryResponseFuture(Pin<Box<dyn Future<Output = Result<Response<ResponseBody>, Error>> + Send>>);

impl ResponseFuture {
    pub(crate) fn new(future: impl Future<Output = Response<ResponseBody>> + Send + 'static) -> Self {
        Self(Box::pin(future))
    }
}

impl TryResponseFuture {
    pub(crate) fn new(future: impl Future<Output = Result<Response<ResponseBody>, Error>> + Send + 'static) -> Self {
        Self(Box::pin(future))
    }
}

impl Future for ResponseFuture {
    type Output = Result<Response<ResponseBody>, Infallible>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        self.0.as_mut().poll(cx).map(Ok)
    }
}

impl Future for TryResponseFuture {
    type Output = Result<Response<ResponseBody>, Error>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        self.0.as_mut().poll(cx)
    }
}

impl fmt::Debug for ResponseFuture {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ResponseFuture").finish_non_exhaustive()
    }
}

impl fmt::Debug for TryResponseFuture {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TryResponseFuture").finish_non_exhaustive()
    }
}
