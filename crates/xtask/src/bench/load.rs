//! Load by wrk: as many requests as a number of connections can make, one after the other on each.

use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;
use std::{fs, thread};

use anyhow::{Context as _, Result, bail};

use super::client::Url;
use super::figures;
use crate::program;

/// wrk, ready to be called.
#[derive(Debug)]
pub(crate) struct Wrk {
    script: PathBuf,
}

/// What one call of wrk found.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Load {
    pub(crate) requests: f64,
    pub(crate) duration: Duration,
    pub(crate) p50: Duration,
    pub(crate) p99: Duration,
    pub(crate) max: Duration,
}

impl Load {
    /// Requests a second.
    pub(crate) fn rate(&self) -> f64 {
        self.requests / self.duration.as_secs_f64()
    }
}

impl Wrk {
    /// Writes down what wrk shall say at its end.
    ///
    /// # Errors
    ///
    /// Fails if there is no wrk.
    pub(crate) fn prepare(directory: &std::path::Path) -> Result<Self> {
        let script = directory.join("wrk.lua");
        fs::write(&script, include_str!("wrk.lua")).with_context(|| format!("cannot write {}", script.display()))?;
        Ok(Self { script })
    }

    /// # Errors
    ///
    /// Fails if a request failed or was answered with anything but success: such figures would say nothing.
    pub(crate) fn run(&self, url: Url<'_>, connections: usize, duration: Duration) -> Result<Load> {
        // The server needs cores too.
        let threads = thread::available_parallelism().map_or(1, usize::from).div_ceil(2).min(connections);
        let mut wrk = Command::new("wrk");
        wrk.args(["--timeout", "30s", "--threads", &threads.to_string(), "--connections", &connections.to_string()]);
        wrk.args(["--duration", &format!("{}s", duration.as_secs().max(1))]);
        let output = program::capture(wrk.arg("--script").arg(&self.script).arg(url.to_string()))?;
        let figures = output.lines().find_map(|line| line.strip_prefix("FIGURES ")).context("wrk gave no figures")?;
        let figures = figures::parse(figures);
        for error in ["connect", "read", "write", "status", "timeout"] {
            let count = figures::number(&figures, error)?;
            if count > 0.0 {
                bail!("{count} of {} requests to {url} failed ({error})", figures::number(&figures, "requests")?);
            }
        }
        if figures::number(&figures, "requests")? < 1.0 {
            bail!("no request to {url} came to its end in {duration:?}");
        }
        let micros = |name| Ok::<_, anyhow::Error>(Duration::from_secs_f64(figures::number(&figures, name)? / 1e6));
        Ok(Load {
            requests: figures::number(&figures, "requests")?,
            duration: micros("duration")?,
            p50: micros("p50")?,
            p99: micros("p99")?,
            max: micros("max")?,
        })
    }
}
