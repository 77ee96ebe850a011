//! From the start of `wcgi run` to the first byte of its first response: of examples/php, and of a package built ahead of time.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, ensure};

use super::client::Client;
use super::figures::Series;
use super::findings::Findings;
use super::process::{Output, Server};
use super::setting::Setting;
use crate::program;

pub(crate) fn run(setting: &Setting<'_>, findings: &mut Findings) -> Result<()> {
    let Some(package) = setting.php() else {
        findings.note(SECOND, "left out: `cargo xtask setup` fetches php-cgi");
        return Ok(());
    };
    let cache = fresh(setting)?;
    let plain = || start(setting, &cache, &["--no-snapshot"], &package);
    findings.add(FIRST, "ms", [plain()?].into_iter().collect());
    let second = (0..setting.rounds * 4).map(|_| plain()).collect::<Result<Series>>()?;
    findings.add(SECOND, "ms", second);
    if let Some(package) = findings.keep(BUILT, built(setting)) {
        let starts =
            (0..setting.rounds * 4).map(|_| start(setting, &fresh(setting)?, &["--trust-precompiled"], &package));
        findings.add(BUILT, "ms", starts.collect::<Result<Series>>()?);
    }
    Ok(())
}

/// examples/php with its start-up in a snapshot and its code compiled.
fn built(setting: &Setting<'_>) -> Result<PathBuf> {
    let package = setting.on_snapshot_php("php")?;
    let output = setting.directory.join("built-php");
    let _ = fs::remove_dir_all(&output);
    let mut wcgi = setting.wcgi();
    wcgi.args(["build", "--aot", "--cache-dir"]).arg(setting.cache()).arg("-o").arg(&output).arg(package);
    program::run(&mut wcgi)?;
    Ok(output)
}

/// An empty cache.
fn fresh(setting: &Setting<'_>) -> Result<PathBuf> {
    let cache = setting.directory.join("start-cache");
    if cache.exists() {
        fs::remove_dir_all(&cache).with_context(|| format!("cannot remove {}", cache.display()))?;
    }
    Ok(cache)
}

/// Milliseconds from the process's start to the first byte of its first response.
fn start(setting: &Setting<'_>, cache: &Path, options: &[&str], package: &Path) -> Result<f64> {
    let mut wcgi = setting.wcgi();
    wcgi.args(["run", "--addr", "127.0.0.1:0", "--cache-dir"]).arg(cache).args(options).arg(package);
    let server = Server::start("wcgi", &mut wcgi, Output::Stderr)?;
    let connected = server.begin.elapsed();
    let reply = Client::connect(server.address)?.get("/")?;
    ensure!(reply.status == 200, "wcgi answers {}", reply.status);
    Ok((connected + reply.first_byte).as_secs_f64() * 1000.0)
}

pub(crate) const FIRST: &str = "first start of examples/php, to the first byte";
pub(crate) const BUILT: &str = "start of a built php package with its code, to the first byte";
pub(crate) const SECOND: &str = "second start of examples/php, to the first byte";
