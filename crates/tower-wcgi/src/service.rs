//! The service: one request in, one response out, along a straight line through the other modules.

use std::borrow::Cow;
use std::convert::Infallible;
use std::fs::File;
use std::path::Path;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::{Duration, Instant};

use bytes::{Buf, Bytes};
use http::header::{ALLOW, CONTENT_LENGTH, CONTENT_TYPE, EXPECT, LOCATION, RETRY_AFTER};
use http::{HeaderMap, HeaderValue, Method, Request, Response, StatusCode, Uri};
use http_body::{Body, Frame, SizeHint};
use percent_encoding::{AsciiSet, CONTROLS, NON_ALPHANUMERIC, percent_encode, utf8_percent_encode};
use pin_project_lite::pin_project;
use tower_service::Service;

use crate::body::ResponseBody;
use crate::builder::WcgiBuilder;
use crate::connection::{ConnectionInfo, Hook};
use crate::engine::Engine;
use crate::error::{Error, ErrorKind};
use crate::exchange::{self, Exchange, Lingering, Setup};
use crate::future::{ResponseFuture, TryResponseFuture};
use crate::gateway::{self, Environ, Head, HeadParser, Progress, ResponseHead, Target};
use crate::outbound::Outbound;
use crate::renewal::Renewal;
use crate::request::{self, RemoteUser, RequestEnv, RequestId};
use crate::sendfile::{self, SendFile};
use crate::site::{Accepted, Route, Routes, StaticFile};
use crate::stdio::{BoxBody, BoxError, FileReader, Stdin, spool};
use crate::tree::Facts;

/// Answers HTTP requests with a CGI program compiled to WebAssembly, one fresh isolated instance per request.
///
/// A leaf [`Service`] for any request body, cheap to clone; clones are the same service. Mount it in an axum router with
/// `nest_service` or `route_service`, or give it to hyper directly; any tower layer goes around it.
///
/// Unlike most services it never fails: what goes wrong becomes a response with the status of the error's
/// [kind](ErrorKind::status), its reason goes to the log. [`try_call`](Self::try_call) gives the error instead.
///
/// What goes wrong after the response's head is an error of the [`ResponseBody`]: the connection is aborted, so that a cut
/// response never looks like a whole one.
///
/// # Backpressure
///
/// The service is always ready. A request takes a permit of the [`Engine`] inside its future, where it waits in a bounded
/// queue; above the bound, and after too long a wait, it is answered 503. (A permit taken in `poll_ready` would make axum,
/// which polls readiness inside its own response future, queue without bound.)
#[derive(Clone, Debug)]
pub struct WcgiService(Arc<Inner>);

impl WcgiService {
    /// Opens the package at `path` with every setting at its default and an [`Engine`] of its own.
    ///
    /// Compiles the package's module if it is not in the cache yet, which takes seconds for a large one.
    ///
    /// # Errors
    ///
    /// See [`WcgiBuilder::build`].
    pub fn from_package(path: impl AsRef<Path>) -> Result<Self, Error> {
        Self::builder().package(path.as_ref()).build()
    }

    /// A builder with every setting at its default.
    pub fn builder() -> WcgiBuilder {
        WcgiBuilder::default()
    }

    /// The engine the service's scripts run on.
    #[must_use]
    pub fn engine(&self) -> &Engine {
        &self.0.engine
    }

    /// What the service takes for a request's connection, for a log of the same clients as the scripts see.
    #[must_use]
    pub fn connection_info(&self, parts: &http::request::Parts) -> ConnectionInfo {
        self.0.connection_info.of(parts)
    }

    /// Answers `request`, or says why that was not possible.
    ///
    /// The future resolves as soon as the response's head is complete; the body streams what the script goes on to write.
    ///
    /// # Errors
    ///
    /// The future's output: every [`ErrorKind`] of the request, the script and overload, and [`ErrorKind::Host`].
    pub fn try_call<B>(&self, request: Request<B>) -> TryResponseFuture
    where
        B: Body + Send + 'static,
        B::Data: Send,
        B::Error: Into<BoxError>,
    {
        let id = RequestId::of(request.extensions(), request.headers());
        TryResponseFuture::new(Arc::clone(&self.0).respond(id, self.0.with_any_body(request)))
    }

