//! The access line: one for each request, when its response is over.

use std::fmt::{self, Display, Write as _};
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::task::{Context, Poll, ready};
use std::time::Instant;

use http::{Method, Request, Response, StatusCode, Uri, Version};
use http_body::{Body, Frame, SizeHint};
use hyper::body::Buf as _;
use pin_project_lite::pin_project;
use tower_wcgi::{RequestId, ResponseBody};

/// The state of a request that is being answered. Dropped without a response, it logs that the client left.
#[derive(Debug)]
pub(crate) struct Access {
    method: Method,
    uri: Uri,
    version: Version,
    /// Port 0 if only a proxy has seen the port.
    client: SocketAddr,
    start: Instant,
    status: Option<StatusCode>,
    request_id: Option<RequestId>,
    bytes: u64,
    whole: bool,
    upload: Arc<Upload>,
}

impl Access {
    /// Also gives the request back, with its body watched.
    pub(crate) fn start<B: Body>(request: Request<B>, client: SocketAddr) -> (Self, Request<Watched<B>>) {
        let upload = Arc::new(Upload { length: request.body().size_hint().exact(), ..Upload::default() });
        let access = Self {
            method: request.method().clone(),
            uri: request.uri().clone(),
            version: request.version(),
            client,
            start: Instant::now(),
            status: None,
            request_id: None,
            bytes: 0,
            whole: false,
            upload: Arc::clone(&upload),
        };
        (access, request.map(|body| Watched { body, upload }))
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
        let Self { method, uri, version, client, bytes, .. } = self;
        let uri = Quotable(uri);
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

/// How much of a request's body arrived.
#[derive(Debug, Default)]
struct Upload {
    length: Option<u64>,
    came: AtomicU64,
    /// Somebody read it.
    asked: AtomicBool,
    ended: AtomicBool,
}

impl Upload {
    /// Whether somebody read the body and it is not whole.
    fn is_cut(&self) -> bool {
        let whole = self.ended.load(Ordering::Relaxed) || self.length == Some(self.came.load(Ordering::Relaxed));
        self.asked.load(Ordering::Relaxed) && !whole
    }
}

impl Display for Upload {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
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

/// A target, escaped for a place between quotes.
struct Quotable<'a>(&'a Uri);

impl Display for Quotable<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for c in self.0.to_string().chars() {
            if matches!(c, '"' | '\\') {
                f.write_char('\\')?;
            }
            f.write_char(c)?;
        }
        Ok(())
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
