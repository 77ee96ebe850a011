//! The current request: of the client, or of the script after a local redirect.
//!
//! In: a request. Out: its route in the site, its body as the script reads it, its variables, and all that one run needs.

use std::borrow::Cow;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Instant;

use http::header::CONTENT_TYPE;
use http::request::Parts;
use http::{HeaderMap, Method, Request, Uri};
use http_body::Body as _;

use crate::environ::Environ;
use crate::error::{Error, ErrorKind};
use crate::exchange::Setup;
use crate::gateway::{self, Target};
use crate::observe::ExchangeInfo;
use crate::release::Release;
use crate::renewal::Ready;
use crate::request::{self, RemoteUser, RequestEnv, RequestId};
use crate::site::{Accepted, Route, Routes, ScriptPath};
use crate::stdio::{BoxBody, BoxError, Stdin, spool};

/// A request, without its body.
pub(super) struct Asked<'r> {
    pub(super) release: &'r Release,
    pub(super) id: RequestId,
    pub(super) info: &'r ExchangeInfo,
    /// When it arrived.
    start: Instant,
    parts: Parts,
    pub(super) uri: Uri,
    pub(super) target: Target,
    remote_addr: Option<SocketAddr>,
    https: Option<bool>,
    settings: Cow<'r, gateway::Settings>,
}

impl<'r> Asked<'r> {
    /// # Errors
    ///
    /// [`ErrorKind::MethodNotAllowed`], and [`ErrorKind::MalformedRequest`] or [`ErrorKind::NotFound`] for its path.
    pub(super) fn of(
        release: &'r Release,
        info: &'r ExchangeInfo,
        request: Request<BoxBody>,
    ) -> Result<(Self, Option<BoxBody>), Error> {
        let start = Instant::now();
        let (parts, body) = request.into_parts();
        check_method(release, &parts.method)?;
        let uri = request::original_uri(&parts.extensions).unwrap_or(&parts.uri).clone();
        let mount = release.mount.clone().or_else(|| request::mount(&parts.extensions));
        let target = gateway::split(uri.path(), parts.uri.path(), mount.as_deref())?;
        let (remote_addr, https) = release.connection_info.of(&parts).parts();
        let settings = settings_for(release, parts.extensions.get())?;
        let id = info.request_id().clone();
        Ok((Self { release, id, info, start, parts, uri, target, remote_addr, https, settings }, Some(body)))
    }

    pub(super) fn method(&self) -> &Method {
        &self.parts.method
    }

    pub(super) fn headers(&self) -> &HeaderMap {
        &self.parts.headers
    }

    /// The route of the target. None without a site: the script answers for every path.
    pub(super) async fn route(&self) -> Result<Option<Route>, Error> {
        match &self.release.site {
            Some(site) => self.within(self.route_in(site)).await.map(Some),
            None => Ok(None),
        }
    }

    /// Looks up the route on a thread that may wait for a disk.
    async fn route_in(&self, site: &Arc<Routes>) -> Result<Route, Error> {
        let (uri, target) = (&self.uri, &self.target);
        // RFC 9110 §4.2.3, §9.3.7: no path is the root's. Below a mount it is the mount without its slash.
        let is_root = target.path_info.is_empty() && (target.script_name.is_empty() || uri.path() == "*");
        let path = if is_root { b"/".to_vec() } else { target.path_info.clone() };
        if let Some(route) = site.route_at_once(&path) {
            return route;
        }
        let (site, accepted) = (Arc::clone(site), Accepted::of(self.headers()));
        let routing = self.release.engine.threads().spawn_blocking(move || site.route(&path, &accepted));
        routing.await.unwrap_or_else(|error| {
            Err(Error::new(ErrorKind::Host, "cannot look up the request's path").with_source(error))
        })
    }

    /// The request's body as the script will read it, and its length if there is one. After a local redirect there is no body.
    pub(super) async fn take_in(&self, body: Option<BoxBody>) -> Result<(Stdin, Option<u64>), Error> {
        match body {
            Some(body) => self.within(self.stdin(body)).await,
            None => Ok((Stdin::empty(), None)),
        }
    }

    async fn stdin(&self, body: BoxBody) -> Result<(Stdin, Option<u64>), Error> {
        if body.is_end_stream() {
            return Ok((Stdin::empty(), None));
        }
        match body.size_hint().exact() {
            Some(0) => Ok((Stdin::empty(), None)),
            Some(length) if length > self.release.max_body => {
                let limit = self.release.max_body;
                Err(Error::new(ErrorKind::BodyTooLarge, format!("the request's body is over {limit} bytes")))
            }
            Some(length) => Ok((Stdin::new(body, length), Some(length))),
            None => match spool(
                body,
                self.release.max_body,
                self.release.engine.threads(),
                self.release.engine.spool_room(),
            )
            .await?
            {
                (_, 0) => Ok((Stdin::empty(), None)),
                (body, length) => Ok((Stdin::new(body, length), Some(length))),
            },
        }
    }

