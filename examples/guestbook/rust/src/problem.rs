//! Why a request gets another answer than it asked for.

use std::io;

/// What the visitor is told.
pub struct Problem {
    pub status: &'static str,
    pub message: String,
    /// The methods that would have been right.
    pub allow: Option<&'static str>,
}

impl Problem {
    pub fn new(status: &'static str, message: impl Into<String>) -> Self {
        Self { status, message: message.into(), allow: None }
    }

    pub fn wrong_method(allow: &'static str) -> Self {
        let message = format!("this takes only {allow}");
        Self { status: "405 Method Not Allowed", message, allow: Some(allow) }
    }
}

impl From<io::Error> for Problem {
    fn from(error: io::Error) -> Self {
        eprintln!("error: {error}");
        Self::new("500 Internal Server Error", "the guest book cannot be read or written now")
    }
}
