//! One stored response: whether it may be stored, whether it may be used now, and the responses made of it.
//!
//! `http-cache-semantics` judges by RFC 9111. Here is what it leaves to its users: a freshness for responses that say none,
//! `stale-while-revalidate`, conditional requests of clients, fields with several values.

use std::time::{Duration, Instant, SystemTime};

use bytes::Bytes;
use http::header::{
    AGE, CACHE_CONTROL, CONNECTION, CONTENT_LENGTH, CONTENT_LOCATION, DATE, ETAG, EXPIRES, HOST, IF_MATCH,
    IF_MODIFIED_SINCE, IF_NONE_MATCH, IF_RANGE, IF_UNMODIFIED_SINCE, LAST_MODIFIED, PRAGMA, SET_COOKIE, VARY,
};
use http::{HeaderMap, HeaderName, HeaderValue, Method, Request, Response, StatusCode, response};
use http_cache_semantics::{AfterResponse, BeforeRequest, CacheOptions, CachePolicy};

/// A response, and what is known about its use.
#[derive(Debug, Clone)]
pub(super) struct Stored {
    head: Head,
    body: Bytes,
}

/// All of it but the body.
#[derive(Debug, Clone)]
pub(super) struct Head {
    status: StatusCode,
    headers: HeaderMap,
    policy: CachePolicy,
    since: Instant,
    /// The site's freshness, if the response says none.
    granted: Option<Duration>,
}

/// Whether a stored response answers a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Use {
    Fresh,
    /// It may be used, while the script is asked again.
    WhileAsking,
    /// It may be used by those who come while somebody else asks the script.
    WhileAnotherAsks,
    No,
}

impl Head {
    /// The head of a response that may be stored. `request` are the fields that the script has got.
    pub(super) fn new(request: &HeaderMap, response: &response::Parts, freshness: Duration) -> Option<Self> {
        let mut headers = response.headers.clone();
        remove_hop_by_hop(&mut headers);
        if headers.contains_key(SET_COOKIE) || names(&headers, VARY).any(|name| name == "*") {
            return None;
        }
        // No cache has kept it before, whatever the script says. Beyond a limit the crate would overflow.
        headers.remove(AGE);
        headers.entry(DATE).or_insert_with(now_as_date);
        let says = |directive| directive_of(&headers, directive).is_some();
        let explicit = ["max-age", "s-maxage", "no-cache", "immutable"].into_iter().any(says)
            || headers.contains_key(EXPIRES)
            || (!headers.contains_key(CACHE_CONTROL) && headers.contains_key(PRAGMA));
        let granted = Some(freshness).filter(|_| !explicit && BY_DEFAULT.contains(&response.status.as_u16()));
        let policy = policy(request, response.status, headers.clone(), granted);
        let usable = policy.time_to_live(SystemTime::now()) > Duration::ZERO || says("stale-while-revalidate");
        let validated = headers.contains_key(ETAG) || headers.contains_key(LAST_MODIFIED);
        let stored = policy.is_storable() && (usable || validated);
        stored.then(|| Self { status: response.status, headers, policy, since: Instant::now(), granted })
    }

    pub(super) fn status(&self) -> StatusCode {
        self.status
    }

    pub(super) fn headers(&self) -> &HeaderMap {
        &self.headers
    }

    pub(super) fn with(self, body: Bytes) -> Stored {
        Stored { head: self, body }
    }

    /// The request fields that it depends on, in one order.
    pub(super) fn varies_by(&self) -> Vec<HeaderName> {
        let mut fields: Vec<HeaderName> = names(&self.headers, VARY).filter_map(|name| name.parse().ok()).collect();
        fields.sort_by(|a, b| a.as_str().cmp(b.as_str()));
        fields.dedup();
        fields
    }

    /// A 304 in its place, if the client has it already (RFC 9110 §13.2.2).
    pub(super) fn not_modified(&self, request: &HeaderMap) -> Option<Response<()>> {
        if self.status != StatusCode::OK || !self.is_had_by(request) {
            return None;
        }
        let mut response = Response::new(());
        *response.status_mut() = StatusCode::NOT_MODIFIED;
        for name in [CACHE_CONTROL, CONTENT_LOCATION, DATE, ETAG, EXPIRES, LAST_MODIFIED, VARY] {
            for value in self.headers.get_all(&name) {
                response.headers_mut().append(name.clone(), value.clone());
            }
        }
        Some(response)
    }

