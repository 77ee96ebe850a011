//! The request's body, whatever its type.

use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::{Buf, Bytes};
use http::Request;
use http::header::EXPECT;
use http_body::{Body, Frame, SizeHint};
use pin_project_lite::pin_project;
use tokio::runtime::Handle;

use crate::stdio::{BoxBody, BoxError, Lingering};

/// `request` with its body boxed. If the body is dropped early, a task of `threads` reads its rest.
pub(super) fn boxed<B>(request: Request<B>, threads: &Handle) -> Request<BoxBody>
where
    B: Body + Send + 'static,
    B::Error: Into<BoxError>,
{
    let awaited = request.headers().contains_key(EXPECT);
    request.map(|body| {
        let body: BoxBody = Box::pin(AnyBody { body });
        if body.is_end_stream() {
            return body;
        }
        Box::pin(Lingering::new(body, awaited, threads.clone()))
    })
}

pin_project! {
    /// Any body as one of [`Bytes`] and a boxed error.
    struct AnyBody<B> {
        #[pin]
        body: B,
    }
}

impl<B> Body for AnyBody<B>
where
    B: Body,
    B::Error: Into<BoxError>,
{
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        Poll::Ready(match ready!(self.project().body.poll_frame(cx)) {
            // No copy where the data is `Bytes` already.
            Some(Ok(frame)) => Some(Ok(frame.map_data(|mut data| data.copy_to_bytes(data.remaining())))),
            Some(Err(error)) => Some(Err(error.into())),
            None => None,
        })
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
