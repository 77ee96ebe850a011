//! The shared cache of a site (RFC 9111): answers requests with stored responses, and stores those of the script.
//!
//! [`key`] says what a response is found by, [`stored`] whether it may be used, [`store`] keeps it. One request asks the script;
//! others for the same wait for it. The script writes into memory at its own pace, and its client reads from there: a slow
//! client holds nobody up. What is too large for that goes on as without a cache.

mod body;
mod key;
mod store;
mod stored;

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::header::{AUTHORIZATION, COOKIE, RANGE};
use http::{HeaderName, HeaderValue, Method, Request, Response, StatusCode};
use http_body_util::{BodyExt as _, Empty};
use tokio::sync::oneshot;
use tokio::task::AbortHandle;
use tower_service::Service as _;
use tower_wcgi::WcgiService;

pub(crate) use self::body::Body;
use self::body::Buffer;
use self::key::Key;
pub(crate) use self::store::Store;
use self::store::{Flown, Found, Turn, Waiting};
use self::stored::{Head, Stored, Use, directive_of, remove_conditions};
use super::count;

/// The part of one opening of a site. It is empty at first, and its memory is free when it is gone.
#[derive(Debug)]
pub(crate) struct SiteCache {
    store: Arc<Store>,
    name: Arc<str>,
    number: u64,
    freshness: Duration,
}