    fn is_had_by(&self, request: &HeaderMap) -> bool {
        if request.contains_key(IF_NONE_MATCH) {
            let Some(tag) = self.headers.get(ETAG).and_then(|tag| tag.to_str().ok()) else { return false };
            let weak = |tag: &str| tag.trim().trim_start_matches("W/").to_owned();
            return names(request, IF_NONE_MATCH).any(|asked| asked == "*" || weak(asked) == weak(tag));
        }
        let date = |headers: &HeaderMap, name| httpdate::parse_http_date(headers.get(name)?.to_str().ok()?).ok();
        match (date(&self.headers, LAST_MODIFIED), date(request, IF_MODIFIED_SINCE)) {
            (Some(modified), Some(since)) => modified <= since,
            _ => false,
        }
    }

    /// What is left of its freshness, negative when that is over.
    pub(super) fn ttl(&self) -> i64 {
        let age = i64::try_from(self.since.elapsed().as_secs()).unwrap_or(i64::MAX);
        let lifetime = self.lifetime().as_secs();
        i64::try_from(lifetime).unwrap_or(i64::MAX).saturating_sub(age)
    }

    fn lifetime(&self) -> Duration {
        // From the moment of its storing, at which it had no age.
        let at_first = SystemTime::UNIX_EPOCH;
        self.granted.unwrap_or_else(|| self.policy.time_to_live(at_first))
    }

    fn says(&self, directive: &str) -> bool {
        directive_of(&self.headers, directive).is_some()
    }
}

impl Stored {
    pub(super) fn head(&self) -> &Head {
        &self.head
    }

    pub(super) fn bytes(&self) -> usize {
        // The policy has the fields a second time.
        let fields = self.head.headers.iter().map(|(name, value)| name.as_str().len() + value.len() + 64);
        self.body.len() + 2 * fields.sum::<usize>()
    }

    /// Whether it may be used for requests that say who somebody is.
    pub(super) fn is_public(&self) -> bool {
        self.head.says("public")
    }

    /// Whether it answers a request with these fields.
    pub(super) fn judge(&self, request: &HeaderMap) -> Use {
        let head = &self.head;
        let over = head.granted.is_some_and(|granted| head.since.elapsed() >= granted);
        let now = SystemTime::now();
        if !over && matches!(head.policy.before_request(&asking(request), now), BeforeRequest::Fresh(_)) {
            return Use::Fresh;
        }
        let insists = ["no-cache", "max-age", "min-fresh"].iter().any(|name| directive_of(request, name).is_some());
        let forbids =
            ["no-cache", "must-revalidate", "proxy-revalidate", "s-maxage"].iter().any(|name| head.says(name));
        if insists || request.contains_key(PRAGMA) || forbids {
            return Use::No;
        }
        let window = directive_of(&head.headers, "stale-while-revalidate").flatten();
        let window = window.and_then(|seconds| seconds.parse().ok()).map(Duration::from_secs);
        let stale_since = head.since.elapsed().saturating_sub(head.lifetime());
        match window {
            Some(window) if stale_since < window => Use::WhileAsking,
            // The operator has allowed it by granting a freshness at all, the script has not.
            _ if head.granted.is_some() => Use::WhileAnotherAsks,
            _ => Use::No,
        }
    }

    /// The fields to ask the script with whether it has changed.
    pub(super) fn validating(&self, request: &HeaderMap) -> HeaderMap {
        let mut headers = request.clone();
        for (validator, condition) in [(ETAG, IF_NONE_MATCH), (LAST_MODIFIED, IF_MODIFIED_SINCE)] {
            if let Some(value) = self.head.headers.get(validator) {
                headers.insert(condition, value.clone());
            }
        }
        headers
    }

    /// The same with the fields of a 304, if that is about this one.
    pub(super) fn renewed(&self, request: &HeaderMap, response: &response::Parts, freshness: Duration) -> Option<Self> {
        let about = self.head.policy.after_response(&asking(request), &without_age(response), SystemTime::now());
        let AfterResponse::NotModified(..) = about else { return None };
        // The crate keeps one value of each field.
        let (mut parts, ()) = Response::new(()).into_parts();
        parts.status = self.head.status;
        parts.headers = self.head.headers.clone();
        parts.headers.remove(DATE);
        for name in response.headers.keys().filter(|name| !OF_THE_BODY.contains(&name.as_str())) {
            parts.headers.remove(name);
            for value in response.headers.get_all(name) {
                parts.headers.append(name.clone(), value.clone());
            }
        }
        Some(Head::new(request, &parts, freshness)?.with(self.body.clone()))
    }

