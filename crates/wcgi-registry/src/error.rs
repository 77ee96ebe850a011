//! What can go wrong, grouped by whose fault it is.

use std::fmt::{self, Display};

/// Why a package could not be had, sent or trusted.
///
/// `Display` is one line without the source.
#[derive(Debug)]
pub struct Error(Box<Inner>);

#[derive(Debug)]
struct Inner {
    kind: ErrorKind,
    message: String,
    hint: Option<String>,
    source: Option<Box<dyn std::error::Error + Send + Sync>>,
}

/// The kinds of [`Error`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ErrorKind {
    /// What was written is no reference: wrong usage.
    Reference,
    /// A local package, manifest, lock file or key cannot be used.
    Package,
    /// The store on this machine cannot be read or written.
    Store,
    /// The registry does not answer, or answers with an error of its own.
    Unreachable,
    /// The registry does not let this user do that.
    Denied,
    /// The registry has no such package or blob.
    NotFound,
    /// What came is damaged, hostile, or something else than a package.
    Content,
    /// What came is larger than allowed.
    Limit,
    /// The package is not signed by a key that was asked for.
    Signature,
}

impl Error {
    pub(crate) fn new(kind: ErrorKind, message: impl Into<String>) -> Self {
        Self(Box::new(Inner { kind, message: message.into(), hint: None, source: None }))
    }

    #[must_use]
    pub(crate) fn with_hint(mut self, hint: impl Into<String>) -> Self {
        self.0.hint = Some(hint.into());
        self
    }

    #[must_use]
    pub(crate) fn with_source(mut self, source: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Self {
        self.0.source = Some(source.into());
        self
    }

    /// The cause of another error, which says itself what that one is.
    #[must_use]
    pub(crate) fn with_source_of(mut self, other: Self) -> Self {
        self.0.source = other.0.source;
        self
    }

    /// Whose fault it is.
    #[must_use]
    pub fn kind(&self) -> ErrorKind {
        self.0.kind
    }

    /// What to do about it, if that is known.
    #[must_use]
    pub fn hint(&self) -> Option<&str> {
        self.0.hint.as_deref()
    }
}

impl Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.message)
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        self.0.source.as_deref().map(|source| source as _)
    }
}

/// The error for a file or directory of the user's own.
pub(crate) fn package(message: impl Into<String>) -> Error {
    Error::new(ErrorKind::Package, message)
}

/// The error for a part of the store.
pub(crate) fn store(what: &str, source: std::io::Error) -> Error {
    Error::new(ErrorKind::Store, what)
        .with_source(source)
        .with_hint("the store lies in the cache directory; choose another with --cache-dir, or none with --no-cache")
}

/// The error for what a registry sent.
pub(crate) fn content(message: impl Into<String>) -> Error {
    Error::new(ErrorKind::Content, message)
}
