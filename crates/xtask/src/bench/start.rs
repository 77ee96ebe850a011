//! From the start of `wcgi run examples/php` to the first byte of its first response.

use std::fs;

use anyhow::{Result, ensure};

use super::client::Client;
use super::figures::Series;
use super::findings::Findings;
use super::process::{Output, Server};
use super::setting::Setting;

pub(crate) fn run(setting: &Setting<'_>, findings: &mut Findings) -> Result<()> {
    let Some(package) = setting.php() else {
        findings.note(SECOND, "left out: `cargo xtask setup` fetches php-cgi");
        return Ok(());
    };
    // A cache of its own, so that the first start is one.
    let cache = setting.directory.join("start-cache");
    let _ = fs::remove_dir_all(&cache);
    let start = || -> Result<f64> {
        let mut wcgi = setting.wcgi();
        wcgi.args(["run", "--addr", "127.0.0.1:0", "--cache-dir"]).arg(&cache).arg(&package);
        let server = Server::start("wcgi", &mut wcgi, Output::Stderr)?;
        let connected = server.begin.elapsed();
        let reply = Client::connect(server.address)?.get("/")?;
        ensure!(reply.status == 200, "wcgi answers {}", reply.status);
        Ok((connected + reply.first_byte).as_secs_f64() * 1000.0)
    };
    findings.add(FIRST, "ms", [start()?].into_iter().collect());
    let second = (0..setting.rounds * 4).map(|_| start()).collect::<Result<Series>>()?;
    findings.add(SECOND, "ms", second);
    Ok(())
}

pub(crate) const FIRST: &str = "first start of examples/php, to the first byte";
pub(crate) const SECOND: &str = "second start of examples/php, to the first byte";
