//! Errors, and whose fault they are.
//!
//! One type for the whole crate. The client sees the status text of [`ErrorKind::status`] and nothing
//! else. Messages and sources are for the log and for the person who opens a package.

use std::borrow::Cow;
use std::error::Error as StdError;
use std::fmt;

use http::StatusCode;

use crate::escape::Quoted;

/// The reason why a request got no proper response, or why a package cannot be served.
///
/// [`Display`](fmt::Display) is one lower-case line without the source. Follow [`source`](StdError::source) for the rest.
pub struct Error(Box<Details>);

/// The kinds of [`Error`], grouped by whose fault they are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ErrorKind {
    // The request's fault.
    /// The request's target, headers or body cannot be expressed as CGI.
    MalformedRequest,
    /// The request's path names nothing.
    NotFound,
    /// The request's body is larger than the limit.
    BodyTooLarge,
    /// The request's path names a static file, and its method is neither `GET` nor `HEAD`. Or its method is one that no
    /// script gets: `CONNECT`, and `TRACE` unless [allowed](crate::WcgiBuilder::allow_trace).
    MethodNotAllowed,

    // The script's fault.
    /// The script's output does not begin with a CGI response head (RFC 3875 §6).
    MalformedResponse,
    /// The script ended without having written a whole response head.
    NoResponse,
    /// The script trapped.
    Trap,
    /// The script needed more memory than its limit.
    MemoryLimit,
    /// The exchange had not ended at its deadline.
    DeadlineExceeded,

    // Too many requests at once.
    /// The queue was full, or no permit became free within its wait.
    Overloaded,

    // The host's fault.
    /// The package, its manifest or one of its files cannot be used.
    Package,
    /// The module is not WebAssembly, or can never run here.
    Module,
    /// The host could not do its part: no memory for the pool, a mount that cannot be opened.
    Host,
}

impl ErrorKind {
    /// The status a client gets when the error comes before the response's head.
    #[must_use]
    pub fn status(self) -> StatusCode {
        match self {
            Self::MalformedRequest => StatusCode::BAD_REQUEST,
            Self::NotFound => StatusCode::NOT_FOUND,
            Self::BodyTooLarge => StatusCode::PAYLOAD_TOO_LARGE,
            Self::MethodNotAllowed => StatusCode::METHOD_NOT_ALLOWED,
            Self::MalformedResponse | Self::NoResponse | Self::Trap | Self::MemoryLimit => StatusCode::BAD_GATEWAY,
            Self::DeadlineExceeded => StatusCode::GATEWAY_TIMEOUT,
            Self::Overloaded => StatusCode::SERVICE_UNAVAILABLE,
            Self::Package | Self::Module | Self::Host => StatusCode::INTERNAL_SERVER_ERROR,
        }
    }

    /// The kind as one word, as logs and metrics name it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::MalformedRequest => "malformed-request",
            Self::NotFound => "not-found",
            Self::BodyTooLarge => "body-too-large",
            Self::MethodNotAllowed => "method-not-allowed",
            Self::MalformedResponse => "malformed-response",
            Self::NoResponse => "no-response",
            Self::Trap => "trap",
            Self::MemoryLimit => "memory-limit",
            Self::DeadlineExceeded => "deadline-exceeded",
            Self::Overloaded => "overloaded",
            Self::Package => "package",
            Self::Module => "module",
            Self::Host => "host",
        }
    }
}

impl Error {
    pub(crate) fn new(kind: ErrorKind, message: impl Into<Cow<'static, str>>) -> Self {
        Self(Box::new(Details {
            kind,
            message: message.into(),
            hint: None,
            source: None,
            allow: None,
            stderr: String::new(),
            logged: false,
        }))
    }

    /// The request's method is not among the methods of `allow`, a value of the header `Allow` (RFC 9110 §15.5.6).
    pub(crate) fn method_not_allowed(message: &'static str, allow: &'static str) -> Self {
        let mut error = Self::new(ErrorKind::MethodNotAllowed, message);
        error.0.allow = Some(allow);
        error
    }

