//! Long bodies, out and in, through a script and through a native handler in turn, and the memory that takes.

use anyhow::{Result, bail};

use super::client::Client;
use super::figures::Series;
use super::findings::{Findings, Stream};
use super::setting::Setting;

pub(crate) fn run(setting: &Setting<'_>, findings: &mut Findings) -> Result<()> {
    let bytes: u64 = if setting.quick { 256 << 20 } else { 1 << 30 };
    if setting.quick {
        findings.note("streaming", "256 MiB instead of 1 GiB, as asked for by --quick");
    }
    // A deadline and a limit on the body are there to end what this measures.
    let options = ["--deadline", "0", "--max-body", &(2 * bytes).to_string()];
    let mounts = [("/big", setting.guest("big")), ("/count", setting.guest("count"))];
    let mounts = mounts.each_ref().map(|(prefix, package)| (*prefix, package.as_path()));
    let server = setting.serve("bench-server (streams)", &options, &mounts)?;
    let ways = [
        (NATIVE_OUT, format!("/native/out/{bytes}"), false),
        (SCRIPT_OUT, format!("/big?n={bytes}"), false),
        (NATIVE_IN, "/native/in".to_owned(), true),
        (SCRIPT_IN, "/count".to_owned(), true),
    ];
    let mut streams =
        ways.each_ref().map(|(name, ..)| Stream { name, rate: Series::default(), growth: Series::default() });
    // The first round warms up and is not counted.
    for round in 0..=setting.rounds {
        println!("  round {round} of {}", setting.rounds);
        for ((name, path, upload), stream) in ways.iter().zip(&mut streams) {
            let before = server.usage()?.resident;
            let watch = server.watch();
            let mut client = Client::connect(server.address)?;
            let reply = if *upload { client.post_bytes(path, bytes)? } else { client.get(path)? };
            let peak = watch.peak().resident;
            let whole = if *upload {
                String::from_utf8_lossy(&reply.body).contains(&format!("bytes={bytes}\n"))
            } else {
                reply.bytes >= bytes
            };
            if reply.status != 200 || !whole {
                bail!("{name}: status {}, {} bytes came back", reply.status, reply.bytes);
            }
            if round > 0 {
                stream.rate.push(bytes as f64 / reply.last_byte.as_secs_f64());
                stream.growth.push(peak.saturating_sub(before) as f64);
            }
        }
    }
    findings.streams.extend(streams);
    Ok(())
}

pub(crate) const NATIVE_OUT: &str = "out, native handler";
pub(crate) const SCRIPT_OUT: &str = "out, script in C";
pub(crate) const NATIVE_IN: &str = "in, native handler";
pub(crate) const SCRIPT_IN: &str = "in, script in C";