    /// The response to a request with this method and these fields.
    pub(super) fn response(&self, method: &Method, request: &HeaderMap) -> Response<Bytes> {
        let mut response = match self.head.not_modified(request) {
            Some(response) => response.map(|()| Bytes::new()),
            None => {
                let body = if method == Method::HEAD { Bytes::new() } else { self.body.clone() };
                let mut response = Response::new(body);
                *response.status_mut() = self.head.status;
                *response.headers_mut() = self.head.headers.clone();
                if self.head.status != StatusCode::NO_CONTENT {
                    response.headers_mut().insert(CONTENT_LENGTH, self.body.len().into());
                }
                response
            }
        };
        response.headers_mut().insert(AGE, self.head.since.elapsed().as_secs().into());
        response
    }
}

/// Takes away what asks for less than a whole response.
pub(super) fn remove_conditions(headers: &mut HeaderMap) {
    for name in [IF_MATCH, IF_NONE_MATCH, IF_MODIFIED_SINCE, IF_UNMODIFIED_SINCE, IF_RANGE] {
        headers.remove(name);
    }
}

/// What a directive of `Cache-Control` says: nothing if it is there without a value.
pub(super) fn directive_of<'h>(headers: &'h HeaderMap, directive: &str) -> Option<Option<&'h str>> {
    names(headers, CACHE_CONTROL).find_map(|text| {
        let (name, value) = text.split_once('=').map_or((text, None), |(name, value)| (name, Some(value)));
        name.trim().eq_ignore_ascii_case(directive).then(|| value.map(|value| value.trim().trim_matches('"')))
    })
}

/// The items of a field that is a list.
fn names(headers: &HeaderMap, name: HeaderName) -> impl Iterator<Item = &str> {
    let values = headers.get_all(name).into_iter().filter_map(|value| value.to_str().ok());
    values.flat_map(|value| value.split(',')).map(str::trim).filter(|item| !item.is_empty())
}

fn remove_hop_by_hop(headers: &mut HeaderMap) {
    let named: Vec<HeaderName> = names(headers, CONNECTION).filter_map(|name| name.parse().ok()).collect();
    let always = HOP_BY_HOP.into_iter().map(HeaderName::from_static);
    for name in named.into_iter().chain(always) {
        headers.remove(name);
    }
}

fn policy(request: &HeaderMap, status: StatusCode, mut headers: HeaderMap, granted: Option<Duration>) -> CachePolicy {
    if let Some(granted) = granted {
        let seconds = granted.as_secs() + u64::from(granted.subsec_nanos() > 0);
        if let Ok(value) = HeaderValue::try_from(format!("max-age={seconds}")) {
            headers.append(CACHE_CONTROL, value);
        }
    }
    let mut response = Response::new(());
    *response.status_mut() = status;
    *response.headers_mut() = headers;
    CachePolicy::new_options(&asking(request), &response, SystemTime::now(), CacheOptions::default())
}

/// A request for the crate, which compares hosts and targets that are the same by the key.
fn asking(headers: &HeaderMap) -> Request<()> {
    let mut request = Request::new(());
    *request.headers_mut() = headers.clone();
    request.headers_mut().remove(HOST);
    request
}

fn without_age(response: &response::Parts) -> Response<()> {
    let mut copy = Response::new(());
    *copy.status_mut() = response.status;
    *copy.headers_mut() = response.headers.clone();
    copy.headers_mut().remove(AGE);
    copy
}

fn now_as_date() -> HeaderValue {
    let date = httpdate::fmt_http_date(SystemTime::now());
    HeaderValue::try_from(date).unwrap_or(HeaderValue::from_static("Thu, 01 Jan 1970 00:00:00 GMT"))
}

/// What may be stored without a word about it (RFC 9110 §15.1), without 206.
const BY_DEFAULT: [u16; 10] = [200, 203, 204, 300, 301, 308, 404, 405, 410, 414];
const HOP_BY_HOP: [&str; 8] = [
    "connection",
    "keep-alive",
    "proxy-authenticate",
    "proxy-authorization",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
];
/// What a 304 does not change (RFC 9111 §3.2).
const OF_THE_BODY: [&str; 4] = ["content-length", "content-encoding", "content-range", "transfer-encoding"];

#[cfg(test)]
mod tests {
    use super::*;

    fn map(fields: &[(&'static str, &'static str)]) -> HeaderMap {
        let fields =
            fields.iter().map(|(name, value)| (HeaderName::from_static(name), HeaderValue::from_static(value)));
        let mut headers = HeaderMap::new();
        for (name, value) in fields {
            headers.append(name, value);
        }
        headers
    }

