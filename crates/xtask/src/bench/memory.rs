//! Memory: exchanges that wait for a slow client, and packages nobody asks.

use std::fs;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context as _, Result, bail};

use super::client::Client;
use super::figures::{self, Series};
use super::findings::Findings;
use super::setting::Setting;
use super::status::wait_for_permits;
use crate::program;

/// Exchanges of a script whose output nobody takes. In the process nobody reads the response's body, so the figure is the
/// exchange alone. Over HTTP the client does not read, and the server's own buffers add to it.
pub(crate) fn blocked(setting: &Setting<'_>, findings: &mut Findings) -> Result<()> {
    let (hello, flood) = (setting.guest("hello"), setting.guest("flood"));
    let cases: [(&'static str, &Path, &str, Option<&str>); 2] = [
        (BLOCKED, &flood, "/", None),
        // The hello itself waits when its output does not fit. So this is the instance, and no output.
        (BLOCKED_ALONE, &hello, "/", Some("1")),
    ];
    let exchanges = EXCHANGES.to_string();
    for (what, package, target, buffer) in cases {
        let mut values = Series::default();
        for _ in 0..setting.rounds {
            let mut measure = setting.bench_server();
            measure.args(["blocked", "--exchanges", &exchanges, "--target", target]);
            if let Some(bytes) = buffer {
                measure.args(["--response-buffer", bytes]);
            }
            let figures = figures::parse(&program::capture(measure.arg(package))?);
            let grown = figures::number(&figures, "resident_after")? - figures::number(&figures, "resident_before")?;
            values.push(grown / figures::number(&figures, "exchanges")? / 1024.0);
        }
        findings.add(what, "KiB", values);
    }

    let mut values = Series::default();
    for _ in 0..setting.rounds {
        values.push(blocked_over_http(setting, &setting.guest("big"))?);
    }
    findings.add(BLOCKED_HTTP, "KiB", values);
    Ok(())
}

/// KiB for each exchange.
fn blocked_over_http(setting: &Setting<'_>, package: &Path) -> Result<f64> {
    let permits = EXCHANGES + 1;
    let options = ["--deadline", "0", "--max-concurrency", &permits.to_string()];
    let server = setting.serve("bench-server (blocked)", &options, &[("/big", package)])?;
    let mut status = Client::connect(server.address)?;
    Client::connect(server.address)?.get("/big?n=1000000")?;
    server.wait_until_quiet(PATIENCE)?;
    let before = server.usage()?.resident;
    let mut clients = Vec::new();
    for _ in 0..EXCHANGES {
        let client = Client::connect(server.address).context("are enough open files allowed? see `ulimit -n`");
        let mut client = client?;
        client.send("GET", "/big?n=100000000", "")?;
        clients.push(client);
    }
    // All of them run, and then none gets any further.
    wait_for_permits(&mut status, 1.0)?;
    server.wait_until_quiet(PATIENCE)?;
    wait_for_permits(&mut status, 1.0)?;
    let after = server.usage()?.resident;
    Ok(after.saturating_sub(before) as f64 / EXCHANGES as f64 / 1024.0)
}

/// A thousand packages in one engine, each with a module of its own, compiled before.
pub(crate) fn packages(setting: &Setting<'_>, findings: &mut Findings) -> Result<()> {
    let directory = setting.directory.join("packages");
    fs::create_dir_all(&directory)?;
    let hello = fs::read(setting.guest("hello"))?;
    for number in 0..PACKAGES {
        // A module that differs shares nothing by luck: neither compiled code in the cache nor pages of the file.
        let module = [hello.as_slice(), &custom_section(&format!("{number:06}"))].concat();
        fs::write(directory.join(format!("{number:06}.wasm")), module)?;
    }
    let open = || -> Result<(f64, f64)> {
        let figures = figures::parse(&program::capture(setting.bench_server().arg("packages").arg(&directory))?);
        let number = |name| figures::number(&figures, name);
        if number("packages")? != f64::from(PACKAGES) {
            bail!("{} packages were opened", number("packages")?);
        }
        let each = (number("resident_after")? - number("resident_before")?) / f64::from(PACKAGES) / 1024.0;
        Ok((number("microseconds")? / 1e6, each))
    };
    // Fills the cache, where no earlier run has.
    open()?;
    let (mut seconds, mut each) = (Series::default(), Series::default());
    for _ in 0..setting.rounds {
        let opened = open()?;
        seconds.push(opened.0);
        each.push(opened.1);
    }
    findings.add(PACKAGES_WARM, "s", seconds);
    findings.add(PACKAGES_EACH, "KiB", each);
    Ok(())
}

/// A section that says nothing: id 0, length, a name of one byte, content.
fn custom_section(content: &str) -> Vec<u8> {
    let len = u8::try_from(content.len() + 2).expect("some digits");
    [&[0, len, 1, b'n'], content.as_bytes()].concat()
}

const PATIENCE: Duration = Duration::from_secs(60);
const EXCHANGES: usize = 1000;
const PACKAGES: u32 = 1000;
pub(crate) const BLOCKED: &str = "resident memory of an exchange whose reader waits, full buffer of 64 KiB";
pub(crate) const BLOCKED_ALONE: &str = "the same, buffer of 1 byte: the instance alone";
pub(crate) const BLOCKED_HTTP: &str = "the same over HTTP, full buffers, with hyper's";
pub(crate) const PACKAGES_WARM: &str = "1,000 packages opened, all compiled";
pub(crate) const PACKAGES_EACH: &str = "resident memory of an idle package";
