//! The log writes to stderr, through a [queue]. Nothing is written before the server listens, so that its address
//! is the first line.
//!
//! In: events of `tracing`, the address, errors. Out: one line for each, without control characters.

mod escape;
mod form;
mod json;
mod queue;
mod streams;

use std::backtrace::{Backtrace, BacktraceStatus};
use std::io::{self, IsTerminal, Write};
use std::panic::PanicHookInfo;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tracing_subscriber::filter::{Directive, LevelFilter};
use tracing_subscriber::fmt::format::Format;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;
use tracing_subscriber::{EnvFilter, Layer};

use self::escape::escape;
use self::form::Current;
pub(crate) use self::form::Form;
use self::json::Lines;
use self::queue::Queue;
pub(crate) use self::streams::take_refused;
use crate::arguments::Verbosity;

/// Installs the log for the whole process.
pub(crate) fn init(verbosity: Verbosity) -> Log {
    let no_color = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
    let colors = io::stderr().is_terminal() && !no_color;
    let (filter, ignored) = filter(verbosity);
    let queue = Queue::start(io::stderr(), say_dropped);
    let log = Log { queue, colors, form: Current::default(), ignored: Arc::new(Mutex::new(ignored)) };
    let writer = log.clone();
    let lines = tracing_subscriber::fmt::layer()
        .with_ansi(colors)
        // Such errors would be printed to stderr, which panics if stderr is gone.
        .log_internal_errors(false)
        .event_format(Lines { form: log.form.clone(), text: Format::default() })
        .with_writer(move || writer.clone())
        .with_filter(filter);
    tracing_subscriber::registry().with(lines).with(streams::layer()).init();
    // The default hook writes to stderr itself, and waits for its reader.
    std::panic::set_hook(Box::new(say_panic));
    log
}

/// The filter, and the invalid parts of `RUST_LOG`. `EnvFilter` would print those itself.
fn filter(verbosity: Verbosity) -> (EnvFilter, Vec<String>) {
    let level = match verbosity {
        Verbosity::Quiet => LevelFilter::WARN,
        Verbosity::Normal => LevelFilter::INFO,
        Verbosity::Verbose => LevelFilter::DEBUG,
        Verbosity::Everything => LevelFilter::TRACE,
    };
    // Only warnings of the libraries below, unless everything is wanted.
    let default = match verbosity {
        Verbosity::Everything => level.to_string(),
        _ => format!("warn,tower_wcgi={level},wcgi={level},wcgi_cli={level}"),
    };
    let directives = match std::env::var("RUST_LOG") {
        Ok(directives) if !directives.is_empty() => directives,
        _ => default,
    };
    // Lost lines are reported whatever else is asked for.
    let mut filter = EnvFilter::default().add_directive(Directive::from(LevelFilter::OFF));
    filter = filter.add_directive("wcgi::log=warn".parse().expect("a directive"));
    let mut ignored = Vec::new();
    for text in directives.split(',').map(str::trim).filter(|text| !text.is_empty()) {
        match text.parse::<Directive>() {
            Ok(directive) => filter = filter.add_directive(directive),
            Err(_) => ignored.push(text.to_owned()),
        }
    }
    (filter, ignored)
}

/// A handle of the log. Clones are the same log.
#[derive(Debug, Clone)]
pub(crate) struct Log {
    queue: Queue,
    colors: bool,
    form: Current,
    /// The parts of `RUST_LOG` that say nothing, until that is logged.
    ignored: Arc<Mutex<Vec<String>>>,
}

impl Log {
    pub(crate) fn form(&self) -> Form {
        self.form.form()
    }

    /// Lines that are logged from here on have this form.
    pub(crate) fn set_form(&self, form: Form) {
        self.form.set(form);
    }

    /// How many lines were lost since the start.
    pub(crate) fn dropped(&self) -> u64 {
        self.queue.dropped()
    }

    /// Adds a line that is no event, or counts it as dropped.
    pub(crate) fn line(&self, line: &str) {
        self.queue.push(escape(&format!("{line}\n"), false).as_bytes());
    }

    /// Writes the lines for which a parent program waits, and then the lines that were held back.
    pub(crate) fn announce(&self, line: &str) {
        self.queue.release(format!("{line}\n").as_bytes());
        self.say_ignored();
    }

    /// Writes the lines that were held back. From here on lines are written at once.
    pub(crate) fn release(&self) {
        self.queue.release(b"");
        self.say_ignored();
    }

    fn say_ignored(&self) {
        let ignored = std::mem::take(&mut *self.ignored.lock().unwrap_or_else(PoisonError::into_inner));
        for directive in ignored {
            tracing::warn!("RUST_LOG: `{directive}` is not a directive and is ignored");
        }
    }

    /// Writes lines that are not events, even if the queue is full.
    pub(crate) fn print(&self, text: &str) {
        for line in text.split_inclusive('\n') {
            self.queue.push_always(escape(line, false).as_bytes());
        }
    }

    /// Waits until everything is written, but not long: stderr may have no reader.
    pub(crate) fn finish(&self) {
        self.release();
        self.queue.wait_until_written(LAST_LINES);
    }
}

impl Write for Log {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let line = String::from_utf8_lossy(bytes);
        self.queue.push(escape(&line, self.colors).as_bytes());
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn say_dropped(lines: u64) {
    tracing::warn!(lines, "lines of the log were dropped, because stderr did not take them");
}

fn say_panic(info: &PanicHookInfo<'_>) {
    let message = info.payload_as_str().unwrap_or("the program panicked");
    let place = info.location().map(ToString::to_string).unwrap_or_default();
    let backtrace = Backtrace::capture();
    let backtrace = (backtrace.status() == BacktraceStatus::Captured).then(|| backtrace.to_string());
    tracing::error!(place, backtrace, "{message}");
}

const LAST_LINES: Duration = Duration::from_secs(1);
