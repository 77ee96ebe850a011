//! What `bench-server` says about its engine at `/status`.

use std::time::{Duration, Instant};

use anyhow::{Result, ensure};

use super::client::Client;
use super::figures;

/// How many more exchanges could start.
pub(crate) fn available_permits(client: &mut Client) -> Result<f64> {
    let reply = client.get("/status")?;
    figures::number(&figures::parse(&String::from_utf8_lossy(&reply.body)), "available")
}

/// Waits until so many exchanges could start, and fails when that does not come about.
pub(crate) fn wait_for_permits(client: &mut Client, wanted: f64) -> Result<()> {
    let begin = Instant::now();
    loop {
        let available = available_permits(client)?;
        if available == wanted {
            return Ok(());
        }
        ensure!(begin.elapsed() < PATIENCE, "{available} permits are available, not {wanted}");
    }
}

const PATIENCE: Duration = Duration::from_secs(30);
