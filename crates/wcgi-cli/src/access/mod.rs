//! The access line: one for each request, when its response is over.

mod line;

use std::fmt::{self, Display};
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::task::{Context, Poll, ready};
use std::time::Instant;

use http::header::{HOST, REFERER, USER_AGENT};
use http::{HeaderMap, HeaderName, Method, Request, Response, StatusCode, Uri, Version};
use http_body::{Body, Frame, SizeHint};
use hyper::body::Buf as _;
use pin_project_lite::pin_project;
use tower_wcgi::{ConnectionInfo, RequestId};

use self::line::Line;
use crate::log::{Form, Log};

/// The state of a request that is being answered. Dropped without a response, it logs that the client left.
#[derive(Debug)]
pub(crate) struct Access {
    log: Log,
    site: Option<Arc<str>>,
    method: Method,
    uri: Uri,
    version: Version,
    /// Port 0 if only a proxy has seen the port.
    client: Option<SocketAddr>,
    said: Said,
    start: Instant,
    status: Option<StatusCode>,
    request_id: Option<RequestId>,
    bytes: u64,
    whole: bool,
    upload: Arc<Upload>,
}

/// What the client says of itself, as far as the form of the log has it.
#[derive(Debug, Default)]
struct Said {
    host: String,
    user_agent: Option<String>,
    referer: Option<String>,
}

impl Access {
    /// Also gives the request back, with its body watched. `client` is who sent it, where that is not the peer. A server of
    /// many sites says which the request is for; none is empty.
    pub(crate) fn start<B: Body>(
        request: Request<B>,
        client: Option<SocketAddr>,
        site: Option<Arc<str>>,
        log: &Log,
    ) -> (Self, Request<Watched<B>>) {
        let upload = Arc::new(Upload { length: request.body().size_hint().exact(), ..Upload::default() });
        let peer = || request.extensions().get().and_then(ConnectionInfo::client);
        let access = Self {
            log: log.clone(),
            site,
            method: request.method().clone(),
            uri: request.uri().clone(),
            version: request.version(),
            client: client.or_else(peer),
            said: match log.form() {
                Form::Json | Form::Combined => Said::of(request.uri(), request.headers()),
                Form::Text | Form::Off => Said::default(),
            },
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
    pub(crate) fn response<B: Body>(mut self, response: Response<B>) -> Response<Counted<B>> {
        self.status = Some(response.status());
        self.request_id = response.extensions().get().cloned();
        response.map(|body| {
            self.whole = body.is_end_stream();
            Counted { body, access: self }
        })
    }
}

impl Said {
    fn of(uri: &Uri, headers: &HeaderMap) -> Self {
        let field = |name: HeaderName| Some(String::from_utf8_lossy(headers.get(name)?.as_bytes()).into_owned());
        let host = uri.authority().map(|authority| authority.as_str().to_owned());
        Self {
            host: host.or_else(|| field(HOST)).unwrap_or_default(),
            user_agent: field(USER_AGENT),
            referer: field(REFERER),
        }
    }
}

impl Drop for Access {
    fn drop(&mut self) {
        if !tracing::enabled!(target: "wcgi::access", tracing::Level::INFO) {
            return;
        }
        let cut = || self.upload.is_cut().then_some(StatusCode::BAD_REQUEST);
        let end = match self.status {
            Some(_) if self.whole => String::new(),
            Some(_) => "cut off".to_owned(),
            None if self.upload.is_cut() => format!("client left, {}", self.upload),
            None => "client left".to_owned(),
        };
        let line = Line {
            site: self.site.as_deref(),
            request_id: self.request_id.as_ref(),
            method: &self.method,
            uri: &self.uri,
            version: self.version,
            client: self.client,
            host: &self.said.host,
            user_agent: self.said.user_agent.as_deref(),
            referer: self.said.referer.as_deref(),
            status: self.status.or_else(cut),
            bytes: self.bytes,
            took: self.start.elapsed(),
            end,
        };
        match self.log.form() {
            Form::Text => line.text(),
            Form::Json => line.json(),
            Form::Combined => self.log.line(&line.combined()),
            Form::Off => {}
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

pin_project! {
    /// A response body that is counted for the access line.
    pub(crate) struct Counted<B> {
        #[pin]
        body: B,
        access: Access,
    }
}

impl<B: Body> Body for Counted<B> {
    type Data = B::Data;
    type Error = B::Error;

    fn poll_frame(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Self::Data>, Self::Error>>> {
        let mut this = self.project();
        let frame = ready!(this.body.as_mut().poll_frame(cx));
        match &frame {
            Some(Ok(frame)) => {
                this.access.bytes += frame.data_ref().map_or(0, |data| data.remaining() as u64);
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