    pub(crate) fn new(inner: Inner) -> Self {
        Self(Arc::new(inner))
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
        let inner = Arc::clone(&self.0);
        let request = inner.with_any_body(request);
        ResponseFuture::new(async move {
            match inner.respond(id.clone(), request).await {
                Ok(response) => response,
                Err(error) => error_response(&id, &error),
            }
        })
    }
}

/// What every request needs, prepared once.
#[derive(Debug)]
pub(crate) struct Inner {
    pub(crate) engine: Engine,
    pub(crate) start: Arc<Renewal>,
    /// Which script or file a path names; without it the script answers for all of them.
    pub(crate) site: Option<Arc<Routes>>,
    /// Where scripts that answer with `X-Sendfile` have the file from, if that is allowed.
    pub(crate) send_file: Option<Arc<SendFile>>,
    pub(crate) arguments: Arc<[String]>,
    pub(crate) settings: gateway::Settings,
    pub(crate) connection_info: Hook,
    /// Where the service is mounted, if that was said: empty or `/prefix`.
    pub(crate) mount: Option<String>,
    pub(crate) allow_trace: bool,
    pub(crate) deadline: Option<Duration>,
    pub(crate) max_body: u64,
    pub(crate) max_memory: usize,
    pub(crate) response_buffer: usize,
    pub(crate) max_tmp: u64,
    pub(crate) may_ignore_abort: bool,
    pub(crate) outbound: Arc<Outbound>,
    /// Holds the files of a `.webc` while anything uses them.
    pub(crate) _unpacked: Option<Arc<crate::scratch::Scratch>>,
}