    pub(crate) fn allow(&self) -> Option<&'static str> {
        self.0.allow
    }

    pub(crate) fn with_source(mut self, source: impl Into<Box<dyn StdError + Send + Sync>>) -> Self {
        self.0.source = Some(source.into());
        self
    }

    pub(crate) fn with_hint(mut self, hint: impl Into<Cow<'static, str>>) -> Self {
        self.0.hint = Some(hint.into());
        self
    }

    /// Appends the bad line of a script's output to the message, cut if it is long.
    pub(crate) fn quoting(mut self, line: &[u8]) -> Self {
        let line = line.strip_suffix(b"\r").unwrap_or(line);
        if !line.is_empty() {
            self.0.message = format!("{}: {}", self.0.message, Quoted { line, most: QUOTED_BYTES }).into();
        }
        self
    }

    /// The last that the script wrote to stderr, for its developer.
    pub(crate) fn with_stderr(mut self, stderr: String) -> Self {
        self.0.stderr = stderr;
        self
    }

    pub(crate) fn stderr(&self) -> &str {
        &self.0.stderr
    }

    /// Marks it as logged, so that nobody logs it again.
    pub(crate) fn into_logged(mut self) -> Self {
        self.0.logged = true;
        self
    }

    pub(crate) fn is_logged(&self) -> bool {
        self.0.logged
    }

    /// The sources, outermost first.
    pub(crate) fn causes(&self) -> impl Iterator<Item = &(dyn StdError + 'static)> {
        let mut next = self.source();
        std::iter::from_fn(move || {
            let cause = next?;
            next = cause.source();
            Some(cause)
        })
    }

    /// The kind of the error, to decide by.
    #[must_use]
    pub fn kind(&self) -> ErrorKind {
        self.0.kind
    }

    /// A hint: what the person who sees the error can do, if that is known.
    #[must_use]
    pub fn hint(&self) -> Option<&str> {
        self.0.hint.as_deref()
    }

    /// The request is to blame.
    #[must_use]
    pub fn is_request(&self) -> bool {
        use ErrorKind::{BodyTooLarge, MalformedRequest, MethodNotAllowed, NotFound};
        matches!(self.kind(), MalformedRequest | NotFound | BodyTooLarge | MethodNotAllowed)
    }

    /// The script is to blame.
    #[must_use]
    pub fn is_script(&self) -> bool {
        use ErrorKind::{DeadlineExceeded, MalformedResponse, MemoryLimit, NoResponse, Trap};
        matches!(self.kind(), MalformedResponse | NoResponse | Trap | MemoryLimit | DeadlineExceeded)
    }

    /// Nobody is to blame: more requests than the limits admit.
    #[must_use]
    pub fn is_overload(&self) -> bool {
        self.kind() == ErrorKind::Overloaded
    }

    /// The host or the package it was given is to blame.
    #[must_use]
    pub fn is_host(&self) -> bool {
        matches!(self.kind(), ErrorKind::Package | ErrorKind::Module | ErrorKind::Host)
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.message)
    }
}

impl fmt::Debug for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Details { kind, message, hint, source, allow: _, stderr: _, logged: _ } = &*self.0;
        let mut f = f.debug_struct("Error");
        f.field("kind", kind).field("message", message);
        if let Some(hint) = hint {
            f.field("hint", hint);
        }
        if let Some(source) = source {
            f.field("source", source);
        }
        f.finish()
    }
}

impl StdError for Error {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        self.0.source.as_deref().map(|source| source as _)
    }
}

struct Details {
    kind: ErrorKind,
    message: Cow<'static, str>,
    hint: Option<Cow<'static, str>>,
    source: Option<Box<dyn StdError + Send + Sync>>,
    /// The methods that are allowed.
    allow: Option<&'static str>,
    stderr: String,
    logged: bool,
}

const QUOTED_BYTES: usize = 200;
