//! What the gateway takes from a request's extensions, and how it names a request in the log.

use std::fmt;
use std::hash::{Hash, Hasher};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use http::{Extensions, HeaderMap};

/// The user an authentication layer has established; becomes `REMOTE_USER` and `AUTH_TYPE` (RFC 3875 §4.1.1, §4.1.11).
///
/// A layer inserts it into the request's extensions:
///
/// ```
/// # let mut request = http::Request::new(());
/// request.extensions_mut().insert(tower_wcgi::RemoteUser::new("Bearer", "alice"));
/// ```
///
/// Without it both variables are unset, whatever the request's headers say.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RemoteUser {
    auth_type: Arc<str>,
    name: Arc<str>,
}

impl RemoteUser {
    /// `auth_type` is the name of the scheme, such as `Basic` or `Bearer`. `name` identifies the user.
    #[must_use]
    pub fn new(auth_type: impl Into<Arc<str>>, name: impl Into<Arc<str>>) -> Self {
        Self { auth_type: auth_type.into(), name: name.into() }
    }

    pub(crate) fn parts(&self) -> (&str, &str) {
        (&self.auth_type, &self.name)
    }
}

/// Environment variables for one request, from a layer before the service.
///
/// ```
/// # let mut request = http::Request::new(());
/// request.extensions_mut().insert(tower_wcgi::RequestEnv::new().set("TENANT", "alice"));
/// ```
///
/// They win over the package's and the builder's. Variables that belong to each request, like `QUERY_STRING`, cannot be set.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct RequestEnv(Vec<(String, String)>);

impl RequestEnv {
    /// No variables.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Sets a variable, in place of one of the same name.
    #[must_use]
    pub fn set(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        let name = name.into();
        self.0.retain(|(set, _)| *set != name);
        self.0.push((name, value.into()));
        self
    }

    pub(crate) fn variables(&self) -> &[(String, String)] {
        &self.0
    }
}

/// Names one request in every log line about it.
///
/// It is taken from the request's extensions if a layer put one there, else from a short and printable `x-request-id` header,
/// else made here. The extensions of the response have it.
#[derive(Debug, Clone)]
pub struct RequestId {
    text: Arc<str>,
    /// The name of the service that answers, for the log.
    site: Option<Arc<str>>,
}

impl RequestId {
    /// An id that the caller has made.
    #[must_use]
    pub fn new(id: impl Into<Arc<str>>) -> Self {
        Self { text: id.into(), site: None }
    }

    /// The id as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.text
    }

    pub(crate) fn of_site(self, site: Option<&Arc<str>>) -> Self {
        Self { site: site.cloned(), ..self }
    }

    pub(crate) fn site(&self) -> Option<&str> {
        self.site.as_deref()
    }

    pub(crate) fn generate() -> Self {
        static NEXT: AtomicU64 = AtomicU64::new(1);
        Self::new(format!("{:08x}", NEXT.fetch_add(1, Ordering::Relaxed)))
    }

    pub(crate) fn of(extensions: &Extensions, headers: &HeaderMap) -> Self {
        if let Some(id) = extensions.get::<Self>() {
            return id.clone();
        }
        let sent = headers.get("x-request-id").and_then(|value| value.to_str().ok());
        match sent.filter(|id| (1..=MAX_SENT_ID).contains(&id.len()) && id.bytes().all(|byte| byte.is_ascii_graphic()))
        {
            Some(id) => Self::new(id),
            None => Self::generate(),
        }
    }
}

impl PartialEq for RequestId {
    fn eq(&self, other: &Self) -> bool {
        self.text == other.text
    }
}

impl Eq for RequestId {}

impl Hash for RequestId {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.text.hash(state);
    }
}

impl fmt::Display for RequestId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

/// The target as the client sent it, before a router took a prefix off.
pub(crate) fn original_uri(extensions: &Extensions) -> Option<&http::Uri> {
    #[cfg(feature = "axum")]
    if let Some(axum::extract::OriginalUri(uri)) = extensions.get::<axum::extract::OriginalUri>() {
        return Some(uri);
    }
    let _ = extensions;
    None
}

/// The path at which axum's `route_service` has put the service: the route's path before the first parameter. None below
/// `nest_service`, which removes the prefix from the path instead.
pub(crate) fn mount(extensions: &Extensions) -> Option<String> {
    #[cfg(feature = "axum")]
    if let Some(path) = extensions.get::<axum::extract::MatchedPath>() {
        let literal = path.as_str().split('{').next().unwrap_or_default();
        return Some(literal.trim_end_matches('/').to_owned());
    }
    let _ = extensions;
    None
}

const MAX_SENT_ID: usize = 64;