impl Inner {
    fn with_any_body<B>(&self, request: Request<B>) -> Request<BoxBody>
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
            Box::pin(Lingering::new(body, awaited, self.engine.threads().clone()))
        })
    }

    async fn respond(
        self: Arc<Self>,
        request_id: RequestId,
        request: Request<BoxBody>,
    ) -> Result<Response<ResponseBody>, Error> {
        let start = Instant::now();
        let (mut parts, body) = request.into_parts();
        self.check_method(&parts.method)?;
        let original = request::original_uri(&parts.extensions).unwrap_or(&parts.uri).clone();
        let mount = self.mount.clone().or_else(|| request::mount(&parts.extensions));
        let mut target = gateway::split(original.path(), parts.uri.path(), mount.as_deref())?;
        let mut uri = original;
        let (remote_addr, https) = self.connection_info.of(&parts).parts();
        let settings = self.settings_for(parts.extensions.get())?;
        let mut body = Some(body);
        for _hop in 0..=MAX_LOCAL_REDIRECTS {
            let mut script_filename = None;
            let mut script_target = Cow::Borrowed(&target);
            if let Some(site) = &self.site {
                match self.within(start, self.route(site, &uri, &target, &parts.headers)).await? {
                    Route::Script(script) => {
                        script_target.to_mut().script_name.extend_from_slice(script.name.as_bytes());
                        script_target.to_mut().path_info = script.path_info;
                        script_filename = Some(script.filename);
                    }
                    Route::File(file) => return self.static_response(request_id, &parts.method, &parts.headers, *file),
                    Route::Directory => return Ok(directory_redirect(request_id, &parts.method, &target, &uri)),
                }
            }
            let (stdin, content_length) = match body.take() {
                Some(body) => self.within(start, self.stdin(body)).await?,
                None => (Stdin::empty(), None),
            };
            let remote_user = parts.extensions.get::<RemoteUser>();
            let environ = gateway::environ(
                &gateway::Request {
                    method: &parts.method,
                    version: parts.version,
                    headers: &parts.headers,
                    uri: &uri,
                    target: &script_target,
                    script_filename: script_filename.as_deref(),
                    content_length,
                    remote_addr,
                    https,
                    remote_user: remote_user.map(RemoteUser::parts),
                },
                &settings,
            )?;
            let permit = self.within(start, self.engine.admit()).await?;
            let ready = self.within(start, self.start.current()).await?;
            let setup = Setup {
                script: Arc::clone(&ready.script),
                files: Arc::clone(&ready.files),
                arguments: Arc::clone(&self.arguments),
                environ,
                stdin,
                request_id: request_id.clone(),
                start,
                deadline: self.deadline,
                max_memory: self.max_memory,
                response_buffer: self.response_buffer,
                max_tmp: self.max_tmp,
                may_ignore_abort: self.may_ignore_abort,
                outbound: Arc::clone(&self.outbound),
            };
            let mut exchange = Exchange::start(&self.engine, setup, permit);
            match read_head(&mut exchange).await.map_err(|error| exchange.logged(error))? {
                (Head::Response(mut head), rest) => {
                    if let Some(send_file) = &self.send_file
                        && let Some(path) = sendfile::take(&mut head.headers)?
                        && head.has_body
                    {
                        exchange.let_go_on();
                        let opened = self.within(start, self.open(send_file, path)).await?;
                        return Ok(self.file_response(
                            request_id,
                            &parts.method,
                            &parts.headers,
                            head.status,
                            head.headers,
                            opened,
                        ));
                    }
                    let is_head = parts.method == Method::HEAD;
                    return Ok(response(request_id, head, is_head, rest, exchange));
                }
                (Head::LocalRedirect(location), _) => {
                    // RFC 3875 §6.2.2: as if the client had asked for that path.
                    exchange.let_go_on();
                    (uri, target) = redirected(&location, uri, target)?;
                    if parts.method != Method::HEAD {
                        parts.method = Method::GET;
                    }
                    parts.headers.remove(CONTENT_TYPE);
                }
            }
        }
        Err(Error::new(
            ErrorKind::MalformedResponse,
            format!("the script redirected locally more than {MAX_LOCAL_REDIRECTS} times"),
        ))
    }

    /// `CONNECT` asks a proxy for a connection, and this is none. `TRACE` gives a page what the browser hides from it.
    fn check_method(&self, method: &Method) -> Result<(), Error> {
        let methods = if self.allow_trace { METHODS_WITH_TRACE } else { METHODS };
        if *method == Method::CONNECT {
            return Err(Error::method_not_allowed("CONNECT is for proxies", methods));
        }
        if *method == Method::TRACE && !self.allow_trace {
            return Err(Error::method_not_allowed("TRACE is not allowed", methods));
        }
        Ok(())
    }

    /// The settings, with the variables of this one request among the constants.
    fn settings_for(&self, env: Option<&RequestEnv>) -> Result<Cow<'_, gateway::Settings>, Error> {
        let Some(env) = env else { return Ok(Cow::Borrowed(&self.settings)) };
        let mut constants = Environ::default();
        let kept = |name: &str| env.variables().iter().all(|(set, _)| set != name);
        let mut merged = constants.push_all(&self.settings.constants, kept);
        for (name, value) in env.variables().iter().filter(|(name, _)| !gateway::is_per_request(name)) {
            merged = merged.and_then(|()| constants.push(name, value));
        }
        merged.map_err(|error| {
            Error::new(ErrorKind::Host, "the request's extensions have what cannot be a variable").with_source(error)
        })?;
        let settings = gateway::Settings { constants, ..self.settings.clone() };
        Ok(Cow::Owned(settings))
    }

    /// The request's body as the script will read it, and its length if there is one.
    async fn stdin(&self, body: BoxBody) -> Result<(Stdin, Option<u64>), Error> {
        if body.is_end_stream() {
            return Ok((Stdin::empty(), None));
        }
        match body.size_hint().exact() {
            Some(0) => Ok((Stdin::empty(), None)),
            Some(length) if length > self.max_body => {
                let limit = self.max_body;
                Err(Error::new(ErrorKind::BodyTooLarge, format!("the request's body is over {limit} bytes")))
            }
            Some(length) => Ok((Stdin::new(body, length), Some(length))),
            None => match spool(body, self.max_body, self.engine.threads(), self.engine.spool_room()).await? {
                (_, 0) => Ok((Stdin::empty(), None)),
                (body, length) => Ok((Stdin::new(body, length), Some(length))),
            },
        }
    }

    /// What of the site the target names, looked up where waiting for a disk holds up nobody.
    async fn route(&self, site: &Arc<Routes>, uri: &Uri, target: &Target, asked: &HeaderMap) -> Result<Route, Error> {
        // RFC 9110 §4.2.3, §9.3.7: no path is the root's. Below a mount it is the mount without its slash.
        let is_root = target.path_info.is_empty() && (target.script_name.is_empty() || uri.path() == "*");
        let path = if is_root { b"/".to_vec() } else { target.path_info.clone() };
        if let Some(route) = site.route_at_once(&path) {
            return route;
        }
        let (site, accepted) = (Arc::clone(site), Accepted::of(asked));
        let routing = self.engine.threads().spawn_blocking(move || site.route(&path, &accepted));
        routing.await.unwrap_or_else(|error| {
            Err(Error::new(ErrorKind::Host, "cannot look up the request's path").with_source(error))
        })
    }

    fn static_response(
        &self,
        request_id: RequestId,
        method: &Method,
        asked: &HeaderMap,
        file: StaticFile,
    ) -> Result<Response<ResponseBody>, Error> {
        if method != Method::GET && method != Method::HEAD {
            return Err(Error::method_not_allowed("the request's path names a file that is no script", "GET, HEAD"));
        }
        let StaticFile { file, facts, headers, .. } = file;
        Ok(self.file_response(request_id, method, asked, StatusCode::OK, headers, (file, facts)))
    }

    /// Opens the file that a script sends.
    async fn open(&self, send_file: &Arc<SendFile>, path: String) -> Result<(File, Facts), Error> {
        let send_file = Arc::clone(send_file);
        let opening = self.engine.threads().spawn_blocking(move || send_file.open(&path));
        opening.await.unwrap_or_else(|error| {
            Err(Error::new(ErrorKind::Host, "cannot open the file that the script sends").with_source(error))
        })
    }

    fn file_response(
        &self,
        request_id: RequestId,
        method: &Method,
        asked: &HeaderMap,
        status: StatusCode,
        mut headers: HeaderMap,
        (file, facts): (File, Facts),
    ) -> Response<ResponseBody> {
        let plan = sendfile::plan(method, asked, status, &facts, &mut headers);
        let reader = FileReader::new(file, plan.part, self.engine.threads().clone());
        let mut response = Response::new(ResponseBody::file(request_id.clone(), reader, self.engine.clone()));
        *response.status_mut() = plan.status;
        *response.headers_mut() = headers;
        response.extensions_mut().insert(request_id);
        response
    }

    /// `future`, unless the deadline comes first.
    async fn within<T>(&self, start: Instant, future: impl Future<Output = Result<T, Error>>) -> Result<T, Error> {
        let Some(deadline) = self.deadline else { return future.await };
        let timeout = {
            // On the engine's clock, as the caller may run without one.
            let _clock = self.engine.threads().enter();
            tokio::time::timeout_at((start + deadline).into(), future)
        };
        timeout.await.unwrap_or_else(|_elapsed| {
            let after = start.elapsed().as_secs_f64();
            let message = format!("the deadline came after {after:.3} s: no answer had begun");
            Err(Error::new(ErrorKind::DeadlineExceeded, message))
        })
    }
}