/// How a response came about, for its `Cache-Status` (RFC 9211) and the metric.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Way {
    Hit,
    /// After another request has asked the script.
    Waited,
    Stale,
    /// From the script, with the reason.
    Miss(&'static str),
    Bypass(&'static str),
}

impl SiteCache {
    pub(crate) fn new(store: Arc<Store>, name: Arc<str>, freshness: Duration) -> Self {
        let number = store.number();
        Self { store, name, number, freshness }
    }

    /// Answers a request, by `service` if need be. `https` is what the client speaks.
    ///
    /// The second is whether the service has counted it.
    pub(crate) async fn answer<B>(
        self: &Arc<Self>,
        mut service: WcgiService,
        request: Request<B>,
        https: bool,
    ) -> (Response<Body>, bool)
    where
        B: http_body::Body<Data = Bytes> + Send + 'static,
        B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
    {
        let (parts, body) = request.into_parts();
        let target = Key::of(self.number, &parts, https);
        let reads = parts.method == Method::GET || parts.method == Method::HEAD;
        let why = match () {
            () if !reads => Some("method"),
            () if parts.headers.contains_key(RANGE) || directive_of(&parts.headers, "no-store").is_some() => {
                Some("request")
            }
            () if !body.is_end_stream() => Some("request"),
            () => None,
        };
        if let Some(why) = why {
            let is_safe = parts.method.is_safe();
            let Ok(response) = service.call(Request::from_parts(parts, body)).await;
            if !is_safe && (response.status().is_success() || response.status().is_redirection()) {
                self.store.forget(&target);
            }
            return (self.told(response.map(Body::Own), Way::Bypass(why), None), true);
        }
        self.read(service, Request::from_parts(parts, body), &target).await
    }

    async fn read<B>(
        self: &Arc<Self>,
        mut service: WcgiService,
        request: Request<B>,
        target: &Key,
    ) -> (Response<Body>, bool)
    where
        B: http_body::Body<Data = Bytes> + Send + 'static,
        B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
    {
        let is_personal = request.headers().contains_key(COOKIE) || request.headers().contains_key(AUTHORIZATION);
        let mut waited = false;
        let mut last = None;
        loop {
            let (found, key) = self.store.find(target, request.headers());
            let is_pass = matches!(found, Found::Pass);
            let (stored, why) = match found {
                Found::Stored(stored) if is_personal && !stored.is_public() => (None, "bypass"),
                Found::Stored(stored) => (Some(stored), "stale"),
                Found::Nothing { knows_target: true } => (None, "vary-miss"),
                Found::Nothing { knows_target: false } | Found::Pass => (None, "uri-miss"),
            };
            let verdict = stored.as_ref().map(|stored| stored.judge(request.headers()));
            if let (Some(stored), Some(Use::Fresh)) = (&stored, verdict) {
                return (self.from(stored, &request, if waited { Way::Waited } else { Way::Hit }), false);
            }
            if is_personal {
                let Ok(response) = service.call(request).await;
                return (self.told(response.map(Body::Own), Way::Bypass("bypass"), None), true);
            }
            if directive_of(request.headers(), "only-if-cached").is_some() {
                let mut response = Response::new(Body::Own("Gateway Timeout".into()));
                *response.status_mut() = StatusCode::GATEWAY_TIMEOUT;
                return (self.told(response, Way::Miss(why), None), false);
            }
            let why = if directive_of(request.headers(), "no-cache").is_some() { "request" } else { why };
            // A HEAD has nothing to store. What was waited for in vain once is not waited for again.
            let alone = request.method() == Method::HEAD || is_pass;
            let again = waited && last.as_ref() == Some(&key);
            if (alone || again) && verdict != Some(Use::WhileAsking) {
                let Ok(response) = service.call(request).await;
                return (self.told(response.map(Body::Own), Way::Miss(why), None), true);
            }
            match (self.store.turn(target, key.clone()), &stored, verdict) {
                (Turn::Own(flown), Some(old), Some(Use::WhileAsking)) => {
                    let response = self.from(old, &request, Way::Stale);
                    let asked = without_body(&request);
                    tokio::spawn(Arc::clone(self).fill(service, asked, stored.clone(), flown, oneshot::channel().0));
                    return (response, false);
                }
                (Turn::Own(flown), ..) => return (self.ask(service, &request, stored, flown, why).await, true),
                (Turn::Others(_), Some(old), Some(Use::WhileAsking | Use::WhileAnotherAsks)) => {
                    return (self.from(old, &request, Way::Stale), false);
                }
                (Turn::Others(mut done), ..) => {
                    // It fails when it is over.
                    let _ = done.wait_for(|done| *done).await;
                    (waited, last) = (true, Some(key));
                }
            }
        }
    }

    /// Asks the script, on behalf of all who want the same.
    async fn ask<B>(
        self: &Arc<Self>,
        service: WcgiService,
        request: &Request<B>,
        old: Option<Arc<Stored>>,
        flown: Flown,
        why: &'static str,
    ) -> Response<Body> {
        let (answer, answered) = oneshot::channel();
        let waiting = flown.waiting();
        let task = tokio::spawn(Arc::clone(self).fill(service, without_body(request), old, flown, answer));
        let mut leaving = Leaving { task: Some(task.abort_handle()), waiting };
        let answered = answered.await;
        leaving.task = None;
        match answered {
            Ok(Answer::Own(response)) => self.told(response.map(Body::Own), Way::Miss(why), None),
            Ok(Answer::Renewed(stored)) => self.from(&stored, request, Way::Miss(why)),
            Ok(Answer::Stored(head, response)) => {
                let response = match head.not_modified(request.headers()) {
                    Some(response) => response.map(|()| Body::Own("".into())),
                    None => response,
                };
                self.told(response, Way::Miss(why), Some("stored"))
            }
            // The task has panicked.
            Err(_) => {
                let mut response = Response::new(Body::Own("Bad Gateway".into()));
                *response.status_mut() = StatusCode::BAD_GATEWAY;
                self.told(response, Way::Miss(why), None)
            }
        }
    }

    /// Asks the script, answers whoever has asked, and stores the response if it may be stored.
    async fn fill(
        self: Arc<Self>,
        mut service: WcgiService,
        mut request: Request<Empty<Bytes>>,
        old: Option<Arc<Stored>>,
        flown: Flown,
        answer: oneshot::Sender<Answer>,
    ) {
        remove_conditions(request.headers_mut());
        let fields = request.headers().clone();
        let again = without_body(&request);
        if let Some(old) = &old {
            *request.headers_mut() = old.validating(&fields);
        }
        let Ok(mut response) = service.call(request).await;
        if let (Some(old), StatusCode::NOT_MODIFIED) = (&old, response.status()) {
            let (parts, _) = response.into_parts();
            if let Some(renewed) = old.renewed(&fields, &parts, self.freshness) {
                let renewed = Arc::new(renewed);
                flown.store(Arc::clone(&renewed), &fields);
                // Nobody may be there, as with all answers here.
                let _ = answer.send(Answer::Renewed(renewed));
                return;
            }
            // It is about something else than what is stored.
            let Ok(asked) = service.call(again).await;
            response = asked;
        }
        let (parts, mut body) = response.into_parts();
        let Some(head) = Head::new(&fields, &parts, self.freshness) else {
            // A failure does not show that others are not worth waiting for, or that what is stored is wrong.
            if !parts.status.is_server_error() {
                flown.pass();
            }
            drop(flown);
            let _ = answer.send(Answer::Own(Response::from_parts(parts, body)));
            return;
        };
        let buffer = Arc::new(Buffer::default());
        let length = http_body::Body::size_hint(&body).exact();
        let mut shared = Response::new(Body::Shared(buffer.reader(length)));
        *shared.status_mut() = head.status();
        *shared.headers_mut() = head.headers().clone();
        *shared.extensions_mut() = parts.extensions;
        let _ = answer.send(Answer::Stored(Box::new(head.clone()), shared));
        let mut room = self.store.room();
        while let Some(frame) = body.frame().await {
            match frame {
                Ok(frame) => {
                    let Ok(piece) = frame.into_data() else { continue };
                    let fits = room.grow(piece.len());
                    buffer.push(piece);
                    if !fits {
                        flown.pass();
                        buffer.hand_over(body);
                        return;
                    }
                }
                Err(error) => {
                    buffer.fail(error);
                    return;
                }
            }
        }
        flown.store(Arc::new(head.with(buffer.finish())), &fields);
    }

    fn from<B>(&self, stored: &Stored, request: &Request<B>, way: Way) -> Response<Body> {
        let response = stored.response(request.method(), request.headers());
        let ttl = stored.head().ttl();
        let mut response = response.map(|body| Body::Own(body.into()));
        self.tell(&mut response, way, &format!("; ttl={ttl}"));
        response
    }

    fn told(&self, mut response: Response<Body>, way: Way, more: Option<&str>) -> Response<Body> {
        let more = more.map(|more| format!("; {more}")).unwrap_or_default();
        self.tell(&mut response, way, &more);
        response
    }

    fn tell(&self, response: &mut Response<Body>, way: Way, more: &str) {
        let (result, how) = match way {
            Way::Hit => ("hit", "hit".to_owned()),
            Way::Waited => ("wait", "hit; collapsed".to_owned()),
            Way::Stale => ("stale", "hit".to_owned()),
            Way::Miss(why) => ("miss", format!("fwd={why}")),
            Way::Bypass(why) => ("bypass", format!("fwd={why}")),
        };
        count::cache(&self.name, result);
        if let Ok(value) = HeaderValue::try_from(format!("wcgi; {how}{more}")) {
            response.headers_mut().append(HeaderName::from_static("cache-status"), value);
        }
    }
}

impl Drop for SiteCache {
    fn drop(&mut self) {
        self.store.forget_site(self.number);
    }
}

/// What whoever asks the script gets.
#[derive(Debug)]
enum Answer {
    /// It is not stored.
    Own(Response<tower_wcgi::ResponseBody>),
    Stored(Box<Head>, Response<Body>),
    Renewed(Arc<Stored>),
}

/// Ends the script when its client leaves before the head and nobody else waits.
struct Leaving {
    task: Option<AbortHandle>,
    waiting: Waiting,
}

impl Drop for Leaving {
    fn drop(&mut self) {
        if let Some(task) = self.task.take().filter(|_| !self.waiting.is_anybody()) {
            task.abort();
        }
    }
}

fn without_body<B>(request: &Request<B>) -> Request<Empty<Bytes>> {
    let mut copy = Request::new(Empty::new());
    *copy.method_mut() = request.method().clone();
    *copy.uri_mut() = request.uri().clone();
    *copy.version_mut() = request.version();
    *copy.headers_mut() = request.headers().clone();
    *copy.extensions_mut() = request.extensions().clone();
    copy
}
