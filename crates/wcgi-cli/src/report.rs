//! Output for people: data on stdout. A failure is one `error:` line with its causes, and a `hint:` if there is one.

use std::io::{self, Write};

use anyhow::Context as _;

/// Writes `text` to stdout.
///
/// # Errors
///
/// Fails if stdout cannot be written. A reader that has read enough, as `head`, is no failure.
pub(crate) fn data(text: &str) -> anyhow::Result<()> {
    match io::stdout().write_all(text.as_bytes()).and_then(|()| io::stdout().flush()) {
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        written => written.context("cannot write to stdout"),
    }
}

/// The lines about `error`.
pub(crate) fn error(error: &anyhow::Error) -> String {
    let hint = error.chain().find_map(|cause| {
        let from_library = cause.downcast_ref::<tower_wcgi::Error>().and_then(tower_wcgi::Error::hint);
        let from_registry = || cause.downcast_ref::<wcgi_registry::Error>().and_then(wcgi_registry::Error::hint);
        let own = || cause.downcast_ref::<WithHint>().map(|error| error.hint);
        let refusal = || cause.downcast_ref::<Refusal>().map(|error| error.hint.as_str());
        from_library.or_else(from_registry).or_else(own).or_else(refusal)
    });
    let mut text = String::from("error: ");
    let mut said = String::new();
    for cause in error.chain() {
        // A cause often ends with its own cause's text.
        let cause = one_line(&cause.to_string());
        if said.ends_with(&cause) {
            continue;
        }
        if !said.is_empty() {
            text.push_str(": ");
        }
        text.push_str(&cause);
        said = cause;
    }
    text.push('\n');
    if let Some(hint) = hint {
        text.push_str("hint: ");
        text.push_str(hint);
        text.push('\n');
    }
    text
}

/// Whether what was typed is at fault: a reference that is none.
pub(crate) fn is_wrong_usage(error: &anyhow::Error) -> bool {
    let is_reference = |error: &wcgi_registry::Error| error.kind() == wcgi_registry::ErrorKind::Reference;
    error.downcast_ref::<wcgi_registry::Error>().is_some_and(is_reference)
}

/// Logs that a reload has failed.
pub(crate) fn not_reloaded(why: &anyhow::Error) {
    let report = error(why);
    let mut lines = report.lines().map(|line| line.trim_start_matches("error: "));
    let message = lines.next().unwrap_or_default();
    let hint = lines.next().map(|line| line.trim_start_matches("hint: "));
    tracing::error!(hint, "not reloaded, so what was served is served still: {message}");
}

/// A number of bytes as a person reads it.
pub(crate) fn size(bytes: usize) -> String {
    match bytes {
        0..1024 => format!("{bytes} B"),
        1024..1_048_576 => format!("{:.1} KiB", bytes as f64 / 1024.0),
        _ => format!("{:.1} MiB", bytes as f64 / 1_048_576.0),
    }
}

/// Something that is not done, and how it would be.
#[derive(Debug)]
pub(crate) struct Refusal {
    message: String,
    hint: String,
}

impl Refusal {
    pub(crate) fn new(message: impl Into<String>, hint: impl Into<String>) -> Self {
        Self { message: message.into(), hint: hint.into() }
    }
}

impl std::fmt::Display for Refusal {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for Refusal {}

/// An error of the command line itself, with a hint.
#[derive(Debug)]
pub(crate) struct WithHint {
    pub(crate) message: String,
    pub(crate) hint: &'static str,
    pub(crate) source: std::io::Error,
}

impl std::fmt::Display for WithHint {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for WithHint {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        Some(&self.source)
    }
}

fn one_line(text: &str) -> String {
    text.lines().map(str::trim).filter(|line| !line.is_empty()).collect::<Vec<_>>().join("; ")
}