async fn read_head(exchange: &mut Exchange) -> Result<(Head, Bytes), Error> {
    let mut parser = HeadParser::new();
    loop {
        match exchange.read().await {
            Some(chunk) => match parser.feed(chunk?)? {
                Progress::More => {}
                Progress::Head { head, rest } => {
                    exchange.answer_begun();
                    return Ok((head, rest));
                }
            },
            None => return Err(parser.end()),
        }
    }
}

fn response(
    request_id: RequestId,
    head: ResponseHead,
    is_head: bool,
    rest: Bytes,
    exchange: Exchange,
) -> Response<ResponseBody> {
    let ResponseHead { status, headers, content_length, has_body } = head;
    // RFC 9110 §6.4.1: these have no content, whatever the script writes.
    let has_body = has_body && !is_head && status != StatusCode::NO_CONTENT && status != StatusCode::NOT_MODIFIED;
    let body = if has_body {
        ResponseBody::script(request_id.clone(), exchange, rest, content_length)
    } else {
        exchange.let_go_on();
        ResponseBody::empty()
    };
    let mut response = Response::new(body);
    *response.status_mut() = status;
    *response.headers_mut() = headers;
    if let Some(length) = content_length.filter(|_| has_body || is_head) {
        response.headers_mut().insert(CONTENT_LENGTH, length.into());
    }
    response.extensions_mut().insert(request_id);
    response
}

