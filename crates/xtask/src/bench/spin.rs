//! A native route beside guests that compute without end, against the same route with none, in turn.

use std::time::{Duration, Instant};

use anyhow::{Result, ensure};

use super::client::Client;
use super::figures::Series;
use super::findings::Findings;
use super::memory::available_permits;
use super::setting::Setting;

pub(crate) fn run(setting: &Setting<'_>, findings: &mut Findings) -> Result<()> {
    let spin = setting.guest("spin");
    let server = setting.serve("bench-server (spin)", &["--deadline", "0"], &[("/spin", &spin)])?;
    let mut status = Client::connect(server.address)?;
    let free = available_permits(&mut status)?;
    let (mut idle, mut beside) = (Series::default(), Series::default());
    for _ in 0..setting.rounds {
        wait_for_permits(&mut status, free)?;
        idle.push(p99(setting, server.address)?);

        let mut guests = Vec::new();
        for _ in 0..GUESTS {
            let mut client = Client::connect(server.address)?;
            client.send("GET", "/spin", "")?;
            guests.push(client);
        }
        wait_for_permits(&mut status, free - f64::from(GUESTS))?;
        beside.push(p99(setting, server.address)?);
        // They are ended when their clients are gone.
    }
    let ratio = [beside.median() / idle.median()].into_iter().collect();
    findings.add(IDLE, "ms", idle);
    findings.add(BESIDE, "ms", beside);
    findings.add(RATIO, "×", ratio);
    Ok(())
}

/// Milliseconds.
fn p99(setting: &Setting<'_>, address: std::net::SocketAddr) -> Result<f64> {
    let mut client = Client::connect(address)?;
    let mut times = Series::default();
    let begin = Instant::now();
    while begin.elapsed() < setting.duration {
        times.push(client.get("/native")?.last_byte.as_secs_f64() * 1000.0);
    }
    Ok(times.quantile(0.99))
}

fn wait_for_permits(status: &mut Client, wanted: f64) -> Result<()> {
    let begin = Instant::now();
    while available_permits(status)? != wanted {
        ensure!(begin.elapsed() < PATIENCE, "there are not {wanted} permits");
    }
    Ok(())
}

const GUESTS: u32 = 64;
const PATIENCE: Duration = Duration::from_secs(30);
const IDLE: &str = "p99 of a native route, idle";
const RATIO: &str = "the one against the other";
pub(crate) const BESIDE: &str = "p99 of a native route while 64 guests spin";
