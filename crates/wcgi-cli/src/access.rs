//! The access line: one for each request, when its response is over.

use std::fmt::Display;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::task::{Context, Poll, ready};
use std::time::Instant;

use http::request::Parts;
use http::{Method, Response, StatusCode, Uri, Version};
use http_body::{Body, Frame, SizeHint};
use hyper::body::Buf as _;
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
    upload: Arc<Upload>,
}

impl Access {
    /// Also gives the body back, watched.
    pub(crate) fn start<B: Body>(request: &Parts, body: B, client: SocketAddr) -> (Self, Watched<B>) {
        let upload = Arc::new(Upload { length: body.size_hint().exact(), ..Upload::default() });
        let access = Self {
            method: request.method.clone(),
            uri: request.uri.clone(),
            version: request.version,
            client,
            start: Instant::now(),
            status: None,
            request_id: None,
            bytes: 0,
            whole: false,
            upload: Arc::clone(&upload),
        };
        (access, Watched { body, upload })
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
            None if self.upload.is_cut() => tracing::info!(
                target: "wcgi::access",
                id,
                "{client} \"{method} {uri} {version:?}\" 400 0 {millis:.1}ms client left, {}", self.upload
            ),
            None => tracing::info!(
                target: "wcgi::access",
                id,
                "{client} \"{method} {uri} {version:?}\" - 0 {millis:.1}ms client left"
            ),
        }
    }
}

/// How much of a request's body came.
#[derive(Debug, Default)]
struct Upload {
    length: Option<u64>,
    came: AtomicU64,
    /// Somebody read it.
    asked: AtomicBool,
    ended: AtomicBool,
}

impl Upload {
    /// Whether it was being read and is not whole.
    fn is_cut(&self) -> bool {
        let whole = self.ended.load(Ordering::Relaxed) || self.length == Some(self.came.load(Ordering::Relaxed));
        self.asked.load(Ordering::Relaxed) && !whole
    }
}

impl std::fmt::Display for Upload {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let came = self.came.load(Ordering::Relaxed);
        match self.length {
            Some(length) => write!(f, "{came} of {length} bytes of its body came"),
            None => write!(f, "its body broke off after {came} bytes"),
        }
    }
}

pin_project! {
    /// A request body whose bytes are counted, for the access line of a client that leaves.
    pub(crate) struct Watched<B> {
        #[pin]
        body: B,
        upload: Arc<Upload>,
    }
}

impl<B: Body> Body for Watched<B> {
    type Data = B::Data;
    type Error = B::Error;

    fn poll_frame(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<B::Data>, B::Error>>> {
        let this = self.project();
        this.upload.asked.store(true, Ordering::Relaxed);
        let frame = ready!(this.body.poll_frame(cx));
        match &frame {
            Some(Ok(frame)) => {
                let bytes = frame.data_ref().map_or(0, |data| data.remaining() as u64);
                this.upload.came.fetch_add(bytes, Ordering::Relaxed);
            }
            Some(Err(_)) => {}
            None => this.upload.ended.store(true, Ordering::Relaxed),
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
