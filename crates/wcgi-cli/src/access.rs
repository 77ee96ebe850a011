//! The access line: one for each request, when its response is over.

use std::fmt::Display;
use std::net::SocketAddr;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Instant;

use http::request::Parts;
use http::{Method, Response, StatusCode, Uri, Version};
use http_body::{Body, Frame, SizeHint};
use pin_project_lite::pin_project;
use tower_wcgi::{RequestId, ResponseBody};

/// What is known of a request that is being answered. Dropped without a response, it logs that the client left.
#[derive(Debug)]
pub(crate) struct Access {
    method: Method,
    uri: Uri,
    version: Version,
    /// Without a port where only a proxy has seen it.
    client: SocketAddr,
    start: Instant,
    status: Option<StatusCode>,
    request_id: Option<RequestId>,
    bytes: u64,
    whole: bool,
}

impl Access {
    pub(crate) fn start(request: &Parts, client: SocketAddr) -> Self {
        Self {
            method: request.method.clone(),
            uri: request.uri.clone(),
            version: request.version,
            client,
            start: Instant::now(),
            status: None,
            request_id: None,
            bytes: 0,
            whole: false,
        }
    }

    /// Counts the body and logs the line at its end.
    pub(crate) fn response(mut self, response: Response<ResponseBody>) -> Response<Counted> {
        self.status = Some(response.status());
        self.request_id = response.extensions().get().cloned();
        response.map(|body| {
            self.whole = body.is_end_stream();
            Counted { body, access: self }
        })
    }
}

impl Drop for Access {
    fn drop(&mut self) {
        if !tracing::enabled!(target: "wcgi::access", tracing::Level::INFO) {
            return;
        }
        let Self { method, uri, version, client, bytes, .. } = self;
        // The quotes around it are ours.
        let mut uri = uri.to_string();
        if uri.contains(['"', '\\']) {
            uri = uri.replace('\\', "\\\\").replace('"', "\\\"");
        }
        let ip = client.ip();
        let client: &dyn Display = if client.port() == 0 { &ip } else { client };
        let millis = self.start.elapsed().as_secs_f64() * 1e3;
        let id = self.request_id.as_ref().map(tracing::field::display);
        let cut = if self.whole { "" } else { " cut off" };
        match self.status {
            Some(status) => tracing::info!(
                target: "wcgi::access",
                id,
                "{client} \"{method} {uri} {version:?}\" {} {bytes} {millis:.1}ms{cut}", status.as_u16()
            ),
            None => tracing::info!(
                target: "wcgi::access",
                id,
                "{client} \"{method} {uri} {version:?}\" - 0 {millis:.1}ms client left"
            ),
        }
    }
}

pin_project! {
    /// A response body that is counted for the access line.
    pub(crate) struct Counted {
        #[pin]
        body: ResponseBody,
        access: Access,
    }
}

impl Body for Counted {
    type Data = <ResponseBody as Body>::Data;
    type Error = <ResponseBody as Body>::Error;

    fn poll_frame(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Self::Data>, Self::Error>>> {
        let mut this = self.project();
        let frame = ready!(this.body.as_mut().poll_frame(cx));
        match &frame {
            Some(Ok(frame)) => {
                this.access.bytes += frame.data_ref().map_or(0, |data| data.len() as u64);
                this.access.whole = this.body.is_end_stream();
            }
            Some(Err(_)) => {}
            None => this.access.whole = true,
        }
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
