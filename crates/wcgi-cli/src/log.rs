//! Where log lines go: stderr, but not before the server listens, so that its address is the first line there.

use std::io::{self, IsTerminal, Write};
use std::sync::{Arc, Mutex, PoisonError};

use tracing_subscriber::EnvFilter;
use tracing_subscriber::filter::LevelFilter;

use crate::arguments::Verbosity;

/// Installs the log for the whole process.
pub(crate) fn init(verbosity: Verbosity) -> Log {
    let log = Log::default();
    let level = match verbosity {
        Verbosity::Quiet => LevelFilter::WARN,
        Verbosity::Normal => LevelFilter::INFO,
        Verbosity::Verbose => LevelFilter::DEBUG,
        Verbosity::Everything => LevelFilter::TRACE,
    };
    // Of the libraries below only what is wrong, unless everything is wanted.
    let default = match verbosity {
        Verbosity::Everything => level.to_string(),
        _ => format!("warn,tower_wcgi={level},wcgi={level},wcgi_cli={level}"),
    };
    let filter = match std::env::var("RUST_LOG") {
        Ok(directives) if !directives.is_empty() => EnvFilter::new(directives),
        _ => EnvFilter::new(default),
    };
    let no_color = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
    let writer = log.clone();
    tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_ansi(io::stderr().is_terminal() && !no_color)
        .with_writer(move || writer.clone())
        .init();
    log
}

/// Holds lines back until it is [released](Self::release).
#[derive(Debug, Clone, Default)]
pub(crate) struct Log(Arc<Mutex<Held>>);

#[derive(Debug)]
enum Held {
    Lines(Vec<u8>),
    Released,
}

impl Default for Held {
    fn default() -> Self {
        Self::Lines(Vec::new())
    }
}

impl Log {
    /// Writes what was held back; from here on lines are written at once.
    pub(crate) fn release(&self) {
        let mut held = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Held::Lines(lines) = std::mem::replace(&mut *held, Held::Released) {
            // Nobody is left to tell that stderr is gone.
            let _ = io::stderr().write_all(&lines);
        }
    }
}

impl Write for Log {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let mut held = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        match &mut *held {
            Held::Lines(lines) => lines.write(bytes),
            Held::Released => io::stderr().write(bytes),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        io::stderr().flush()
    }
}