    /// The environment of the run that answers: of `script`, if the site has found one.
    pub(super) fn environ(&self, script: Option<ScriptPath>, content_length: Option<u64>) -> Result<Environ, Error> {
        let mut target = Cow::Borrowed(&self.target);
        let mut script_filename = None;
        if let Some(script) = script {
            target.to_mut().script_name.extend_from_slice(script.name.as_bytes());
            target.to_mut().path_info = script.path_info;
            script_filename = Some(script.filename);
        }
        gateway::environ(
            &gateway::Request {
                method: &self.parts.method,
                version: self.parts.version,
                headers: &self.parts.headers,
                uri: &self.uri,
                target: &target,
                script_filename: script_filename.as_deref(),
                content_length,
                remote_addr: self.remote_addr,
                https: self.https,
                remote_user: self.parts.extensions.get::<RemoteUser>().map(RemoteUser::parts),
            },
            &self.settings,
        )
    }

    /// All that the run needs that begins with `ready`.
    pub(super) fn setup(&self, ready: &Ready, environ: Environ, stdin: Stdin) -> Setup {
        let release = self.release;
        Setup {
            script: Arc::clone(&ready.script),
            files: Arc::clone(&ready.files),
            arguments: Arc::clone(&release.arguments),
            environ,
            stdin,
            info: self.info.clone(),
            start: self.start,
            deadline: release.deadline,
            max_memory: release.max_memory,
            response_buffer: release.response_buffer,
            max_tmp: release.max_tmp,
            may_ignore_abort: release.may_ignore_abort,
            outbound: Arc::clone(&release.outbound),
        }
    }

    /// Changes the request to `location`, as if the client had asked for it (RFC 3875 §6.2.2).
    ///
    /// # Errors
    ///
    /// [`ErrorKind::MalformedResponse`] if that is not below the mount.
    pub(super) fn redirect(&mut self, location: &str) -> Result<(), Error> {
        (self.uri, self.target) = redirected(location, self.uri.clone(), self.target.clone())?;
        if self.parts.method != Method::HEAD {
            self.parts.method = Method::GET;
        }
        self.parts.headers.remove(CONTENT_TYPE);
        Ok(())
    }

    /// `future`, unless the deadline comes first.
    pub(super) async fn within<T>(&self, future: impl Future<Output = Result<T, Error>>) -> Result<T, Error> {
        let (start, release) = (self.start, self.release);
        let Some(deadline) = release.deadline else { return future.await };
        let timeout = {
            // On the engine's clock, because the caller may run without one.
            let _clock = release.engine.threads().enter();
            tokio::time::timeout_at((start + deadline).into(), future)
        };
        timeout.await.unwrap_or_else(|_elapsed| {
            let after = start.elapsed().as_secs_f64();
            let message = format!("the deadline came after {after:.3} s: no answer had begun");
            Err(Error::new(ErrorKind::DeadlineExceeded, message))
        })
    }
}

/// `CONNECT` asks a proxy for a connection, and this is no proxy. `TRACE` shows a page the headers that the browser hides from it.
fn check_method(release: &Release, method: &Method) -> Result<(), Error> {
    let methods = if release.allow_trace { METHODS_WITH_TRACE } else { METHODS };
    if *method == Method::CONNECT {
        return Err(Error::method_not_allowed("CONNECT is for proxies", methods));
    }
    if *method == Method::TRACE && !release.allow_trace {
        return Err(Error::method_not_allowed("TRACE is not allowed", methods));
    }
    Ok(())
}

/// The settings, with the variables of this one request among the constants.
fn settings_for<'r>(release: &'r Release, env: Option<&RequestEnv>) -> Result<Cow<'r, gateway::Settings>, Error> {
    let Some(env) = env else { return Ok(Cow::Borrowed(&release.settings)) };
    let mut constants = Environ::default();
    let kept = |name: &str| env.variables().iter().all(|(set, _)| set != name);
    let mut merged = constants.push_all(&release.settings.constants, kept);
    for (name, value) in env.variables().iter().filter(|(name, _)| !gateway::is_per_request(name)) {
        merged = merged.and_then(|()| constants.push(name, value));
    }
    merged.map_err(|error| {
        Error::new(ErrorKind::Host, "the request's extensions have a value that cannot be a variable")
            .with_source(error)
    })?;
    let settings = gateway::Settings { constants, ..release.settings.clone() };
    Ok(Cow::Owned(settings))
}

/// The target of a local redirect. A path that is not below the mount is the script's fault.
fn redirected(location: &str, from: Uri, target: Target) -> Result<(Uri, Target), Error> {
    let outside = |source: BoxError| {
        Error::new(ErrorKind::MalformedResponse, "the script redirected to a path that cannot be requested")
            .with_source(source)
    };
    let mount = String::from_utf8(target.script_name).map_err(|error| outside(error.into()))?;
    let mut parts = from.into_parts();
    let path_and_query = location.parse().map_err(|error: http::uri::InvalidUri| outside(error.into()))?;
    parts.path_and_query = Some(path_and_query);
    let uri = Uri::from_parts(parts).map_err(|error| outside(error.into()))?;
    let target = gateway::split(uri.path(), uri.path(), Some(&mount)).map_err(|error| outside(error.into()))?;
    Ok((uri, target))
}

/// The registered methods that scripts get. They get others too.
const METHODS: &str = "GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS";
const METHODS_WITH_TRACE: &str = "GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS, TRACE";