    fn head(status: u16, fields: &[(&'static str, &'static str)]) -> Option<Head> {
        let mut response = Response::new(());
        *response.status_mut() = StatusCode::from_u16(status).unwrap();
        *response.headers_mut() = map(fields);
        Head::new(&HeaderMap::new(), &response.into_parts().0, Duration::from_secs(60))
    }

    #[test]
    fn what_may_be_stored_and_for_how_long() {
        for (status, fields, ttl) in [
            (200, &[][..], Some(60)),
            (200, &[("cache-control", "max-age=5")], Some(5)),
            (200, &[("cache-control", "max-age=5, s-maxage=7")], Some(7)),
            (200, &[("cache-control", "public")], Some(60)),
            (200, &[("age", "18446744073709551615")], Some(60)),
            (200, &[("last-modified", "Thu, 01 Jan 1970 00:00:00 GMT")], Some(60)),
            (404, &[], Some(60)),
            (302, &[("cache-control", "max-age=5")], Some(5)),
            (302, &[], None),
            (500, &[], None),
            (206, &[], None),
            (200, &[("set-cookie", "a=b")], None),
            (200, &[("set-cookie", "a=b"), ("cache-control", "public, max-age=9")], None),
            (200, &[("cache-control", "private")], None),
            (200, &[("cache-control", "no-store, max-age=9")], None),
            (200, &[("cache-control", "no-cache")], None),
            (200, &[("cache-control", "max-age=0")], None),
            (200, &[("pragma", "no-cache")], None),
            (200, &[("expires", "0")], None),
            (200, &[("vary", "accept, *")], None),
        ] {
            assert_eq!(head(status, fields).map(|head| head.ttl()), ttl, "{status} {fields:?}");
        }
        // It has to be asked for each time, but its body need not be sent.
        assert!(head(200, &[("cache-control", "no-cache"), ("etag", "\"1\"")]).is_some());
    }

    #[test]
    fn fields_with_several_values_are_kept() {
        let head = head(200, &[("link", "a"), ("link", "b"), ("connection", "x-own"), ("x-own", "1")]).unwrap();
        let response = head.with(Bytes::from_static(b"text")).response(&Method::HEAD, &HeaderMap::new());
        assert_eq!(response.headers().get_all("link").iter().count(), 2);
        assert!(!response.headers().contains_key("x-own") && !response.headers().contains_key("connection"));
        assert_eq!(
            (response.body().len(), response.headers().get("content-length").unwrap().as_bytes()),
            (0, &b"4"[..])
        );
    }

    #[test]
    fn a_client_that_has_it_gets_304() {
        let modified = "Sat, 01 Jan 2000 00:00:00 GMT";
        let stored = head(200, &[("etag", "\"1\""), ("last-modified", modified)]).unwrap().with(Bytes::new());
        for (fields, status) in [
            (&[("if-none-match", "\"0\", W/\"1\"")][..], 304),
            (&[("if-none-match", "*")], 304),
            (&[("if-none-match", "\"2\""), ("if-modified-since", modified)], 200),
            (&[("if-modified-since", modified)], 304),
            (&[("if-modified-since", "Fri, 31 Dec 1999 00:00:00 GMT")], 200),
        ] {
            assert_eq!(stored.response(&Method::GET, &map(fields)).status().as_u16(), status, "{fields:?}");
        }
    }

    #[test]
    fn a_304_renews_what_it_is_about() {
        let stored = head(200, &[("etag", "\"1\""), ("cache-control", "max-age=1"), ("x", "old")]).unwrap();
        let stored = stored.with(Bytes::from_static(b"text"));
        assert_eq!(stored.validating(&HeaderMap::new()).get(IF_NONE_MATCH).unwrap(), "\"1\"");
        let answer = |fields| {
            let mut response = Response::new(());
            *response.status_mut() = StatusCode::NOT_MODIFIED;
            *response.headers_mut() = map(fields);
            response.into_parts().0
        };
        let freshness = Duration::from_secs(60);
        let renewed = answer(&[("etag", "\"1\""), ("cache-control", "max-age=9"), ("content-length", "7")]);
        let renewed = stored.renewed(&HeaderMap::new(), &renewed, freshness).unwrap();
        assert_eq!((renewed.head().ttl(), renewed.head().headers().get("x").unwrap().as_bytes()), (9, &b"old"[..]));
        assert_eq!(renewed.response(&Method::GET, &HeaderMap::new()).headers()[CONTENT_LENGTH], "4");
        assert!(stored.renewed(&HeaderMap::new(), &answer(&[("etag", "\"2\"")]), freshness).is_none());
    }
}