fn error_response(request_id: &RequestId, error: &Error) -> Response<ResponseBody> {
    if !error.is_logged() {
        exchange::log(error, request_id, "");
    }
    let status = error.kind().status();
    let mut response = Response::new(ResponseBody::text(status.canonical_reason().unwrap_or("Error")));
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("text/plain; charset=utf-8"));
    if error.is_overload() {
        headers.insert(RETRY_AFTER, HeaderValue::from_static("1"));
    }
    if let Some(methods) = error.allow() {
        headers.insert(ALLOW, HeaderValue::from_static(methods));
    }
    response.extensions_mut().insert(request_id.clone());
    response
}

/// The name of a directory ends in a slash, or the links of its index lead elsewhere.
///
/// The way there is spelled anew from what was looked up, so it names no other host, whatever the request's path began with.
fn directory_redirect(request_id: RequestId, method: &Method, target: &Target, uri: &Uri) -> Response<ResponseBody> {
    let name = percent_encode(&target.script_name, IN_PATH);
    let below = percent_encode(&target.path_info, IN_PATH);
    let mut location = format!("{name}{below}/");
    if let Some(query) = uri.query() {
        location.push('?');
        location.extend(utf8_percent_encode(query, CONTROLS));
    }
    let location = HeaderValue::try_from(location).expect("all that a header cannot have is escaped");
    // 301 may make a POST a GET.
    let keeps_method = method != Method::GET && method != Method::HEAD;
    let mut response = Response::new(ResponseBody::empty());
    *response.status_mut() = if keeps_method { StatusCode::PERMANENT_REDIRECT } else { StatusCode::MOVED_PERMANENTLY };
    response.headers_mut().insert(LOCATION, location);
    response.extensions_mut().insert(request_id);
    response
}

/// Where a local redirect leads: a path below the mount, or it is the script's fault.
fn redirected(location: &str, from: Uri, target: Target) -> Result<(Uri, Target), Error> {
    let outside = |source: BoxError| {
        Error::new(ErrorKind::MalformedResponse, "the script redirected to what it cannot answer").with_source(source)
    };
    let mount = String::from_utf8(target.script_name).map_err(|error| outside(error.into()))?;
    let mut parts = from.into_parts();
    let path_and_query = location.parse().map_err(|error: http::uri::InvalidUri| outside(error.into()))?;
    parts.path_and_query = Some(path_and_query);
    let uri = Uri::from_parts(parts).map_err(|error| outside(error.into()))?;
    let target = gateway::split(uri.path(), uri.path(), Some(&mount)).map_err(|error| outside(error.into()))?;
    Ok((uri, target))
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

/// What a path is written with as it is, and need not be escaped.
const IN_PATH: &AsciiSet = &NON_ALPHANUMERIC.remove(b'/').remove(b'-').remove(b'.').remove(b'_').remove(b'~');

/// The registered methods that scripts get; they get others too.
const METHODS: &str = "GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS";
const METHODS_WITH_TRACE: &str = "GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS, TRACE";

const MAX_LOCAL_REDIRECTS: usize = 10;
